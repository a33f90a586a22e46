"""The outcome on faces and voices as plain tables, Markdown, a page, values for JSON, and Parquet of predictions.

Read `dfer_sheet` first, which defines the contents of all forms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affekt.benchmarks.candidates import CONSTANT, LINEAR, PRIOR
from affekt.benchmarks.dfer import Dfer
from affekt.experiments import (
    ORACLE,
    Row,
    Section,
    Sheet,
    broken_runs,
    gain_cells,
    initials,
    outcome_facts,
    save_outcome,
    score_cells,
    sheet_markdown,
    sheet_page,
    signed_percent,
)
from affekt.pages.figures import spread
from affekt.typed_json import plain
from affekt.wording import counted, percent_in_five

HOW = {
    'fair': 'people of the training part choose the epoch, the tested fold is read once per seed',
    'reference': 'as published: the last epoch, after learning from all but the tested fold',
    ORACLE: 'the epoch that is best on the tested fold, which the published program calls "val": no result',
}
"""Protocol to its description in the notes of the tables."""
MODELS = {
    CONSTANT: 'the most frequent category of the training part, or its mean ratings',
    PRIOR: 'the label of a random training clip',
    LINEAR: 'one layer on the features, settings and epoch chosen on validation',
}
"""Baseline to its description in the notes of the tables."""
SHORT = {'uar': 'UAR', 'war': 'WAR', 'weighted_f1': 'weighted F1', 'micro_f1': 'micro F1', 'macro_f1': 'macro F1'}
"""Score to its name in tables."""
MOST_PUBLISHED = 12
"""Published rows that are shown; all are in the JSON."""


def dfer_sheet(outcome: Dfer) -> Sheet:
    """Title, tables and notes."""
    return Sheet(_title(outcome), tuple(_sections(outcome)), tuple(_lines(outcome)))


def dfer_facts(outcome: Dfer) -> dict[str, Any]:
    """All fields of the outcome as plain values; None if undefined."""
    facts = outcome_facts('DFER', outcome.task, outcome.settings, outcome.recipes, outcome.rows, outcome.notes)
    published = [] if outcome.published is None else outcome.published.rows
    rows = [
        {
            'model': row.model, 'inputs': row.inputs, 'scores': dict(row.scores), 'source': row.source,
            'second_hand': row.is_second_hand,
        }
        for row in published
    ]  # fmt: skip
    folds = (
        {} if outcome.published is None else {name: list(scores) for name, scores in outcome.published.folds.items()}
    )
    protocol = None if outcome.published is None else outcome.published.protocol
    published_tables = {'protocol': protocol, 'rows': rows, 'folds': folds}
    by_fold = [
        {'model': row.system.name, 'protocol': row.system.protocol, 'folds': _by_fold(outcome, row)}
        for row in outcome.rows
    ]
    return {
        **facts, 'tuning': plain(dict(outcome.tuning)), 'models': plain(dict(outcome.models)),
        'by_fold': plain(by_fold), 'published': plain(published_tables),
    }  # fmt: skip


def save_dfer(folder: Path, outcome: Dfer, facts: dict[str, Any]) -> None:
    """Write `dfer.json`, `.md` and `.html`, `rows.parquet` and `predictions.parquet` into a run's folder.

    Raises:
        StorageError: the folder cannot be written.
    """
    sheet = dfer_sheet(outcome)
    pages = {'md': sheet_markdown(sheet), 'html': sheet_page('DFER', outcome.task, sheet, outcome.notes)}
    save_outcome(folder, 'dfer', outcome.task, outcome.rows, facts, pages, with_rows=True)


def _title(outcome: Dfer) -> str:
    task = outcome.task
    target = ', '.join(task.dimensions) if task.dimensions else f'{task.classes} categories'
    names = ', '.join(outcome.models) or 'baselines alone'
    return f'{task.manifest.facts.corpus}, {target}: {names}'


def _sections(outcome: Dfer) -> list[Section]:
    """Scores, gains of fine-tuning, each fold, recalls, published rows, and what the published protocol adds."""
    tables = []
    has_several_tests = len(outcome.task.tests) > 1
    for test in outcome.task.tests:
        rows = tuple(row for row in outcome.rows if row.test == test)
        prefix = f'{test}: ' if has_several_tests else ''
        tables += [_headline(outcome, rows, prefix), _other_scores(outcome, rows, prefix)]
        tables += _gains(rows, prefix)
        if not outcome.task.dimensions:
            tables.append(_recalls(outcome, rows, prefix))
    tables += _folds(outcome)
    tables += _published(outcome)
    tables += _protocol_differences(outcome)
    return tables


def _headline(outcome: Dfer, rows: tuple[Row, ...], prefix: str) -> Section:
    first, second = ('ccc', 'pcc') if outcome.task.dimensions else ('uar', 'war')
    names = ('CCC', 'PCC') if outcome.task.dimensions else ('UAR', 'WAR')
    cells = []
    for row in rows:
        score, sd = score_cells(row)
        interval = row.scores[second]
        cells.append((*_named(row), score, _spread(interval.value, interval), sd))
    title = f'{prefix}{names[0]} and {names[1]}' + (', all folds together' if len(outcome.task.reference) > 1 else '')
    heads = ('on', 'model', 'protocol', f'{names[0]} [95 %]', f'{names[1]} [95 %]', 'sd')
    assert rows[0].headline == first
    return Section(title, heads, tuple(cells), 3, rows)


def _other_scores(outcome: Dfer, rows: tuple[Row, ...], prefix: str) -> Section:
    """Every other score: of dimensions without intervals, which are in the JSON."""
    if outcome.task.dimensions:
        columns = [f'{score}_{name}' for name in outcome.task.dimensions for score in ('ccc', 'pcc')] + ['rmse']
        heads = [f'{score.upper()} {name[0].upper()}' for name in outcome.task.dimensions for score in ('ccc', 'pcc')]
        cells = [(*_named(row), *(_percent(row.scores[name].value) for name in columns[:-1])) for row in rows]
        rmse = [f'{row.scores["rmse"].value:.3f}' for row in rows]
        lines = tuple((*line, error) for line, error in zip(cells, rmse, strict=True))
        return Section(f'{prefix}Each dimension', ('on', 'model', 'protocol', *heads, 'RMSE'), lines, 3)
    columns = ['weighted_f1', 'micro_f1', 'macro_f1']
    lines = tuple(
        (*_named(row), *(_spread(row.scores[name].value, row.scores[name]) for name in columns)) for row in rows
    )
    return Section(f'{prefix}F1', ('on', 'model', 'protocol', 'weighted', 'micro', 'macro'), lines, 3)


def _gains(rows: Sequence[Row], prefix: str) -> Iterator[Section]:
    cells = [
        (*_named(row), 'linear' if gain.kind == 'linear' else gain.over.name, *gain_cells(gain))
        for row in rows
        for gain in row.gains
    ]
    if cells:
        yield Section(
            f'{prefix}Gain of fine-tuning', ('on', 'model', 'protocol', 'over', 'gain [95 %]', 'p'), tuple(cells), 4
        )


def _recalls(outcome: Dfer, rows: Sequence[Row], prefix: str) -> Section:
    """The recall of each category, mean over seeds."""
    task = outcome.task
    assert task.labels is not None
    models = [row for row in rows if row.system.name not in (CONSTANT, PRIOR) and row.system.protocol != ORACLE][:4]
    index = task.tests[rows[0].test]
    truth = task.labels[index]
    cells = []
    for label, name in enumerate(task.manifest.facts.categories):
        of_label = truth == label
        recalls = [
            np.mean([(logits[index][of_label].argmax(axis=1) == label).mean() for logits in row.system.logits])
            if of_label.any()
            else math.nan
            for row in models
        ]
        cells.append((name, str(int(of_label.sum())), *(_percent(float(recall)) for recall in recalls)))
    heads = ('category', 'n', *(_short(row) for row in models))
    return Section(f'{prefix}Recall of each category', heads, tuple(cells), 1)


def _folds(outcome: Dfer) -> Iterator[Section]:
    """UAR and WAR, or CCC and PCC, of each fold: at most three models of the run, and published ones."""
    task = outcome.task
    if len(task.reference) < 2:
        return
    models = [
        row for row in outcome.rows if row.system.name not in (CONSTANT, PRIOR) and row.system.protocol != ORACLE
    ][:3]
    our_scores = {_short(row): _by_fold(outcome, row) for row in models}
    published_scores = {} if outcome.published is None else outcome.published.folds
    published_scores = {
        name: by_fold for name, by_fold in published_scores.items() if len(by_fold) == len(task.reference)
    }
    cells = []
    for number, fold in enumerate(task.reference):
        pairs = [_pair(*by_fold[number]) for by_fold in (*our_scores.values(), *published_scores.values())]
        cells.append((str(number + 1), str(len(fold.test)), *pairs))
    if our_scores or published_scores:
        names = 'CCC / PCC' if task.dimensions else 'UAR / WAR'
        heads = ('fold', 'n', *our_scores, *(f'{name} released' for name in published_scores))
        yield Section(f'Each fold by itself: {names}', heads, tuple(cells), 1)


def _by_fold(outcome: Dfer, row: Row) -> list[tuple[float, float]]:
    """UAR and WAR, or CCC and PCC, of the test part of each fold, as means over seeds; [] of a single fold."""
    task = outcome.task
    folds = task.reference if len(task.reference) > 1 else ()
    names = ('ccc', 'pcc') if task.dimensions else ('uar', 'war')
    scores = []
    for fold in folds:
        by_seed = []
        for logits, values in zip(row.system.logits, row.system.values, strict=True):
            measured = task.measure_of(fold.test, logits[fold.test], values[fold.test]).scores()
            by_seed.append([measured[name] for name in names])
        first, second = np.mean(by_seed, axis=0)
        scores.append((float(first), float(second)))
    return scores


def _published(outcome: Dfer) -> Iterator[Section]:
    """Published rows and ours, sorted by WAR or PCC."""
    if outcome.published is None:
        return
    names = _published_columns(outcome)
    our_rows = [
        (f'yours: {_short(row)}', _inputs(row), {name: row.scores[name].value for name in names}, '')
        for row in outcome.rows
        if row.system.protocol in HOW and row.test == next(iter(outcome.task.tests))
    ]
    rows = sorted(outcome.published.rows, key=lambda row: -_sort_score(row.scores, names))
    published_rows = [(row.model, row.inputs, row.scores, 'quoted' if row.is_second_hand else 'read') for row in rows]
    our_inputs = {inputs for _, inputs, _, _ in our_rows}
    same_inputs_first = sorted(published_rows, key=lambda line: line[1] not in our_inputs)
    selected = same_inputs_first[:MOST_PUBLISHED]
    lines = sorted([*selected, *our_rows], key=lambda line: -_sort_score(line[2], names))
    cells = tuple(
        (model, inputs, *(_percent(scores.get(name, math.nan)) for name in names), origin)
        for model, inputs, scores, origin in lines
    )
    heads = ('published, and yours', 'in', *(SHORT.get(name, _dimension(name)) for name in names), 'source')
    yield Section('Beside published figures', heads, cells, 2)


def _published_columns(outcome: Dfer) -> list[str]:
    """The scores that published rows have, in their order."""
    assert outcome.published is not None
    names = dict.fromkeys(name for row in outcome.published.rows for name in row.scores)
    return [name for name in names if name in outcome.rows[0].scores]


def _sort_score(scores: Mapping[str, float], names: Sequence[str]) -> float:
    """The score that sorts: WAR, else weighted F1, else UAR, else the mean of known PCC; -1 without any."""
    for name in ('war', 'weighted_f1', 'uar'):
        if name in scores and not math.isnan(scores[name]):
            return float(scores[name])
    correlations = [
        scores[name] for name in names if name.startswith('pcc') and not math.isnan(scores.get(name, math.nan))
    ]
    return float(np.mean(correlations)) if correlations else -1.0


def _dimension(name: str) -> str:
    score, _, dimension = name.partition('_')
    return f'{score.upper()} {dimension[:1].upper()}'


def _protocol_differences(outcome: Dfer) -> Iterator[Section]:
    """Differences between the protocols, for models that ran by both."""
    by_key = {(row.system.name, row.test, row.system.protocol): row for row in outcome.rows}
    cells = []
    for name, test in dict.fromkeys((key[0], key[1]) for key in by_key):
        rows = [by_key.get((name, test, protocol)) for protocol in HOW]
        if all(rows):
            fair, last, oracle = (row.scores[row.headline].value for row in rows if row)
            cells.append(
                (name, _percent(fair), _percent(last), signed_percent(last - fair), _percent(oracle),
                 signed_percent(oracle - last))
            )  # fmt: skip
    if cells:
        heads = ('model', 'fair', 'reference', 'difference', ORACLE, 'it would add')
        yield Section('What the published protocol adds', heads, tuple(cells), 1)


def _lines(outcome: Dfer) -> list[str]:
    """Sentences on how to read the tables."""
    settings, task = outcome.settings, outcome.task
    protocols = {row.system.protocol for row in outcome.rows}
    names = {row.system.name for row in outcome.rows}
    sentences = [f'{name}: {how}' for name, how in MODELS.items() if name in names]
    sentences += [f'{protocol}: {how}' for protocol, how in HOW.items() if protocol in protocols]
    if outcome.recipes:
        sentences.append(
            'linear reads ' + ', '.join(f'{name} {recipe.split()[0]}' for name, recipe in outcome.recipes.items())
        )
    tests = sum(len(row.gains) for row in outcome.rows)
    how = (
        'CCC with unbiased moments, mean over dimensions'
        if task.dimensions
        else 'UAR: mean recall of the categories; WAR: accuracy, which is micro F1 with one label per clip'
    )
    sentences += [
        f'figures in per cent; {how}; all folds scored together; seeds: {settings.seeds}',
        'intervals and tests draw whole groups (speakers, dialogues, recordings or sessions, where known); '
        f'{settings.resamples} resamples' + (f', p after Holm over {counted(tests, "test")}' if tests else ''),
    ]
    if outcome.published is not None:
        hidden = len(outcome.published.rows) - MOST_PUBLISHED
        more = f'; {counted(hidden, "more row")} in the JSON' if hidden > 0 else ''
        sentences.append(
            f'published: {outcome.published.protocol}; quoted: second hand, the original was not read{more}'
        )
        sentences.append(f'from {outcome.published.source}')
    return [*sentences, *broken_runs(outcome.rows), *outcome.notes]


def _named(row: Row) -> tuple[str, str, str]:
    return _inputs(row, '+'), row.system.name, row.system.protocol


def _inputs(row: Row, between: str = '') -> str:
    """`A`, `V`, or both with `between` in the middle."""
    return initials(sorted(row.system.modalities)).replace('+', between)


def _short(row: Row) -> str:
    return row.system.name if row.system.protocol == 'fair' else f'{row.system.name} {row.system.protocol}'


def _pair(first: float, second: float) -> str:
    return f'{_percent(first)} / {_percent(second)}'


def _percent(value: float) -> str:
    return '–' if math.isnan(value) else percent_in_five(value)


def _spread(value: float, interval: Any) -> str:
    return '–' if math.isnan(value) else spread(value, interval)
