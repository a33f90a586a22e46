"""Preference models: which of two descriptions is preferred, antisymmetric in the sides, trained on judged pairs.

    s = w · x(left, right),  x(right, left) = -x(left, right)
    P(left) : P(right) : P(same) = exp(s / 2) : exp(-s / 2) : exp(u · t)

This is Davidson's model of ties with strengths computed from texts (`features.py`), so a swapped pair has exactly the
negative score and the same probability of a tie. The penalised likelihood is convex: the result does not depend on the
order of pairs and sides.

**Control.** Preference data can often be predicted by length, or by the author. With `control=('length',)` the effect
of length is fitted together with w and then dropped, and w is constrained to scores that are exactly uncorrelated with
it over the training pairs: w is orthogonal to the sum over pairs of x z, z the odd functions of `controls`. The model
keeps only what distinguishes texts among others of the same length.

Axes: N pairs, P features, Q = 3 features of ties, Z controls.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Ints
from affekt.errors import AffektError, ComparisonError, UnknownNameError, ValueRangeError, WeightsError
from affekt.npz import read_npz
from affekt.preference.embedding import CachedEmbedder, Embedder, SentenceEmbedder
from affekt.preference.features import (
    BLOCKS,
    Directions,
    FeatureSpace,
    RawFeatures,
    SampleFeatures,
    raw_features,
    sameness,
)
from affekt.preference.pairs import Pairs
from affekt.runs import write_atomically

CONTROLS = ('length', 'source')
"""Shortcuts that a model can be kept from using."""
TIE_PENALTY = 0.1
"""Penalty on u, which keeps it finite where no pair, or every pair, is a tie."""
FOLDS = 5
"""Number of folds of the cross-validation; fewer where there are fewer samples."""
FORMAT = 1
"""Version of the file format."""


@dataclass(frozen=True)
class PreferenceSettings:
    """Settings of training a preference model."""

    blocks: tuple[str, ...] = ('surface', 'emotion', 'embedding')
    """Blocks of features, among BLOCKS."""
    directions: int = 32
    """Number of directions of the embedding."""
    crossed: int = 12
    """Number of these that are crossed with each other, with the prompt and with the clip."""
    penalty: float = 30.0
    """Penalty: half of it times |w|², on a log-likelihood summed over pairs."""
    control: tuple[str, ...] = ()
    """Shortcuts that the model must not use, among CONTROLS."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.blocks if name not in BLOCKS]
        unknown += [name for name in self.control if name not in CONTROLS]
        if unknown or not self.blocks:
            raise UnknownNameError(
                expected=f'blocks among {", ".join(BLOCKS)}, controls among {", ".join(CONTROLS)}',
                came=repr(unknown[0]) if unknown else 'no block',
                todo='name some of these',
            )
        if not (self.penalty > 0.0 and np.isfinite(self.penalty) and self.directions > 0 and self.crossed > 0):
            raise ValueRangeError(
                expected='a penalty above 0, and at least one direction',
                came=f'penalty {self.penalty}, directions {self.directions}, crossed {self.crossed}',
                todo='use for example 30, 32 and 12',
            )


GRID = tuple(
    PreferenceSettings(blocks, penalty=penalty)
    for blocks in (
        ('surface',),
        ('surface', 'emotion'),
        ('surface', 'prompted', 'sample'),
        ('surface', 'emotion', 'embedding'),
        ('surface', 'emotion', 'embedding', 'crossed'),
        ('surface', 'emotion', 'embedding', 'prompted', 'sample'),
        BLOCKS,
    )
    for penalty in (1.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
)
"""Settings that `train_preferences` compares."""


@dataclass(frozen=True)
class PairReadings:
    """Predictions of a model for N pairs."""

    score: Floats
    """(N,) scores s: above 0 where the left text is preferred."""
    chances: Floats
    """(N, 3) probabilities of left, tie and right; rows sum to 1."""

    def verdicts(self, *, ties: bool = False) -> Ints:
        """(N,) 1 left, -1 right, 0 tie.

        Args:
            ties: answer tie where that is most probable; otherwise only where the score is 0.
        """
        sides = np.sign(self.score).astype(np.int64)
        return np.where(self.chances[:, 1] > self.chances[:, ::2].max(axis=1), 0, sides) if ties else sides


@dataclass(frozen=True)
class PreferenceModel:
    """A trained model; `train_preferences` makes one, `load_preferences` reads one."""

    settings: PreferenceSettings
    space: FeatureSpace
    """Features of pairs, as fitted to the training pairs."""
    weight: Floats
    """(P,) w."""
    tie_weight: Floats
    """(Q,) u."""
    embedder: Embedder = field(repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Provenance: the training data, and what the selection of settings used."""

    def predict_pairs(
        self, pairs: Pairs | Sequence[tuple[str, str]], samples: SampleFeatures | None = None
    ) -> PairReadings:
        """Scores and probabilities of pairs.

        Args:
            pairs: Pairs, or (left, right) texts.
            samples: name of a sample to the features of its clip, if the model was trained with them.

        Raises:
            ComparisonError: there are no pairs, or a cell is not text.
            ShapeError: features or prompts that the model was trained on are missing.
        """
        columns = pairs if isinstance(pairs, Pairs) else Pairs.of([a for a, _ in pairs], [b for _, b in pairs])
        raw = raw_features(columns, self.embedder, samples)
        return self.read(raw)

    def read(self, raw: RawFeatures) -> PairReadings:
        """Scores and probabilities from features of pairs."""
        score = (self.space(raw) * self.weight).sum(axis=1)
        return PairReadings(score, _chances(score, (sameness(raw) * self.tie_weight).sum(axis=1)))

    def save(self, path: Path) -> None:
        """Write arrays and settings to one .npz."""
        space = self.space
        arrays = {
            'format': np.array([FORMAT]),
            'settings': np.array([json.dumps(asdict(self.settings), sort_keys=True)]),
            'facts': np.array([json.dumps(dict(self.facts), sort_keys=True)]),
            'embedder': np.array([self.embedder.name]),
            'weight': self.weight,
            'tie_weight': self.tie_weight,
            'scale': space.scale,
            'texts_centre': space.texts.centre,
            'texts_axes': space.texts.axes,
        }
        for name, directions in (('prompts', space.prompts), ('samples', space.samples)):
            if directions is not None:
                arrays |= {f'{name}_centre': directions.centre, f'{name}_axes': directions.axes}
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **arrays)
        write_atomically(path, content.getvalue())


def load_preferences(path: str | Path, embedder: Embedder | None = None) -> PreferenceModel:
    """Load a model from its file.

    Args:
        path: an .npz written by `PreferenceModel.save`, or a folder with preference.npz.
        embedder: the embedder that the model was trained with; None for MiniLM.

    Raises:
        WeightsError: the file is missing, damaged or of another format, or requires another embedder.
    """
    path = Path(path)
    path = path / 'preference.npz' if path.is_dir() else path
    own_embedder = embedder or CachedEmbedder(SentenceEmbedder())
    try:
        arrays = read_npz(path)
        if arrays['format'].tolist() != [FORMAT]:
            raise ValueError(f'format {arrays["format"].tolist()}')
        saved = json.loads(str(arrays['settings'][0]))
        settings = PreferenceSettings(
            tuple(saved.pop('blocks')),
            int(saved.pop('directions')),
            int(saved.pop('crossed')),
            float(saved.pop('penalty')),
            tuple(saved.pop('control')),
        )
        if saved:
            raise ValueError(f'unknown settings {", ".join(saved)}')
        optional = [name for name in ('prompts', 'samples') if f'{name}_centre' in arrays]
        expected = {*_ARRAYS, *(f'{name}_{part}' for name in optional for part in ('centre', 'axes'))}
        if set(arrays) != expected:
            raise ValueError(f'arrays {", ".join(sorted(set(arrays) ^ expected))} missing or unknown')
        directions = {
            name: Directions(arrays[f'{name}_centre'], arrays[f'{name}_axes']) for name in ('texts', *optional)
        }
        space = FeatureSpace(
            tuple(name for name in BLOCKS if name in settings.blocks),
            directions['texts'],
            settings.crossed,
            directions.get('prompts'),
            directions.get('samples'),
            arrays['scale'],
        )
        weight, tie_weight = arrays['weight'], arrays['tie_weight']
        sizes = {len(weight), len(space.scale), space.width}
        if len(sizes) != 1 or tie_weight.shape != (3,) or not np.isfinite([*weight, *tie_weight, *space.scale]).all():
            raise ValueError(f'{len(weight)} weights and {len(space.scale)} scales for {space.width} features')
        facts = json.loads(str(arrays['facts'][0]))
        name = str(arrays['embedder'][0])
    except (AffektError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise WeightsError(
            expected='a preference model', came=f'{path}: {error}', todo='give a file that `affekt prefer train` wrote'
        ) from error
    if name != own_embedder.name:
        raise WeightsError(
            expected=f'the embedder {name}', came=own_embedder.name, todo='give the embedder of the training'
        )
    return PreferenceModel(settings, space, weight, tie_weight, own_embedder, facts)


_ARRAYS = (
    'format', 'settings', 'facts', 'embedder', 'weight', 'tie_weight', 'scale', 'texts_centre', 'texts_axes',
)  # fmt: skip


def train_preferences(
    train: Pairs,
    validation: Pairs | None = None,
    *,
    embedder: Embedder | None = None,
    samples: SampleFeatures | None = None,
    control: Iterable[str] = (),
    grid: Sequence[PreferenceSettings] = GRID,
) -> PreferenceModel:
    """Train a preference model; settings are chosen by log loss on the validation pairs.

    Args:
        train: judged pairs. If there are annotators' votes, their shares are the target, not the majority alone.
        validation: judged pairs of other samples; None for cross-validation over the training samples.
        embedder: embedder of texts; None for MiniLM.
        samples: name of a sample to the features of its clip.
        control: shortcuts that the model must not use, among CONTROLS; replaces those of the grid.
        grid: settings to compare.

    Returns:
        A PreferenceModel fitted to all of `train` with the chosen settings.

    Raises:
        ComparisonError: there are no verdicts, only ties, a single sample, or no sources to control for.
        UnknownNameError: unknown control.
    """
    own_embedder = embedder or CachedEmbedder(SentenceEmbedder())
    chosen_control = tuple(dict.fromkeys(control))
    grid = [replace(settings, control=chosen_control or settings.control) for settings in grid]
    raw = raw_features(train, own_embedder, samples)
    if validation is not None:
        validation_raw = raw_features(validation, own_embedder, samples)
        losses, folds = _losses(train, raw, validation, validation_raw, grid), []
    else:
        losses, folds = np.zeros(len(grid)), folds_of_samples(train)
        for fold in folds:
            training, held_out = train.take(~fold), train.take(fold)
            losses += _losses(training, _rows(raw, ~fold), held_out, _rows(raw, fold), grid) * fold.mean()
    best = int(np.argmin(losses))
    facts = {
        'pairs': len(train),
        'samples': len(set(train.groups.tolist())),
        'chosen_by': f'{len(folds)} folds of samples' if validation is None else f'{len(validation)} validation pairs',
        'log_loss': float(losses[best]),
        'tried': [
            {'settings': asdict(settings), 'log_loss': loss}
            for settings, loss in zip(grid, losses.tolist(), strict=True)
        ],
    }
    return replace(fit_preferences(train, raw, grid[best], own_embedder), facts=facts)


def fit_preferences(
    train: Pairs, raw: RawFeatures, settings: PreferenceSettings, embedder: Embedder
) -> PreferenceModel:
    """A preference model fitted with given settings.

    1. Features x, restricted to the subspace that is uncorrelated with the controls.
    2. Newton's method on the penalised likelihood of w, the controls' own effects, and u.
    3. The controls' effects are dropped.

    Args:
        train: judged pairs.
        raw: features of these pairs.
        settings: settings of the training.
        embedder: embedder that made the features.

    Raises:
        ComparisonError: there are only ties, or no sources to control for.
    """
    if not train.truth.any():
        raise ComparisonError(
            expected='pairs of which one text was preferred', came=f'{train.source} with ties only', todo='give others'
        )
    space = FeatureSpace.of(raw, settings.blocks, settings.directions, settings.crossed)
    features, ties, target = space(raw), sameness(raw), shares(train)
    control_columns = controls(train, raw, settings.control)
    basis = _orthogonal_to(features.T @ control_columns)
    reduced = np.concatenate([features @ basis, control_columns], axis=1)
    penalties = np.concatenate(
        [
            np.full(basis.shape[1], settings.penalty),
            np.full(control_columns.shape[1], 1e-3 * len(train)),
            np.full(ties.shape[1], TIE_PENALTY),
        ]
    )
    solution = _newton(reduced, ties, target, penalties)
    weight = basis @ solution[: basis.shape[1]]
    return PreferenceModel(settings, space, weight, solution[reduced.shape[1] :], embedder)


def shares(pairs: Pairs) -> Floats:
    """(N, 3) shares of left, tie and right among the votes on a pair; one-hot verdicts where there are no votes."""
    votes = pairs.truth[:, None] if pairs.votes is None else pairs.votes
    return np.stack([(votes == value).mean(axis=1) for value in (1, 0, -1)], axis=1)


def controls(pairs: Pairs, raw: RawFeatures, names: Iterable[str]) -> Floats:
    """(N, Z) odd functions of the shortcuts, of unit mean square; (N, 0) without names.

    Length: d, d |d| and the sign of d, d the log2 ratio of the numbers of characters. Source: for each source but the
    most common, 1 where only the left text is from it, -1 where only the right one is.

    Raises:
        ComparisonError: the source is to be controlled for, and the pairs do not name the sources.
    """
    columns: list[Floats] = []
    for name in names:
        if name == 'length':
            columns += [raw.lengths, raw.lengths * np.abs(raw.lengths), np.sign(raw.lengths)]
        elif not pairs.left_source:
            raise ComparisonError(
                expected='pairs that say who wrote each text',
                came=f'{pairs.source} without',
                todo='add the columns model1, model2, or do not control the source',
            )
        else:
            left_source, right_source = np.asarray(pairs.left_source), np.asarray(pairs.right_source)
            levels, counts = np.unique(np.concatenate([left_source, right_source]), return_counts=True)
            order = np.argsort(-counts, kind='stable')[1:]
            columns += [(left_source == level).astype(np.float64) - (right_source == level) for level in levels[order]]
    scaled = [column / size for column in columns if (size := np.sqrt(np.mean(column**2))) > 0.0]
    return np.stack(scaled, axis=1) if scaled else np.zeros((len(pairs), 0))


def held_out_samples(pairs: Pairs, share: float) -> npt.NDArray[np.bool_]:
    """(N,) True for the pairs of a share of the groups, chosen by hashes of their names, independent of their order.

    Raises:
        ComparisonError: the pairs are all of one group.
    """
    groups = _groups_by_hash(pairs)
    chosen = set(groups[: min(max(1, round(share * len(groups))), len(groups) - 1)])
    return np.asarray([name in chosen for name in pairs.groups.tolist()])


def folds_of_samples(pairs: Pairs) -> list[npt.NDArray[np.bool_]]:
    """FOLDS masks (N,), fewer where there are fewer groups, True for held-out pairs; every group is held out once.

    Raises:
        ComparisonError: the pairs are all of one group.
    """
    index_of = {name: index for index, name in enumerate(_groups_by_hash(pairs))}
    fold = np.asarray([index_of[name] for name in pairs.groups.tolist()]) % min(FOLDS, len(index_of))
    return [fold == number for number in range(min(FOLDS, len(index_of)))]


def _groups_by_hash(pairs: Pairs) -> list[str]:
    """Names of the groups in the order of their hashes."""
    groups = sorted(set(pairs.groups.tolist()), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    if len(groups) < 2:
        raise ComparisonError(
            expected='pairs of two samples or more',
            came=f'{pairs.source} of {len(groups)}',
            todo='give more pairs, or validation pairs',
        )
    return groups


def log_loss(chances: Floats, target: Floats) -> float:
    """Mean over pairs of -sum target log(probability)."""
    return float(-(target * np.log(np.maximum(chances, 1e-300))).sum(axis=1).mean())


def _losses(
    train: Pairs, train_raw: RawFeatures, held_out: Pairs, held_out_raw: RawFeatures, grid: Sequence[PreferenceSettings]
) -> Floats:
    """(len(grid),) log losses on held-out pairs."""
    target, unused = shares(held_out), SentenceEmbedder()  # these models use only features that exist already
    fitted = (fit_preferences(train, train_raw, settings, unused) for settings in grid)
    return np.array([log_loss(model.read(held_out_raw).chances, target) for model in fitted])


def _rows(raw: RawFeatures, keep_mask: npt.NDArray[np.bool_]) -> RawFeatures:
    """Features of the pairs where the mask is True."""

    def kept(sides: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        return sides[0][keep_mask], sides[1][keep_mask]

    return RawFeatures(
        kept(raw.surface),
        kept(raw.emotion),
        kept(raw.vectors),
        None if raw.prompt is None else raw.prompt[keep_mask],
        None if raw.sample is None else raw.sample[keep_mask],
        raw.lengths[keep_mask],
    )


def _orthogonal_to(columns: Floats) -> Floats:
    """(P, P - rank) orthonormal basis of the complement of (P, Z) columns."""
    if not columns.shape[1]:
        return np.eye(len(columns))
    size = np.linalg.norm(columns, axis=0)
    left, values, _ = np.linalg.svd(columns / np.where(size > 0.0, size, 1.0), full_matrices=True)
    rank = int((values > 1e-10).sum())
    return np.asarray(left[:, rank:])


def _chances(score: Floats, tie: Floats) -> Floats:
    """(N, 3) softmax of s / 2, t, -s / 2; swapping sides swaps the outer columns exactly."""
    logits = np.stack([score / 2.0, tie, -score / 2.0], axis=1)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    # The outer two are added first, so that the sum is bit-identical with the sides swapped.
    return np.asarray(odds / ((odds[:, 0] + odds[:, 2]) + odds[:, 1])[:, None])


def _newton(features: Floats, ties: Floats, target: Floats, penalties: Floats) -> Floats:
    """The (P + Q,) minimum of the penalised negative log-likelihood, by Newton's method with step halving.

    With p the probabilities of left, tie and right, a pair adds ((p_l - y_l) - (p_r - y_r)) / 2 to the derivative by s
    and p_t - y_t to that by t; to the second derivatives (p_l + p_r - (p_l - p_r)²) / 4, p_t (1 - p_t) and
    -p_t (p_l - p_r) / 2.
    """
    size = features.shape[1]
    point = np.zeros(size + ties.shape[1])

    def loss_at(parameters: Floats) -> tuple[float, Floats]:
        chances = _chances(features @ parameters[:size], ties @ parameters[size:])
        loss_sum = -(target * np.log(np.maximum(chances, 1e-300))).sum()
        return float(loss_sum + 0.5 * (penalties * parameters**2).sum()), chances

    loss, chances = loss_at(point)
    for _ in range(200):
        lead = chances[:, 0] - chances[:, 2]
        error = (lead - (target[:, 0] - target[:, 2])) / 2.0
        gradient = np.concatenate([features.T @ error, ties.T @ (chances[:, 1] - target[:, 1])]) + penalties * point
        if np.abs(gradient).max() < 1e-9 * len(features):
            break
        by_side = (chances[:, 0] + chances[:, 2] - lead**2) / 4.0
        by_both = -chances[:, 1] * lead / 2.0
        by_tie = chances[:, 1] * (1.0 - chances[:, 1])
        cross = features.T @ (by_both[:, None] * ties)
        curvature = np.block(
            [
                [features.T @ (by_side[:, None] * features), cross],
                [cross.T, ties.T @ (by_tie[:, None] * ties)],
            ]
        ) + np.diag(penalties)
        step = np.linalg.solve(curvature, gradient)
        length = 1.0
        while length > 1e-10:
            loss_after, chances_after = loss_at(point - length * step)
            if loss_after <= loss:
                break
            length /= 2.0
        else:
            break
        point, loss, chances = point - length * step, loss_after, chances_after
    return point
