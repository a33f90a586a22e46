"""Settings of a fine-tuning benchmark, and the draws of its hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from affekt.errors import UnknownNameError, ValueRangeError
from affekt.experiments import ExperimentSettings
from affekt.moved_names import with_old_names

RATES = (1e-3, 1e-4, 1e-5, 1e-6)
"""Default learning rates of the head."""
SPACE: Mapping[str, Sequence[Any]] = {'hidden': (128, 256), 'dropout': (0.2, 0.3, 0.4, 0.5)}
"""Together with `RATES`, the published search space of MER2024's end-to-end model."""
KNOWN: Mapping[str, Sequence[str]] = {
    'layers': ('last', 'last_four'),
    'column': ('text', 'chinese', 'english'),
    'precision': ('float32', 'bfloat16'),
}
"""Setting to its allowed values."""


@with_old_names(batch='batch_size', rates='learning_rates', frozen_rates='frozen_learning_rates')
@dataclass(frozen=True)
class FinetuningSettings:
    """Settings of a run, saved with its results.

    Args:
        layers: layers of the encoder that are read: `last`, or the sum of the `last_four`.
        learning_rates: learning rates of the head, each of which is tried once before any is repeated.
        backbone_share: the encoder's learning rate as a share of the head's; a tenth, as published.
        seeds: number of runs of each chosen configuration.
        trials: number of configurations for fine-tuning; the first seed's runs are the search.
        epochs: maximum number of epochs of fine-tuning.
        patience: epochs without a better validation score after which a fine-tuning run stops.
        batch_size: samples per step.
        frozen_learning_rates: learning rates of the perceptron on frozen vectors.
        frozen_trials: number of configurations of each model on frozen vectors, which take little time.
        frozen_epochs: maximum number of epochs of these models.
        frozen_patience: patience of these models, in epochs.
        column: column that a text encoder reads: text, chinese or english.
        longest: limit of word pieces per text.
        longest_s: limit of seconds per audio.
        pictures: images per clip, for encoders that read images one by one.
        target: `category`, `sentiment` or `category+valence`; '' for the one in the manifest.
        folds: number of folds over the training part, if there is no validation split.
        seed: seed of all draws.
        resamples: number of resamples for intervals and tests.
        precision: precision of training; bfloat16 halves the time on devices that support it.
        device: torch device of the encoder.
    """

    layers: Literal['last', 'last_four'] = 'last'
    learning_rates: tuple[float, ...] = RATES
    backbone_share: float = 0.1
    seeds: int = 3
    trials: int = 4
    epochs: int = 10
    patience: int = 3
    batch_size: int = 32
    frozen_learning_rates: tuple[float, ...] = (1e-3, 1e-4)
    frozen_trials: int = 8
    frozen_epochs: int = 100
    frozen_patience: int = 10
    column: str = 'text'
    longest: int = 128
    longest_s: float = 15.0
    pictures: int = 8
    target: str = ''
    folds: int = 5
    seed: int = 0
    resamples: int = 2000
    precision: Literal['float32', 'bfloat16'] = 'float32'
    device: str = 'cpu'

    def __post_init__(self) -> None:
        for name, allowed in KNOWN.items():
            if getattr(self, name) not in allowed:
                raise UnknownNameError(
                    expected=f'{name} among {", ".join(allowed)}', came=repr(getattr(self, name)), todo='choose one'
                )
        counts = ('trials', 'epochs', 'patience', 'frozen_trials', 'longest', 'pictures')
        positive: dict[str, float] = {name: getattr(self, name) for name in (*counts, 'longest_s', 'backbone_share')}
        positive |= {f'rate {rate}': rate for rate in (*self.learning_rates, *self.frozen_learning_rates)}
        invalid = {name: value for name, value in positive.items() if not value > 0}
        if invalid or not self.learning_rates or not self.frozen_learning_rates:
            raise ValueRangeError(
                expected='positive rates, at least one, and positive counts', came=str(invalid or 'no rate'),
                todo='correct them',
            )  # fmt: skip
        _ = self.simple  # checks what both share

    @property
    def simple(self) -> ExperimentSettings:
        """The corresponding settings of the models on frozen vectors."""
        return ExperimentSettings(
            model='linear', seeds=self.seeds, trials=self.frozen_trials, epochs=self.frozen_epochs,
            patience=self.frozen_patience, batch_size=self.batch_size, target=self.target, folds=self.folds,
            seed=self.seed, resamples=self.resamples,
        )  # fmt: skip

    def draws(self, rates: Sequence[float], trials: int) -> list[dict[str, Any]]:
        """At most `trials` distinct configurations of the head, each with its learning rate.

        Args:
            rates: learning rates, used in turn; the rest is drawn.
            trials: number of configurations; all are returned if there are fewer.
        """
        rng = np.random.default_rng([self.seed, *b'end to end'])
        shapes = [{'hidden': hidden, 'dropout': dropout} for hidden in SPACE['hidden'] for dropout in SPACE['dropout']]
        orders = {rate: rng.permutation(len(shapes)) for rate in rates}
        return [
            {'learning_rate': rate, **shapes[orders[rate][index]]} for index in range(len(shapes)) for rate in orders
        ][:trials]


def rates_of(text: str) -> tuple[float, ...]:
    """Learning rates from text, separated by commas.

    Raises:
        ValueRangeError: a part is not a number.

    >>> rates_of('1e-3,1e-4')
    (0.001, 0.0001)
    """
    try:
        return tuple(float(rate) for rate in text.split(','))
    except ValueError as error:
        raise ValueRangeError(
            expected='rates with commas between', came=repr(text), todo='write for example 1e-3,1e-4'
        ) from error
