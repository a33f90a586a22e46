"""What a fine-tuning run's numbers depend on besides corpus and encoder, and the draws of its hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from affekt.errors import UnknownNameError, ValueRangeError
from affekt.experiments import ExperimentSettings
from affekt.moved_names import with_old_names

RATES = (1e-3, 1e-4, 1e-5, 1e-6)
SPACE: Mapping[str, Sequence[Any]] = {'hidden': (128, 256), 'dropout': (0.2, 0.3, 0.4, 0.5)}
"""With `RATES` the published space of MER2024's end-to-end model."""
KNOWN: Mapping[str, Sequence[str]] = {
    'layers': ('last', 'last_four'),
    'column': ('text', 'chinese', 'english'),
    'precision': ('float32', 'bfloat16'),
}


@with_old_names(batch='batch_size', rates='learning_rates', frozen_rates='frozen_learning_rates')
@dataclass(frozen=True)
class FinetuningSettings:
    """Settings of a run, saved beside its results.

    Args:
        layers: of the encoder that are read: `last`, or the sum of the `last_four`.
        learning_rates: of the head, each of which is tried once before any twice.
        backbone_share: the encoder's learning rate as a share of the head's; a tenth, as published.
        seeds: runs of each chosen setting.
        trials: draws of settings for fine-tuning; the first seed's runs are the search.
        epochs: of fine-tuning, at most.
        patience: epochs without a better validation score before a fine-tuning run stops.
        batch_size: samples a step.
        frozen_learning_rates: of the perceptron on frozen vectors.
        frozen_trials: draws for each model on frozen vectors, which cost next to nothing.
        frozen_epochs: of these models, at most.
        frozen_patience: of these models.
        column: what a text encoder reads: text, chinese or english.
        longest: word pieces of a text.
        longest_s: seconds of a sound.
        pictures: of a clip, for encoders that read pictures one by one.
        target: `category`, `sentiment` or `category+valence`; '' for what the manifest has.
        folds: over train, where there is no validation split.
        seed: of all draws.
        resamples: of intervals and tests.
        precision: bfloat16 halves the time where the device is made for it.
        device: where the encoder is trained.
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
        for name, known in KNOWN.items():
            if getattr(self, name) not in known:
                raise UnknownNameError(
                    expected=f'{name} among {", ".join(known)}', came=repr(getattr(self, name)), todo='choose one'
                )
        counts = ('trials', 'epochs', 'patience', 'frozen_trials', 'longest', 'pictures')
        least: dict[str, float] = {name: getattr(self, name) for name in (*counts, 'longest_s', 'backbone_share')}
        least |= {f'rate {rate}': rate for rate in (*self.learning_rates, *self.frozen_learning_rates)}
        wrong = {name: value for name, value in least.items() if not value > 0}
        if wrong or not self.learning_rates or not self.frozen_learning_rates:
            raise ValueRangeError(
                expected='positive rates, at least one, and positive counts', came=str(wrong or 'no rate'),
                todo='correct them',
            )  # fmt: skip
        _ = self.simple  # checks what both share

    @property
    def simple(self) -> ExperimentSettings:
        """The same for the models on frozen vectors."""
        return ExperimentSettings(
            model='linear', seeds=self.seeds, trials=self.frozen_trials, epochs=self.frozen_epochs,
            patience=self.frozen_patience, batch_size=self.batch_size, target=self.target, folds=self.folds,
            seed=self.seed, resamples=self.resamples,
        )  # fmt: skip

    def draws(self, rates: Sequence[float], trials: int) -> list[dict[str, Any]]:
        """Settings of the head and its rate, no two alike; all there are where `trials` is larger.

        Args:
            rates: take turns in their order; the rest is drawn.
            trials: how many.
        """
        rng = np.random.default_rng([self.seed, *b'end to end'])
        shapes = [{'hidden': hidden, 'dropout': share} for hidden in SPACE['hidden'] for share in SPACE['dropout']]
        orders = {rate: rng.permutation(len(shapes)) for rate in rates}
        return [{'learning_rate': rate, **shapes[orders[rate][at]]} for at in range(len(shapes)) for rate in orders][
            :trials
        ]


def rates_of(text: str) -> tuple[float, ...]:
    """Rates from text, with commas between.

    Raises:
        ValueRangeError: one is no number.

    >>> rates_of('1e-3,1e-4')
    (0.001, 0.0001)
    """
    try:
        return tuple(float(each) for each in text.split(','))
    except ValueError as error:
        raise ValueRangeError(
            expected='rates with commas between', came=repr(text), todo='write for example 1e-3,1e-4'
        ) from error
