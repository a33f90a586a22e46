"""What a run on clips of faces and voices depends on besides the corpus, the models and how they are tuned."""

from __future__ import annotations

from dataclasses import dataclass

from affekt.benchmarks.merbench import PROTOCOLS
from affekt.errors import UnknownNameError, ValueRangeError
from affekt.experiments import ExperimentSettings

TARGETS = ('', 'category', 'dimensions')


@dataclass(frozen=True)
class DferSettings:
    """Settings of a run, saved beside its results.

    Args:
        protocol: `fair` lets people of the training part choose the epoch; `reference` is the published one, in which
            the tested fold is also the validation part; `both` shows the difference.
        seeds: runs of each model on each fold.
        validation_share: of the people of a training part that choose, in the fair protocol.
        target: `category` or `dimensions`; '' for what the manifest has.
        trials: draws of settings for the linear baseline on features.
        seed: of all draws.
        resamples: of intervals and tests.

    Raises:
        UnknownNameError: no such protocol or target.
        ValueRangeError: a share that leaves nobody to learn from or to choose on, or a count below 1.
    """

    protocol: str = 'fair'
    seeds: int = 1
    validation_share: float = 0.2
    target: str = ''
    trials: int = 4
    seed: int = 0
    resamples: int = 2000

    def __post_init__(self) -> None:
        for name, known in (('protocol', PROTOCOLS), ('target', TARGETS)):
            if getattr(self, name) not in known:
                raise UnknownNameError(
                    expected=f'a {name} among {", ".join(filter(None, known))}', came=repr(getattr(self, name)),
                    todo='choose one',
                )  # fmt: skip
        if not 0.05 <= self.validation_share <= 0.5:
            raise ValueRangeError(
                expected='a share from 0.05 to 0.5 that chooses', came=f'{self.validation_share}', todo='correct it'
            )
        _ = self.simple  # checks what both share

    @property
    def simple(self) -> ExperimentSettings:
        """The same for the linear baseline."""
        return ExperimentSettings(
            model='linear', seeds=self.seeds, trials=self.trials, seed=self.seed, resamples=self.resamples
        )

    @property
    def protocols(self) -> tuple[str, ...]:
        """Those that are run."""
        return ('fair', 'reference') if self.protocol == 'both' else (self.protocol,)
