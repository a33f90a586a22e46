"""Preference models on files: train, evaluate, predict; used by the command line.

Read `model.py` and `evaluation.py` first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from affekt.arrays import Ints
from affekt.errors import ComparisonError, ShapeError
from affekt.npz import read_npz
from affekt.preference.embedding import Embedder
from affekt.preference.evaluation import PreferenceEvaluation, answers_of, evaluate_preferences
from affekt.preference.features import SampleFeatures
from affekt.preference.model import PairReadings, PreferenceModel, load_preferences, train_preferences
from affekt.preference.pairs import Pairs, read_pairs
from affekt.preference.scores import verdicts
from affekt.preference.shortcuts import Answers
from affekt.ranking import comparison_table
from affekt.runs import Run, hashes_of
from affekt.tables import ENDINGS, seen

MODEL = 'preference.npz'
"""File name of a stored model."""
VERDICT_FILES = tuple(ending for ending in ENDINGS if ending != '.npz')
"""Extensions of tables of verdicts; an .npz is a model."""


def train_file(
    pairs: Path,
    out: Path,
    *,
    validation: Path | None = None,
    control: Sequence[str] = (),
    features: Path | None = None,
    embedder: Embedder | None = None,
) -> PreferenceModel:
    """Train on a file of judged pairs; writes preference.npz and settings.json, with input hashes, into `out`.

    Args:
        pairs: table of judged pairs, see `read_pairs`.
        out: a new folder.
        validation: table of judged pairs of other samples; None for cross-validation.
        control: shortcuts that the model must not use: `length`, `source`.
        features: .npz with the features of the clips, see `read_sample_features`.
        embedder: embedder of texts; None for MiniLM.

    Raises:
        ComparisonError: the pairs cannot be read, or a model cannot be trained on them.
        RunError: the folder is not new, or cannot be written.
        UnknownNameError: unknown control.
    """
    train = read_pairs(pairs, judged=True)
    validation_pairs = read_pairs(validation, judged=True) if validation else None
    samples = read_sample_features(features) if features else None
    model = train_preferences(train, validation_pairs, embedder=embedder, samples=samples, control=control)
    inputs = hashes_of(path for path in (pairs, validation, features) if path)
    with Run(out, {'inputs': inputs, 'control': list(control), 'chosen': asdict(model.settings)}):
        model.save(out / MODEL)
    return model


def predict_file(
    model: Path, pairs: Path, *, features: Path | None = None, embedder: Embedder | None = None
) -> tuple[Pairs, PairReadings]:
    """A stored model's predictions for a file of pairs, judged or not.

    Args:
        model: file or folder of the model, see `load_preferences`.
        pairs: table of pairs, see `read_pairs`.
        features: .npz with the features of the clips, if the model was trained with them.
        embedder: the embedder that the model was trained with; None for MiniLM.

    Raises:
        WeightsError: the model cannot be read.
        ComparisonError: the pairs cannot be read.
        ShapeError: features or prompts that the model was trained on are missing.
    """
    preference_model, columns = load_preferences(model, embedder), read_pairs(pairs)
    return columns, preference_model.predict_pairs(columns, read_sample_features(features) if features else None)


def evaluate_file(
    judge: Path,
    pairs: Path,
    *,
    swapped: Path | None = None,
    learned_from: Path | None = None,
    features: Path | None = None,
    resamples: int = 1000,
    seed: int = 0,
    embedder: Embedder | None = None,
) -> PreferenceEvaluation:
    """Scores of a stored model, or of a table of names and preferences, on a file of judged pairs.

    Args:
        judge: file or folder of a model, or a table of verdicts, see `read_verdicts`.
        pairs: table of judged pairs, see `read_pairs`.
        swapped: table of verdicts on the swapped pairs; only beside a table of verdicts.
        learned_from: table of judged pairs from which shortcuts learn who usually wins; None for `pairs`.
        features: .npz with the features of the clips, if the model was trained with them.
        resamples: number of resamples for the intervals.
        seed: seed of the resamples.
        embedder: the embedder that the model was trained with; None for MiniLM.

    Raises:
        WeightsError: the model cannot be read.
        ComparisonError: pairs or verdicts cannot be read, or do not match.
    """
    judged = read_pairs(pairs, judged=True)
    samples = read_sample_features(features) if features else None
    if judge.suffix.lower() in VERDICT_FILES and not judge.is_dir():
        answers = Answers(read_verdicts(judge, judged), read_verdicts(swapped, judged) if swapped else None)
    elif swapped:
        raise ComparisonError(
            expected='verdicts (a table) beside --swapped', came=str(judge), todo='a model answers swapped pairs itself'
        )
    else:
        answers = answers_of(load_preferences(judge, embedder), judged, samples)
    training_pairs = read_pairs(learned_from, judged=True) if learned_from else None
    return evaluate_preferences(
        judged, answers, rng=np.random.default_rng(seed), learned_from=training_pairs, resamples=resamples
    )


def read_verdicts(path: Path, pairs: Pairs) -> Ints:
    """(N,) verdicts from a table of names and preferences, in the order of the pairs.

    Names are matched where they are unique; where a sample has several pairs, the rows must be in the order of the
    pairs.

    Raises:
        ComparisonError: the file cannot be read, a pair has no verdict, or a verdict has no pair.
        UnknownNameError: a verdict is none of a1, a2, same.
    """
    table = comparison_table(path)
    if not {'name', 'preference'} <= set(table.columns):
        raise ComparisonError(
            expected='the columns name and preference',
            came=f'{path.name} with {seen(table.columns)}',
            todo='name them so',
        )
    names = [str(name).strip() for name in table.columns['name']]
    outcomes = verdicts([str(word) for word in table.columns['preference']])
    verdict_counts, pair_counts = Counter(names), Counter(pairs.names)
    if verdict_counts != pair_counts:
        unmatched = next(iter((pair_counts - verdict_counts) or (verdict_counts - pair_counts)))
        raise ComparisonError(
            expected=f'one verdict for each of the {len(pairs)} pairs of {pairs.source}',
            came=f'{len(names)} in {path.name}; {unmatched!r} has {verdict_counts[unmatched]} verdicts '
            f'and {pair_counts[unmatched]} pairs',
            todo='answer every pair once',
        )
    if max(pair_counts.values()) == 1:
        index_of = {name: index for index, name in enumerate(names)}
        return outcomes[[index_of[name] for name in pairs.names]]
    misplaced = next(
        (index for index, (name, expected) in enumerate(zip(names, pairs.names, strict=True)) if name != expected), None
    )
    if misplaced is not None:
        raise ComparisonError(
            expected='verdicts in the order of the pairs, as samples have several',
            came=f'{names[misplaced]!r} in {table.row(misplaced)}',
            todo='write them in that order',
        )
    return outcomes


def read_sample_features(path: Path) -> SampleFeatures:
    """Name of a sample to its (F,) features, from an .npz with one array per sample.

    Arrays (T, F) are averaged over time.

    Raises:
        ArchiveError: the file is damaged or contains other objects than arrays.
        ShapeError: an array is neither (F,) nor (T, F) of numbers, or empty.
    """
    features = {}
    for name, array in read_npz(path).items():
        if (
            not isinstance(array, np.ndarray)
            or array.dtype.kind not in 'fiu'
            or array.ndim not in (1, 2)
            or not array.size
        ):
            raise ShapeError(
                expected='(F,) or (T, F) numbers for every sample',
                came=f'{name} of shape {np.shape(array)} in {path.name}',
                todo='store one array under each sample',
            )
        features[name] = array.astype(np.float64) if array.ndim == 1 else array.astype(np.float64).mean(axis=0)
    return features
