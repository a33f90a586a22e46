"""MER-UniBench: nine sets of emotion and sentiment, scored for all of one model's predictions that are available.

The input is a folder of predictions and a folder of labels; every set that has both is scored at every checkpoint, and
every other set is listed with how to get it. Scores equal the published ones to the last digit (table 2025). The output
also has four protocols of choosing a checkpoint (`selection.py`), intervals, scores of constant answers, labels per
answer, and the published rows. A mean states its number of sets; incomplete sets are in no mean.

Source: AffectGPT, arXiv:2501.16566.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Floats
from affekt.benchmarks.measures import (
    Measured,
    derived_sentiment,
    measure_basic,
    measure_fine_grained,
    measure_sentiment,
    require_answers,
)
from affekt.benchmarks.predictions import (
    CheckpointFiles,
    Prediction,
    choose_checkpoint,
    find_predictions,
    read_prediction,
    require_no_strangers,
    short_name,
)
from affekt.benchmarks.selection import Row, select
from affekt.benchmarks.sets import UNIBENCH, UniBenchSet, find_labels, read_labels_of, set_named
from affekt.errors import TableError, listed
from affekt.labels import WordTable, load_table
from affekt.metrics import official_parse, resampled_sums, student_interval, summed_by
from affekt.metrics.group_sizes import degrees_of
from affekt.metrics.resampling import Spread, influences_of, linearised_variances, sizes_of, spread
from affekt.progress import Progress
from affekt.wording import subject

CONSTANTS: tuple[tuple[str, ...], ...] = (
    ('happy', 'angry', 'sad', 'worried', 'surprised', 'neutral'),
    ('anger', 'joy', 'sadness', 'neutral', 'disgust', 'fear', 'surprise'),
    ('angry', 'sad', 'worried', 'happy'),
    ('angry', 'worried', 'sad'),
    ('angry', 'worried'),
)
"""Constant answers whose scores are shown as baselines."""
MOST_FREQUENT = (1, 2, 4, 6)
"""Numbers of the truth's most frequent labels that are also used as constant answers."""


@dataclass(frozen=True)
class SetResult:
    """One set at every checkpoint."""

    set: UniBenchSet
    samples: int
    """Number of samples with a truth."""
    scored: float
    """Number of samples in the headline score; neutral, or a sentiment of 0, is never scored."""
    scores: Mapping[str, Mapping[str, float]]
    """Checkpoint to all scores."""
    headlines: Mapping[str, float]
    """Checkpoint to headline score."""
    facts: Mapping[str, Mapping[str, float]]
    """Checkpoint to labels per answer, empty answers, share of unknown words …"""
    floors: Mapping[str, float]
    """Name of a constant answer to its headline score."""
    sentiment: str
    """Origin of the sentiment words; '' if none are needed."""
    notes: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether it has as many samples as the published composition, and so may be in the mean."""
        return self.samples == self.set.samples

    @property
    def floor(self) -> float:
        """Headline score of the best constant answer."""
        return max(self.floors.values())


@dataclass(frozen=True)
class UniBench:
    """Result of the benchmark."""

    table: str
    """Word table with version and hash."""
    checkpoints: tuple[str, ...]
    """Checkpoints that every set has."""
    results: Mapping[str, SetResult]
    """Set key to result, in the published order."""
    absent: Mapping[str, str]
    """Set key to the reason for its absence, and how to get it."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    inputs: tuple[Path, ...]
    """All files that were read."""


def run_unibench(
    predictions: Path,
    labels: Path,
    *,
    rng: np.random.Generator,
    table: WordTable | str | Path = '2025',
    sets: Collection[str] = (),
    model: str | None = None,
    checkpoint: str | None = None,
    dev: str | None = None,
    resamples: int = 1000,
    progress: Progress | None = None,
) -> UniBench:
    """Score a model's predictions on every available set of MER-UniBench.

    Args:
        predictions: a folder of `results-<set>/<model>/*-openset.npz` or `<set>/<checkpoint>.csv`.
        labels: a folder of official releases or plain tables; see `sets.find_labels`.
        rng: generator of the resamples of the intervals.
        table: a word table, its name, or a folder of official files.
        sets: keys of the sets; () for all.
        model: name of the folder below each set, if there are several.
        checkpoint: the checkpoint declared beforehand, by name or number; None for the last.
        dev: set for choosing the best single checkpoint; None for none.
        resamples: number of resamples of each interval.
        progress: called with the stage, units done and total units.

    Raises:
        TableError: a folder is missing or empty, a file is damaged, or names do not match.
        UnknownNameError: unknown set, model, checkpoint or table.
        ArchiveError: an archive is damaged.
        WeightsError: the official table is not available.
    """
    set_keys = [set_named(name).key for name in sets]
    table = table if isinstance(table, WordTable) else load_table(table)
    # 1. Find predictions and labels.
    folder = find_predictions(predictions, sets=set_keys, model=model)
    predicted = folder.sets
    truths, absent = _labels(predicted, labels, set_keys)
    # 2. Score every set at every checkpoint.
    pairs = [(set_named(key), name) for key in truths for name in predicted[key]]
    measured: dict[str, dict[str, Measured]] = {key: {} for key in truths}
    origins: dict[str, str] = {}
    for done, (unibench_set, name) in enumerate(pairs):
        if progress:
            progress('score', done, len(pairs))
        measured[unibench_set.key][name], origins[unibench_set.key] = _measure(
            unibench_set, truths[unibench_set.key], predicted[unibench_set.key][name], table
        )
    if progress:
        progress('score', 1, 1)
    # 3. Constant answers, and notes on each set.
    results = {key: _result(set_named(key), truths[key], measured[key], table, origins[key]) for key in measured}
    # 4. Common checkpoints, and the protocols over them.
    common, notes = _common(measured)
    notes += tuple(f'{name}: a folder named as no set, not looked at' for name in folder.strangers)
    declared = None if checkpoint is None else choose_checkpoint(checkpoint, common)
    deciding_set = None if dev is None else set_named(dev).key
    if deciding_set is not None and deciding_set not in results:
        raise TableError(
            expected=f'predictions and labels of {deciding_set}, which chooses', came='none', todo='choose another'
        )
    counted = [key for key, result in results.items() if result.whole]
    headlines = {key: result.headlines for key, result in results.items()}
    first, *others = select(headlines, counted, common, fixed=declared, dev=deciding_set)
    # 5. Intervals of the fixed checkpoint.
    rows = (_with_intervals(first, measured, rng, resamples, progress), *others)
    inputs = [path for key in truths for files in predicted[key].values() for path in files.paths]
    inputs += [path for key in truths if (path := find_labels(set_named(key), labels))]
    return UniBench(table.label, common, results, absent, rows, notes, tuple(inputs))


def _labels(
    predicted: Mapping[str, Any], labels: Path, set_keys: Collection[str]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """The truth of every set with predictions and labels, and reasons for the absence of others."""
    if not labels.is_dir():
        raise TableError(
            expected='a folder of labels',
            came=f'{"a file" if labels.is_file() else "nothing"} at {labels}',
            todo='check the path',
        )
    truths, absent = {}, {}
    for unibench_set in UNIBENCH:
        if set_keys and unibench_set.key not in set_keys:
            continue
        path = find_labels(unibench_set, labels)
        if unibench_set.key not in predicted:
            absent[unibench_set.key] = 'no predictions'
        elif path is None:
            absent[unibench_set.key] = f'no labels; {unibench_set.source}'
        else:
            truths[unibench_set.key] = read_labels_of(unibench_set, path)
    if not truths:
        raise TableError(
            expected=f'labels of {listed(list(predicted), 9)}',
            came=f'none of them in {labels}',
            todo='put them there as in the release (meld-process/label.npz) or as meld.csv with name,label',
        )
    return truths, absent


def _measure(
    unibench_set: UniBenchSet, truth: Mapping[str, Any], files: CheckpointFiles, table: WordTable
) -> tuple[Measured, str]:
    """One checkpoint's measure on one set, and the origin of its sentiment words."""
    prediction = read_prediction(unibench_set, files)
    path = str(files.paths[0])
    for answers in (prediction.openset, prediction.sentiment):
        # Predictions cover the whole set even if only part of the labels is public.
        if answers and len(truth) >= unibench_set.samples:
            require_no_strangers(truth, answers, path)
    if unibench_set.task == 'sentiment':
        words, source = _sentiment_words(prediction, path)
        return measure_sentiment(truth, words), source
    if not prediction.is_extracted:
        require_answers(truth, prediction.openset, path)
    measure = measure_basic if unibench_set.task == 'basic' else measure_fine_grained
    return measure(truth, prediction.openset, table), ''


@lru_cache(maxsize=1)
def _table_of_valence() -> WordTable:
    return load_table('affekt')


def _sentiment_words(prediction: Prediction, path: str) -> tuple[Mapping[str, str], str]:
    if prediction.sentiment is not None:
        return prediction.sentiment, 'as predicted'
    valence = _table_of_valence()
    if not prediction.is_extracted:
        require_answers(prediction.openset, prediction.openset, path)
    return derived_sentiment(prediction.openset, valence), f'derived from open labels by valence, table {valence.label}'


def _result(
    unibench_set: UniBenchSet, truth: Mapping[str, Any], measured: Mapping[str, Measured], table: WordTable, source: str
) -> SetResult:
    scores = {name: measure.scores() for name, measure in measured.items()}
    headlines = {name: scores[name][measure.headline] for name, measure in measured.items()}
    counts = scores[next(iter(measured))]
    scored = counts.get('HIT n', counts.get('EW-L1 n', counts.get('n', float('nan'))))
    notes = []
    if len(truth) != unibench_set.samples:
        notes.append(
            f'{len(truth)} of {unibench_set.samples} samples: in no mean, and not comparable with published figures'
        )
    thinking = max(measure.facts.get('with_thinking', 0.0) for measure in measured.values())
    if thinking:
        answers = subject(round(thinking), 'answer', 'holds', 'hold')
        notes.append(f'{answers} what the model thought aloud; the published parser counts its words')
    return SetResult(
        unibench_set, len(truth), scored, scores, headlines,
        {name: measure.facts for name, measure in measured.items()}, floors(unibench_set, truth, table), source,
        tuple(notes),
    )  # fmt: skip


def floors(unibench_set: UniBenchSet, truth: Mapping[str, Any], table: WordTable) -> dict[str, float]:
    """Headline scores of constant answers: fixed lists, and the truth's own most frequent labels.

    Args:
        unibench_set: the set; for sentiment, the answers are single signs.
        truth: labels of the set.
        table: word table that folds the words.
    """
    if unibench_set.task == 'sentiment':
        return {
            f'all {sign}': measure_sentiment(truth, dict.fromkeys(truth, sign)).value()
            for sign in ('positive', 'negative')
        }
    measure = measure_basic if unibench_set.task == 'basic' else measure_fine_grained
    scores = {}
    frequent = [label for label, _ in Counter(_true_labels(truth)).most_common(max(MOST_FREQUENT))]
    answers = {', '.join(constant): list(constant) for constant in CONSTANTS}
    answers |= {
        f'the {size} most frequent true labels': frequent[:size] for size in MOST_FREQUENT if size <= len(frequent)
    }
    for name, answer in answers.items():
        scores[name] = measure(truth, dict.fromkeys(truth, answer), table).value()
    return scores


def _true_labels(truth: Mapping[str, Any]) -> list[str]:
    return [label for answer in truth.values() for label in dict.fromkeys(official_parse(answer))]


def _common(measured: Mapping[str, Mapping[str, Any]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The checkpoints that every set has, and notes on further ones.

    Raises:
        TableError: there is none; scores of different checkpoints are never mixed.
    """
    shared = set.intersection(*(set(by_checkpoint) for by_checkpoint in measured.values()))
    if not shared:
        raise TableError(
            expected='one checkpoint that every set has',
            came='; '.join(
                f'{key}: {listed([short_name(name) for name in by_checkpoint], 3)}'
                for key, by_checkpoint in measured.items()
            ),
            todo='name the files alike, or choose --sets that go together',
        )
    others = {key: [name for name in by_checkpoint if name not in shared] for key, by_checkpoint in measured.items()}
    notes = tuple(
        f'{key}: {listed([short_name(name) for name in names])} left out, other sets lack it'
        for key, names in others.items()
        if names
    )
    first = next(iter(measured.values()))
    return tuple(name for name in first if name in shared), notes


def _with_intervals(
    row: Row,
    measured: Mapping[str, Mapping[str, Measured]],
    rng: np.random.Generator,
    resamples: int,
    progress: Progress | None,
) -> Row:
    """The row with intervals of each set's headline and of the mean, over whole dialogues or recordings."""
    spreads: dict[str, Spread] = {}
    units: dict[str, int] = {}
    for done, (key, name) in enumerate(row.checkpoints.items()):
        if progress:
            progress('intervals', done, len(row.checkpoints))
        measure = measured[key][name]
        groups = np.array([set_named(key).group(sample) for sample in measure.names])
        by_group = summed_by(measure.columns, groups)
        units[key] = len(by_group)
        resampled = _headlines(measure, by_group, rng, resamples)
        spreads[key] = Spread(resampled[measure.headline])
        if units[key] > 1:
            resampled_samples = partial(_headlines, measure, measure.columns, rng.spawn(1)[0])
            spreads[key] = spread(
                resampled, sizes_of(groups), resampled_samples,
                partial(linearised_variances, measure.statistic, measure.columns),
                influences_of(measure.statistic, by_group, sizes_of(groups)),
            )[measure.headline]  # fmt: skip
    if progress:
        progress('intervals', 1, 1)
    means = np.mean([spreads[key].draws for key in row.counted], axis=0) if row.counted else np.zeros(0)
    intervals = {
        key: student_interval(
            row.scores[key], spread_of_set.draws, units=units[key], known=spread_of_set.known,
            samples=len(measured[key][row.checkpoints[key]].columns),
        )
        for key, spread_of_set in spreads.items()
    }  # fmt: skip
    fewest = min(row.counted, key=lambda key: degrees_of(spreads[key].known, units[key]), default=None)
    known = spreads[fewest].known if fewest else None
    mean = student_interval(
        row.mean, means, units=units[fewest] if fewest else 0, known=known and known.with_influences(None)
    )
    return replace(row, intervals=intervals, mean_interval=mean)


def _headlines(measured: Measured, units: Floats, rng: np.random.Generator, resamples: int) -> dict[str, Floats]:
    """(R,) headline score of each set, on resamples of units."""
    sums = resampled_sums(units, rng=rng, resamples=resamples)
    return {measured.headline: measured.statistic(sums)[measured.headline]}


def rivals(outcome: UniBench, columns: Sequence[str]) -> list[tuple[str, str, dict[str, float], float]]:
    """The published rows on the given sets: model, inputs, scores, and their mean over these sets."""
    from affekt.benchmarks.published import published

    rows = []
    for row in published('unibench').rows:
        scores = {key: row.scores[key] for key in columns}
        rows.append((row.model, row.inputs, scores, float(np.mean(list(scores.values()))) if scores else float('nan')))
    return rows
