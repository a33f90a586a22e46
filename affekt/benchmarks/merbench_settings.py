"""What a MERBench run depends on besides what every experiment does: protocol, and what else is trained and asked."""

from __future__ import annotations

from dataclasses import dataclass

from affekt.errors import UnknownNameError
from affekt.experiments import ExperimentSettings
from affekt.moved_names import with_old_names

PROTOCOLS = ('fair', 'reference', 'both')


@with_old_names(batch='batch_size')
@dataclass(frozen=True)
class MerbenchSettings(ExperimentSettings):
    """Settings of a run, saved beside its results.

    Args:
        protocol: `fair` chooses hyper-parameters and epoch on validation alone; `reference` chooses as published;
            `both` shows what the difference buys. The published protocol goes through all epochs, whatever `patience`.
        pairs: train every pair of modalities too, beside each alone and all together.
        missing: ask the models of all modalities also with every smaller set of them, and with gaps at random.
    """

    protocol: str = 'fair'
    pairs: bool = False
    missing: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.protocol not in PROTOCOLS:
            raise UnknownNameError(
                expected=f'a protocol among {", ".join(PROTOCOLS)}', came=repr(self.protocol), todo='choose one'
            )
