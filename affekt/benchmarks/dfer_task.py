"""Settings, targets, splits and scores of a run on clips of faces and voices.

Each published fold is tested once and all folds are scored together. The published split chooses on the tested fold;
the fair one chooses on whole people of the training part. Scores are those of HiCMAE and SVFAP.

N clips, C categories, V dimensions, T tested clips.

Sources: Sun et al. 2024, arXiv:2401.05698 and arXiv:2401.00416.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Ints
from affekt.benchmarks.merbench import PROTOCOLS
from affekt.corpora import Manifest
from affekt.errors import CorpusError, UnknownNameError, ValueRangeError, listed
from affekt.experiments import Divisions, ExperimentSettings, Fold, Task, divided, held_out, require_variety, task_notes
from affekt.features import Store
from affekt.metrics import Measure, categorical_measure, dimensional_measure
from affekt.wording import counted

DIMENSIONS = ('arousal', 'valence', 'dominance')
"""Columns of a manifest that can be predicted as dimensions."""
FEWEST_GROUPS = 3
"""Minimum number of people: one for validation, two for training."""
CATEGORY_SCORES = {'uar': 'balanced_accuracy', 'war': 'accuracy', 'weighted_f1': 'weighted_f1', 'macro_f1': 'macro_f1'}
"""Our name of a score to that of `categorical_measure`; micro F1 with one label per clip is WAR."""
TARGETS = ('', 'category', 'dimensions')
"""Allowed targets; '' for the one in the manifest."""


@dataclass(frozen=True)
class DferSettings:
    """Settings of a run, saved with its results.

    Args:
        protocol: `fair` chooses the epoch on people of the training part; `reference` is the published one, in which
            the tested fold is also the validation part; `both` shows the difference.
        seeds: runs of each model on each fold.
        validation_share: share of the people of a training part used for validation in the fair protocol.
        target: `category` or `dimensions`; '' for the one in the manifest.
        trials: number of configurations of the linear baseline on features.
        seed: seed of all draws.
        resamples: number of resamples for intervals and tests.

    Raises:
        UnknownNameError: unknown protocol or target.
        ValueRangeError: a share that leaves nobody for training or validation, or a count below 1.
    """

    protocol: str = 'fair'
    seeds: int = 1
    validation_share: float = 0.2
    target: str = ''
    trials: int = 4
    seed: int = 0
    resamples: int = 2000

    def __post_init__(self) -> None:
        for name, allowed in (('protocol', PROTOCOLS), ('target', TARGETS)):
            if getattr(self, name) not in allowed:
                raise UnknownNameError(
                    expected=f'a {name} among {", ".join(filter(None, allowed))}', came=repr(getattr(self, name)),
                    todo='choose one',
                )  # fmt: skip
        if not 0.05 <= self.validation_share <= 0.5:
            raise ValueRangeError(
                expected='a share from 0.05 to 0.5 that chooses', came=f'{self.validation_share}', todo='correct it'
            )
        _ = self.simple  # checks what both share

    @property
    def simple(self) -> ExperimentSettings:
        """The corresponding settings of the linear baseline."""
        return ExperimentSettings(
            model='linear', seeds=self.seeds, trials=self.trials, seed=self.seed, resamples=self.resamples
        )

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols to run."""
        return ('fair', 'reference') if self.protocol == 'both' else (self.protocol,)


@dataclass(frozen=True)
class DferTask(Task):
    """A corpus of clips, ready for training."""

    dimensions: tuple[str, ...] = ()
    """The columns of `values`."""

    @property
    def value_names(self) -> tuple[str, ...]:
        """Names of the V values."""
        return self.dimensions

    @property
    def score(self) -> str:
        """The score that chooses on validation."""
        return 'concordance' if self.dimensions else 'balanced_accuracy'

    @property
    def outputs(self) -> int:
        """Number of a model's outputs: C or V."""
        return self.classes or self.width

    def headline(self, test: str) -> str:
        """Name of the headline score: UAR, or the mean concordance correlation."""
        return 'ccc' if self.dimensions else 'uar'

    def measure(self, test: str, logits: npt.NDArray[np.generic], values: npt.NDArray[np.generic]) -> Measure:
        """The measure of predictions for one test part.

        Args:
            test: name of the part.
            logits: (T, C), or probabilities.
            values: (T, V) values.
        """
        return self.measure_of(self.tests[test], logits, values)

    def measure_of(self, index: Ints, logits: npt.NDArray[np.generic], values: npt.NDArray[np.generic]) -> Measure:
        """The measure of predictions for some clips, such as those of one fold.

        Args:
            index: (T,) indices of the clips.
            logits: (T, C), or probabilities.
            values: (T, V) values.
        """
        if self.dimensions:
            assert self.values is not None
            return dimensions_measure(self.values[index], values, self.dimensions)
        assert self.labels is not None
        return category_measure(self.labels[index], np.asarray(logits).argmax(axis=1), self.classes)


def category_measure(truth: npt.ArrayLike, prediction: npt.ArrayLike, classes: int) -> Measure:
    """UAR, WAR, weighted, micro and macro F1.

    Args:
        truth: (N,) labels.
        prediction: (N,) labels.
        classes: C, the number of categories.
    """
    measure = categorical_measure(truth, prediction, classes)

    def statistic(sums: Floats) -> dict[str, Floats]:
        scores = measure.statistic(sums)
        return {name: scores[source] for name, source in CATEGORY_SCORES.items()} | {'micro_f1': scores['accuracy']}

    bounds = {name: measure.bounds[source] for name, source in CATEGORY_SCORES.items()}
    return Measure(measure.columns, statistic, bounds | {'micro_f1': measure.bounds['accuracy']})


def dimensions_measure(truth: npt.ArrayLike, prediction: npt.ArrayLike, names: Sequence[str]) -> Measure:
    """PCC, CCC, mean absolute, squared and root mean squared error, and 1 - MAE: of each dimension, and their mean.

    Variances and covariance of CCC are unbiased (N - 1), as in the published code.

    Args:
        truth: (N, V) ratings.
        prediction: (N, V) predictions in the same units.
        names: (V,) names of the dimensions: `pcc_arousal` …; `pcc` is the mean over them, nan if one of them is.
    """
    truths, predicted = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    measures = [dimensional_measure(truths[:, v], predicted[:, v], ddof=1) for v in range(len(names))]
    width = measures[0].columns.shape[1]

    def statistic(sums: Floats) -> dict[str, Floats]:
        scores: dict[str, list[Floats]] = {}
        for v, measure in enumerate(measures):
            scores_of_dimension = measure.statistic(sums[:, v * width : (v + 1) * width])
            by_name = {
                'pcc': scores_of_dimension['pearson'],
                'ccc': scores_of_dimension['concordance'],
                'mae': scores_of_dimension['mae'],
                'mse': scores_of_dimension['mse'],
            }
            by_name |= {'rmse': np.sqrt(scores_of_dimension['mse']), 'acc': 1 - scores_of_dimension['mae']}
            for name, values in by_name.items():
                scores.setdefault(name, []).append(values)
        means = {name: np.mean(values, axis=0) for name, values in scores.items()}
        single = {f'{name}_{names[v]}': value for name, values in scores.items() for v, value in enumerate(values)}
        return means | single

    columns = np.concatenate([measure.columns for measure in measures], axis=1)
    source_bounds = measures[0].bounds
    bounds = {
        'pcc': source_bounds['pearson'],
        'ccc': source_bounds['concordance'],
        'mae': source_bounds['mae'],
        'mse': source_bounds['mse'],
    }
    bounds |= {'rmse': source_bounds['mae'], 'acc': (-np.inf, 1.0)}
    bounds |= {f'{name}_{dimension}': ends for name, ends in tuple(bounds.items()) for dimension in names}
    return Measure(columns, statistic, bounds)


def open_dfer(
    manifest: Manifest,
    settings: ExperimentSettings,
    *,
    share: float = 0.2,
    stores: Mapping[str, Store] | None = None,
    target: str = '',
) -> DferTask:
    """A corpus with its folds, fully checked before anything is trained.

    Args:
        manifest: manifest with folds, or with splits train, test and optionally val.
        settings: settings of the linear baseline, of which only the seed is used.
        share: share of the people of the training part used for validation in the fair split.
        stores: modality to features for the linear baseline; clips may lack them.
        target: `category` or `dimensions`; '' for the one in the manifest.

    Raises:
        CorpusError: a clip has no label, the manifest has no labels of the target, or there is no training part or no
            test part.
        TableError: a part is empty, of one class, or of one value of a dimension.
        UnknownNameError: unknown target.
    """
    # 1. Targets and people.
    dimensions = _dimensions(manifest, target)
    divisions, notes = _divided(manifest, settings, share)
    manifest = divisions.manifest if dimensions else _of_used_categories(divisions.manifest, notes)
    labels = None if dimensions else manifest.labels()
    values = np.stack([manifest.column(name) for name in dimensions], axis=1) if dimensions else None
    _require_truth(manifest, labels, values, dimensions)
    # 2. Features of the linear baseline, if there are any.
    features, present = {}, {}
    for name, store in (stores or {}).items():
        has_features = np.array([sample in store for sample in manifest.names], dtype=np.bool_)
        rows = np.zeros((len(manifest), store.dimension), dtype=np.float32)
        if has_features.any():
            rows[has_features] = store.matrix([sample for sample in manifest.names if sample in store])
        features[name], present[name] = np.nan_to_num(rows), has_features & np.isfinite(rows).all(axis=1)
    # 3. Check every part.
    target = 'dimensions' if dimensions else 'category'
    task = DferTask(
        manifest, features, None, present, labels, values, target, divisions.fair, divisions.reference, divisions.tests,
        (), dimensions,
    )  # fmt: skip
    require_variety(task)
    _require_every_class(task)
    for name, has_features in present.items():
        if not has_features.all():
            notes.append(f'{counted(int((~has_features).sum()), "clip")} without features of {name}')
    common_notes = task_notes(manifest, task.fair, labels, features, present)
    return dataclasses.replace(task, notes=(*divisions.notes, *notes, *common_notes))


def _of_used_categories(manifest: Manifest, notes: list[str]) -> Manifest:
    """The corpus without categories that no clip has, since no network could learn them; a note names them."""
    present = set(manifest.column('category'))
    unused = [name for name in manifest.facts.categories if name not in present]
    if not unused or len(unused) == len(manifest.facts.categories):
        return manifest
    notes.append(f'no clip shows {listed(unused, 8)}: models answer with the other categories')
    used = tuple(name for name in manifest.facts.categories if name in present)
    return Manifest(dataclasses.replace(manifest.facts, categories=used), manifest.samples)


def _require_every_class(task: DferTask) -> None:
    """Check that each training part has clips of every category: a fine-tuned network has an output for each."""
    if task.labels is None:
        return
    for folds in (task.fair, task.reference):
        for number, fold in enumerate(folds, 1):
            trained = set(task.labels[fold.train].tolist())
            if missing := [name for label, name in enumerate(task.manifest.facts.categories) if label not in trained]:
                raise CorpusError(
                    expected='training clips of every category in each fold',
                    came=f'none of {listed(missing)}' + (f' in fold {number}' if len(folds) > 1 else ''),
                    todo='take the other categories alone, or divide the corpus anew',
                )  # fmt: skip


def _dimensions(manifest: Manifest, target: str) -> tuple[str, ...]:
    """The columns that are predicted; () for categories."""
    if target not in ('', 'category', 'dimensions'):
        raise UnknownNameError(
            expected='a target among category, dimensions', came=repr(target), todo='choose one of these'
        )
    available = tuple(name for name in DIMENSIONS if manifest.samples.known(name).any())
    if manifest.facts.categories and target != 'dimensions':
        return ()
    if not available or target == 'category':
        needed = 'categories' if target == 'category' else 'arousal, valence or dominance'
        raise CorpusError(
            expected=f'a manifest with {needed}', came=f'{manifest.facts.corpus} without',
            todo='choose the other target, or check the labels',
        )  # fmt: skip
    return available


def _require_truth(manifest: Manifest, labels: Ints | None, values: Floats | None, dimensions: tuple[str, ...]) -> None:
    is_unlabelled = np.zeros(len(manifest), dtype=np.bool_)
    if labels is not None:
        is_unlabelled |= labels < 0
    if values is not None:
        is_unlabelled |= np.isnan(values).any(axis=1)
    if is_unlabelled.any():
        names = [manifest.names[index] for index in np.flatnonzero(is_unlabelled).tolist()]
        raise CorpusError(
            expected=f'{", ".join(dimensions) or "category"} of every clip of {manifest.facts.corpus}',
            came=f'none for {len(names)} ({listed(names, 2)})', todo='leave these clips out of the manifest',
        )  # fmt: skip


def _divided(manifest: Manifest, settings: ExperimentSettings, share: float) -> tuple[Divisions, list[str]]:
    """The published division, and the fair one, whose validation has whole people of the training part; with notes."""
    divisions = divided(manifest, settings)
    manifest = divisions.manifest
    by_fold = list(divisions.tests) == ['folds']
    if by_fold:
        reference = divisions.reference
    else:
        splits = manifest.coded('split')
        train = np.flatnonzero(
            splits.where(['train']) if 'train' in splits.values else ~splits.where([*divisions.tests])
        )
        tested = np.concatenate(list(divisions.tests.values()))
        reference = (Fold(train, tested, tested),)
    if not by_fold and 'val' in manifest.coded('split').values:
        return dataclasses.replace(divisions, reference=reference), []
    fair: list[Fold] = []
    notes: dict[str, None] = {}
    for fold in reference:
        is_validation, column, parts = held_out(manifest.take(fold.train), share, settings.seed, FEWEST_GROUPS)
        fair.append(Fold(fold.train[~is_validation], fold.train[is_validation], fold.test))
        notes[_choice(column, parts)] = None
    return dataclasses.replace(divisions, fair=tuple(fair), reference=reference), list(notes)


def _choice(column: str, parts: int) -> str:
    """A sentence on the validation part of the fair protocol."""
    if column:
        return f'fair: validation has whole {column}s of the training part, about one in {parts}'
    return f'fair: validation has single clips, about one in {parts}; a person may be in both training and validation'
