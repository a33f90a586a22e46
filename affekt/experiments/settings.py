"""Settings of an experiment, and the search spaces of its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from affekt.errors import UnknownNameError, ValueRangeError
from affekt.moved_names import with_old_names
from affekt.plugins import added_names

MODALITIES = ('audio', 'text', 'video')
"""Modalities of a model's slots, in the published order."""
FEAT_TYPES = ('', 'utt', 'frm_align', 'frm_unalign')
"""Input of a model: one vector per sample, sequences aligned to the text, or sequences with their own time steps."""
RENAMED: Mapping[str, str] = {
    'batch': 'batch_size', 'rate': 'learning_rate', 'decay': 'weight_decay', 'rates': 'learning_rates',
    'frozen_rates': 'frozen_learning_rates',
}  # fmt: skip
"""Old name of a setting or hyper-parameter, as saved in older runs, to its new name."""
SIMPLE = ('linear', 'gated')
"""Names of our simple models, which other models are compared with."""


def slot_of(name: str) -> str:
    """The modality of a set of features: its name, or `text2:recipe` where there are several of one modality.

    >>> slot_of('text'), slot_of('text2:bert-base-cased-utt')
    ('text', 'text')
    """
    return next(modality for modality in MODALITIES if name.startswith(modality))


@with_old_names(batch='batch_size')
@dataclass(frozen=True)
class ExperimentSettings:
    """Settings that all trained benchmarks share, saved with their results.

    Args:
        model: a key of `affekt.fusion.FUSION_MODELS`.
        seeds: number of runs of each chosen configuration.
        trials: number of configurations drawn from the model's search space.
        epochs: maximum number of epochs.
        patience: epochs without a better validation score after which a fair run stops.
        batch_size: samples per step.
        target: `category`, `sentiment` or `category+valence`; '' for what the manifest has.
        feat_type: input of the model: `utt`, `frm_align` or `frm_unalign`; '' for vectors, or for sequences where the
            model reads no vectors. Our simple models always read the mean over time.
        mask: mask missing modalities of a sample; False makes them an error.
        folds: number of folds over the training part, at least 2, where there is no validation split.
        seed: seed of all draws.
        resamples: number of resamples for intervals and tests.
    """

    model: str = 'attention'
    seeds: int = 3
    trials: int = 8
    epochs: int = 100
    patience: int = 10
    batch_size: int = 32
    target: str = ''
    feat_type: str = ''
    mask: bool = False
    folds: int = 5
    seed: int = 0
    resamples: int = 2000

    def __post_init__(self) -> None:
        model_names = (*SPACES, *added_names('fusion'))
        if self.model not in model_names:
            raise UnknownNameError(
                expected=f'a model among {", ".join(model_names)}', came=repr(self.model), todo='choose one'
            )
        if self.feat_type not in FEAT_TYPES:
            raise UnknownNameError(
                expected=f'a feature type among {", ".join(FEAT_TYPES[1:])}',
                came=repr(self.feat_type),
                todo='choose one',
            )
        counts = {name: getattr(self, name) for name in ('seeds', 'trials', 'epochs', 'patience', 'batch_size')}
        invalid = {name: count for name, count in counts.items() if count < 1}
        invalid |= {'resamples': self.resamples} if self.resamples < 0 else {}
        invalid |= {'folds': self.folds} if self.folds < 2 else {}
        if invalid:
            raise ValueRangeError(
                expected='counts of at least 1, at least 2 folds, and 0 or more resamples', came=f'{invalid}',
                todo='correct them',
            )  # fmt: skip


def drawn(model: str, trials: int, seed: int) -> list[dict[str, Any]]:
    """Distinct configurations drawn from a model's search space; all of them where it has no more than `trials`.

    Args:
        model: a key of `SPACES`.
        trials: number of configurations.
        seed: seed of the draw.
    """
    space = {'learning_rate': RATES, 'clip_value': (None,), **_space(model)}
    rng = np.random.default_rng([seed, *model.encode()])
    size = int(np.prod([len(values) for values in space.values()]))
    chosen = rng.permutation(size)[:trials] if size <= 1_000_000 else rng.choice(size, trials, replace=False)
    configurations = []
    for code in chosen.tolist():
        configuration = {}
        for name, values in space.items():
            code, index = divmod(code, len(values))
            configuration[name] = values[index]
        configurations.append(configuration)
    return configurations


def _space(model: str) -> Mapping[str, Sequence[Any]]:
    """Search space of a model; a model of another package brings its own."""
    if model in SPACES:
        return SPACES[model]
    from affekt.fusion import FUSION_MODELS

    space: Mapping[str, Sequence[Any]] = FUSION_MODELS[model].search_space
    return space


RATES = (1e-3, 1e-4)
"""Learning rates of every search space."""
_WIDE = {'hidden': (64, 128, 256), 'dropout': (0.2, 0.3, 0.4, 0.5)}
_LOW = {'hidden': (64, 128, 256), 'dropout': (0.0, 0.1, 0.2, 0.3)}
_MEMORY = {'hidden': (128, 256), 'dropout': (0.0, 0.3, 0.5, 0.7), 'memory': (128,)}
_CLIPPED = (0.6, 0.8, 1.0)
_SHARES = (0.0, 0.1, 0.2)
_FACTORS = (0.01, 0.1, 0.5, 1.0)
SPACES: Mapping[str, Mapping[str, Sequence[Any]]] = {
    'attention': _WIDE,
    'attention_topn': _WIDE,
    'lf_dnn': _WIDE,
    'ef_lstm': {'hidden': (128, 256, 512, 1024), 'dropout': (0.2, 0.3, 0.4, 0.5), 'layers': (2, 3, 4)},
    'tfn': {'hidden': (64, 128), 'dropout': (0.2, 0.3, 0.4, 0.5)},
    'lmf': {'hidden': (32, 64, 128, 256), 'dropout': (0.2, 0.3, 0.4, 0.5), 'rank': (3, 4, 5, 6)},
    'misa': {
        **_WIDE, 'similarity': _SHARES, 'difference': _SHARES, 'reconstruction': _SHARES,
        'clip_value': (None, 0.8, 1.0),
    },
    'mmim': {
        **_LOW, 'predictor_layers': (1, 2, 3, 4), 'contrast': _SHARES, 'likelihood': _SHARES, 'clip_value': _CLIPPED,
    },
    'mfn': _MEMORY,
    'graph_mfn': _MEMORY,
    'mfm': {**_MEMORY, 'text': _FACTORS, 'audio': _FACTORS, 'video': _FACTORS, 'prior': (10.0, 50.0, 100.0)},
    'mctn': {
        **_LOW, 'teacher_forcing': (0.3, 0.5), 'translation': (0.1, 0.3, 0.5, 0.8, 1.0), 'clip_value': _CLIPPED,
    },
    'mult': {**_LOW, 'layers': (2, 4, 6), 'kernel': (1, 3), 'clip_value': _CLIPPED},
    'linear': {'dropout': (0.0, 0.3, 0.6), 'weight_decay': (1e-4, 1e-2, 1e-1, 1.0)},
    'gated': {'hidden': (64, 128), 'dropout': (0.3, 0.5), 'weight_decay': (1e-5, 1e-3, 1e-2)},
}  # fmt: skip
"""Model to its search space; all but the last two as published in MERBench's `model-tune.yaml`."""
