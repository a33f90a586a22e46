"""OV-MER: systems that name emotions in free words, each in up to three modes, scored under several word tables.

The input is predictions and one truth. For every table the systems of a mode are ranked: by M-avg with the official
scores, and by the partial credit for near misses with the table `affekt`, whose scores count every word. The output
also has the published scores, the agreement of both with the paper's own grouping by a language model (column GPT),
groups of systems without significant differences, and changes of rank between tables.

A *view* is one table with its scoring rule; a *mode* is the input of a system: `nosubtitle-addsub` (clues first, the
subtitle merged into them later, as in the paper), `subtitle`, `nosubtitle`, or '' if a file does not say.

Source: OV-MER, arXiv:2410.01495.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Floats
from affekt.benchmarks.comparisons import Ranking, rank_systems
from affekt.benchmarks.predictions import OPENSETS, folder_content, prediction_files, require_no_strangers
from affekt.benchmarks.published import published
from affekt.benchmarks.sets import NAMES
from affekt.benchmarks.unibench import CONSTANTS
from affekt.errors import AffektError, TableError
from affekt.labels import WordTable, count_thinking, load_table, read_answers
from affekt.metrics import (
    ConsistentMeasure,
    LabelledAnswers,
    OfficialMeasure,
    consistent_parse,
    official_parse,
    pearson,
)
from affekt.progress import Progress
from affekt.tables import answers_by_name, read_columns
from affekt.wording import counted, subject

MODES = ('nosubtitle-addsub', 'nosubtitle', 'subtitle')
"""Modes that file and folder names can state; a longer name precedes its own beginning."""
PAPER_MODE = MODES[0]
"""Mode of the published table."""
LEVEL = 0.05
"""p-value, corrected over pairs, below which two systems differ significantly."""
TABLES = ('2025', '2026', 'affekt')
"""Word tables that are used by default."""
_MODE = re.compile('|'.join(MODES))


@dataclass(frozen=True)
class System:
    """One model in one mode."""

    model: str
    mode: str
    path: Path


@dataclass(frozen=True)
class View:
    """All systems under one table."""

    name: str
    table: str
    """Name, version and hash of the table."""
    rule: str
    """`official` or `consistent`."""
    headline: str
    """Name of the score that ranks."""
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    """Mode to model to all scores."""
    rankings: Mapping[str, Ranking]
    """Mode to ranking."""
    floors: Mapping[str, float]
    """Name of a constant answer to its headline score."""

    @property
    def floor(self) -> tuple[str, float]:
        """The best constant answer, and its headline score."""
        return max(self.floors.items(), key=lambda floor: floor[1])


@dataclass(frozen=True)
class Agreement:
    """Agreement of one metric with the published GPT column over models."""

    models: int
    pearson: float
    spearman: float


@dataclass(frozen=True)
class Move:
    """Difference of a ranking between the first view and another."""

    mode: str
    before: str
    after: str
    kendall: float
    moved: Mapping[str, tuple[int, int]]
    """Model to its two ranks, if they differ."""


@dataclass(frozen=True)
class Ovmer:
    """Result of the benchmark."""

    samples: int
    systems: tuple[System, ...]
    answers: Mapping[str, Mapping[str, Mapping[str, float]]]
    """Mode to model to labels per answer and empty answers."""
    views: tuple[View, ...]
    moves: tuple[Move, ...]
    agreements: Mapping[str, Mapping[str, Agreement]]
    """`published`, `published, same models` or a view's name, to metric to agreement with GPT in the paper's mode."""
    notes: tuple[str, ...]
    inputs: tuple[Path, ...]


def run_ovmer(
    predictions: Path,
    truth: Path,
    *,
    rng: np.random.Generator,
    tables: Sequence[WordTable | str | Path] = (),
    resamples: int = 2000,
    progress: Progress | None = None,
) -> Ovmer:
    """Score and rank systems on OV-MERD or any other set of free labels.

    Args:
        predictions: a folder of `<model>/output-…-<mode>-eng-openset.npz`, `<model>-<mode>/*.npz`, `<model>/<mode>.csv`
            or `<model>.csv`, which may contain the released `results-ovmerd`; or one file.
        truth: a table with name and openset.
        rng: generator of resamples and exchanges.
        tables: names, files or folders of tables; () for those of 2025, 2026 and affekt that are available.
        resamples: number of resamples for intervals and tests.
        progress: called with the stage, units done and total units.

    Raises:
        TableError: a path is missing or empty, a file is damaged, or names do not match.
        ArchiveError: an archive is damaged.
        UnknownNameError: unknown table.
        WeightsError: a requested table is not available.
    """
    # 1. Find the systems.
    systems = find_systems(predictions)
    labels = read_answers(truth)
    answers = {system: _read(system, labels) for system in systems}
    loaded, notes = _tables(tables)
    notes += _resample_notes(systems, resamples)
    # 2. Rank the systems of every mode under every table.
    views = []
    for done, table in enumerate(loaded):
        if progress:
            progress('rank', done, len(loaded))
        views.append(_view(table, labels, answers, rng, resamples))
    if progress:
        progress('rank', 1, 1)
    # 3. Changes of rank, and agreement with the published grouping by a language model.
    moves = [_move(mode, views[0], view) for view in views[1:] for mode in view.rankings]
    by_mode: dict[str, dict[str, dict[str, float]]] = {}
    for system, predicted in answers.items():
        sizes = [len(official_parse(predicted[name])) for name in labels]
        thinking = count_thinking(predicted[name] for name in labels)
        statistics = {
            'labels_per_answer': float(np.mean(sizes)),
            'empty_answers': float(sizes.count(0)),
            'with_thinking': float(thinking),
        }
        if thinking:
            clause = subject(thinking, 'answer', 'holds', 'hold')
            notes += (
                f'{system.model} {system.mode}: {clause} what the model thought aloud; official scores '
                'count its words, consistent ones leave them out',
            )
        by_mode.setdefault(system.mode, {})[system.model] = statistics
    inputs = (truth, *(system.path for system in systems))
    return Ovmer(len(labels), systems, by_mode, tuple(views), tuple(moves), _agreements(views), notes, inputs)


def find_systems(predictions: Path) -> tuple[System, ...]:
    """Every model and mode in a folder, or the one in a file.

    Raises:
        TableError: there is none, or a model has two files for a mode.
    """
    if predictions.is_file():
        return (System(predictions.stem.removesuffix('-openset'), '', predictions),)
    root = predictions
    folder_content(root, 'predictions')
    if (root / 'results-ovmerd').is_dir():
        root = root / 'results-ovmerd'
    systems: dict[tuple[str, str], System] = {}
    for child in folder_content(root, 'predictions'):
        files = prediction_files(child) if child.is_dir() else [child] if child in prediction_files(root) else []
        opensets = [path for path in files if path.stem.endswith('-openset')]
        for path in opensets or files:
            stem = path.stem.removesuffix('-openset')
            model, mode = _split(child.name if child.is_dir() else stem)
            mode = mode or (_split(stem)[1] if child.is_dir() else '')
            if (model, mode) in systems:
                raise TableError(
                    expected=f'one file for {model} in mode {mode or "(none)"}',
                    came=f'{systems[model, mode].path} and {path}',
                    todo=f'keep one, or put {", ".join(MODES)} into their names',
                )
            systems[model, mode] = System(model, mode, path)
    if not systems:
        raise TableError(
            expected='<model>/<mode>.csv, or the released <model>/output-…-openset.npz',
            came=f'{root} without any',
            todo='put them there',
        )
    return tuple(systems.values())


def _split(name: str) -> tuple[str, str]:
    """A name without its mode, and the mode."""
    mode = _MODE.search(name)
    return (name[: mode.start()].rstrip('-_ ') or name, mode.group(0)) if mode else (name, '')


def _read(system: System, truth: Mapping[str, Any]) -> Mapping[str, Any]:
    columns = read_columns(system.path)
    answers = answers_by_name(columns, system.path, NAMES, OPENSETS)
    if answers is None:
        raise TableError(
            expected=f'a column {" or ".join(OPENSETS[:-1])}',
            came=f'{system.path} with {columns.seen()}',
            todo='read the labels out of the descriptions first (`affekt extract`)',
        )
    require_no_strangers(truth, answers, str(system.path))
    return answers


def _tables(tables: Sequence[WordTable | str | Path]) -> tuple[list[WordTable], tuple[str, ...]]:
    """The requested tables, or those of the usual three that are available; and notes on the missing ones."""
    if tables:
        return [table if isinstance(table, WordTable) else load_table(table) for table in tables], ()
    loaded, notes = [], []
    for name in TABLES:
        try:
            loaded.append(load_table(name))
        except AffektError as error:
            notes.append(f'table {name} left out: {error.todo}')
    return loaded, tuple(notes)


def _resample_notes(systems: Sequence[System], resamples: int) -> tuple[str, ...]:
    """A note where the resamples are too few for any pair to differ significantly."""
    systems_of_mode = max(Counter(system.mode for system in systems).values())
    pairs = systems_of_mode * (systems_of_mode - 1) // 2
    if pairs / (1 + resamples) < LEVEL:
        return ()
    return (
        f'{resamples:,} resamples tell none of {counted(pairs, "pair")} apart; take at least {round(pairs / LEVEL)}',
    )


def _view(
    table: WordTable,
    truth: Mapping[str, Any],
    answers: Mapping[System, Mapping[str, Any]],
    rng: np.random.Generator,
    resamples: int,
) -> View:
    measure = _official if len(table.published) == len(table.wheels) else _consistent
    scores: dict[str, dict[str, dict[str, float]]] = {}
    columns: dict[str, dict[str, Floats]] = {}
    rule = headline = ''
    for system, predicted in answers.items():
        all_scores, score_columns, rule, headline = measure(table, truth, predicted)
        scores.setdefault(system.mode, {})[system.model] = all_scores
        columns.setdefault(system.mode, {})[system.model] = score_columns
    score = _score_of(table, rule, headline)
    rankings = {
        mode: rank_systems(predicted, dict.fromkeys(predicted, score), rng=rng, resamples=resamples, level=1 - LEVEL)
        for mode, predicted in columns.items()
    }
    common = [
        label
        for label, _ in Counter(word for answer in truth.values() for word in official_parse(answer)).most_common(6)
    ]
    constants = {', '.join(words): list(words) for words in (*CONSTANTS, *(common[:size] for size in (2, 4, 6)))}
    floors = {
        name: measure(table, truth, dict.fromkeys(truth, words))[0][headline] for name, words in constants.items()
    }
    return View(table.name, table.label, rule, headline, scores, rankings, floors)


_Measured = tuple[dict[str, float], Floats, str, str]
"""All scores, the columns for the headline, the rule, the name of the headline."""


def _official(table: WordTable, truth: Mapping[str, Any], prediction: Mapping[str, Any]) -> _Measured:
    measure = OfficialMeasure(table, LabelledAnswers.of(truth, prediction, official_parse))
    values = measure.statistic(measure.columns.sum(axis=0, keepdims=True))
    return {name: float(value[0]) for name, value in values.items()}, measure.columns, 'official', 'M-avg f'


def _consistent(table: WordTable, truth: Mapping[str, Any], prediction: Mapping[str, Any]) -> _Measured:
    answers = LabelledAnswers.of(truth, prediction, consistent_parse(table))
    measure = ConsistentMeasure(table, answers.where(answers.truth.sizes > 0))
    values = measure.statistic(measure.columns.sum(axis=0, keepdims=True))
    headline = f'{measure.near[-1]} f1'
    # A mean over samples: the score of each sample is all that resamples need.
    sample_scores = np.stack([np.ones(len(measure.columns)), measure.statistic(measure.columns)[headline]], axis=1)
    return {name: float(value[0]) for name, value in values.items()}, sample_scores, 'consistent', headline


def _score_of(table: WordTable, rule: str, headline: str) -> Callable[[Floats], Floats]:
    if rule == 'consistent':
        return lambda sums: sums[:, 1] / sums[:, 0]
    statistic = OfficialMeasure(table, LabelledAnswers.of({}, {}, official_parse)).statistic
    return lambda sums: statistic(sums)[headline]


def _move(mode: str, before: View, after: View) -> Move:
    from scipy.stats import kendalltau  # importing it takes half a second, which all scoring would wait for

    ranks_before, ranks_after = before.rankings[mode].ranks, after.rankings[mode].ranks
    moved = {
        model: (ranks_before[model][0], ranks_after[model][0])
        for model in ranks_before
        if ranks_before[model][0] != ranks_after[model][0]
    }
    values = [[view.rankings[mode].scores[model].value for model in ranks_before] for view in (before, after)]
    tau = float(kendalltau(*values).statistic) if len(ranks_before) > 1 else float('nan')
    return Move(mode, before.name, after.name, tau, moved)


def _agreements(views: Sequence[View]) -> dict[str, dict[str, Agreement]]:
    """Correlations (Pearson, Spearman) with the published GPT column, of published metrics and of ours."""
    rows = {row.model: row.scores for row in published('ovmer').rows}
    own_models = [model for model in rows if views and model in views[0].scores.get(PAPER_MODE, {})]
    metrics = [name for name in next(iter(rows.values())) if name != 'GPT']
    agreements = {
        'published': {name: _agreement(rows, {model: rows[model][name] for model in rows}) for name in metrics}
    }
    if len(own_models) < 3:
        return agreements
    agreements['published, same models'] = {
        name: _agreement(rows, {model: rows[model][name] for model in own_models}) for name in metrics
    }
    for view in views:
        scores = view.scores[PAPER_MODE]
        metrics_of_view = [name for name in scores[own_models[0]] if name.endswith((' f', ' f1'))]
        agreements[view.name] = {
            name: _agreement(rows, {model: scores[model][name] for model in own_models}) for name in metrics_of_view
        }
    return agreements


def _agreement(rows: Mapping[str, Mapping[str, float]], values: Mapping[str, float]) -> Agreement:
    from scipy.stats import rankdata

    gpt, other = np.array([rows[model]['GPT'] for model in values]), np.array(list(values.values()))
    return Agreement(len(values), pearson(gpt, other), pearson(rankdata(gpt), rankdata(other)))
