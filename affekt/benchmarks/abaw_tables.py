"""The outcome of ABAW as plain tables, Markdown, a page, and values for JSON.

Read `abaw_sheet` first, which defines the contents of all forms.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from affekt.benchmarks.abaw import Abaw, save_answers
from affekt.benchmarks.abaw_scores import ABAW_TASKS, BASELINES, PART_NAMES, PER_FRAME, AbawRow
from affekt.benchmarks.frame_models import CARRIED
from affekt.experiments import Section, Sheet, plain_sheet_page, sheet_markdown
from affekt.frames import Smoothing
from affekt.metrics import Interval
from affekt.pages.figures import spread
from affekt.runs import versions, write_atomically
from affekt.typed_json import json_file, plain
from affekt.wording import counted, percent, signed

TITLES = {
    'expr': 'Expression: mean F1 of all classes', 'va': 'Valence and arousal: mean concordance',
    'au': 'Action units: mean F1', 'mtl': 'All three at once: sum of the three scores',
}  # fmt: skip
SHORT_TITLES = {'expr': 'expressions', 'va': 'valence and arousal', 'au': 'action units', 'mtl': 'all three at once'}
CURVES = {'expr': 'intensity of 7 emotions', 'va': 'valence and arousal', 'au': 'amount of 12 action units'}
"""Task to the content of its commanded curves."""
SMOOTHED = 'Smoothing chosen on validation'


def abaw_sheet(outcome: Abaw) -> Sheet:
    """Title, tables and notes."""
    return Sheet(_title(outcome), tuple(_sections(outcome)), tuple(_lines(outcome)))


def abaw_facts(outcome: Abaw) -> dict[str, Any]:
    """All fields of the outcome as plain values; None if undefined."""
    outcome_as_json: dict[str, Any] = plain({
        'benchmark': 'ABAW', 'corpus': outcome.corpus, 'settings': outcome.settings.as_json(),
        'features': dict(outcome.recipes), 'counts': dict(outcome.counts), 'notes': list(outcome.notes),
        'rows': [_row_facts(row) for row in outcome.rows],
    })  # fmt: skip
    return outcome_as_json


def save_abaw(folder: Path, outcome: Abaw, facts: Mapping[str, Any]) -> None:
    """Write `abaw.json`, `.md` and `.html`, and the predictions for the test videos, into a run's folder.

    Raises:
        StorageError: the folder cannot be written.
    """
    sheet = abaw_sheet(outcome)
    write_atomically(folder / 'abaw.json', json_file({**facts, 'versions': versions()}))
    write_atomically(folder / 'abaw.md', sheet_markdown(sheet).encode())
    page = plain_sheet_page('ABAW', outcome.corpus, sheet, outcome.notes, outcome.counts)
    write_atomically(folder / 'abaw.html', page.encode())
    save_answers(folder, outcome)


def _row_facts(row: AbawRow) -> dict[str, Any]:
    training = {name: value for name, value in dataclasses.asdict(row.training).items() if value}
    optional: dict[str, Any] = {'training': training} if training else {}
    if row.over_seeds:
        optional['over_seeds'] = [round(score, 4) for score in row.over_seeds]
    return optional | {
        'task': row.task, 'system': row.system, 'headline': row.headline,
        'scores': {part: _figures(scores) for part, scores in row.scores.items()},
        'smoothed': {part: _figures(scores) for part, scores in row.smoothed.items()},
        'gain_over_per_frame': None if row.gain is None else _figure(row.gain),
        'recovery': _figures(row.recovery), 'recovery_unseen': _figures(row.unseen),
        'smoothing': {field: dataclasses.asdict(smoothing) for field, smoothing in row.smoothing.items()},
        'epoch': row.epoch, 'parameters': row.parameters, 'seconds': round(row.seconds, 1),
    }  # fmt: skip


def _figures(scores: Mapping[str, Interval]) -> dict[str, list[float]]:
    return {name: _figure(interval) for name, interval in scores.items()}


def _figure(interval: Interval) -> list[float]:
    return [round(value, 4) for value in (interval.value, interval.low, interval.high)]


def _title(outcome: Abaw) -> str:
    return f'{outcome.corpus}: {", ".join(SHORT_TITLES[task] for task in outcome.settings.tasks)}'


def _sections(outcome: Abaw) -> Iterator[Section]:
    for task in outcome.settings.tasks:
        rows = [row for row in outcome.rows if row.task == task]
        parts = [part for part in PART_NAMES if any(part in row.scores for row in rows)]
        heads = ('system', *(f'{PART_NAMES[part]} [95 %]' for part in parts), f'{PART_NAMES[parts[-1]]}, smoothed')
        cells = tuple(tuple(_scores(row, parts)) for row in rows)
        yield Section(TITLES[task], heads, cells, 1)
    yield from _gains(outcome)
    yield from _trainings(outcome)
    if any(row.recovery for row in outcome.rows):
        yield from _recovered(outcome)
    yield from _smoothings(outcome)


def _scores(row: AbawRow, parts: Sequence[str]) -> Iterator[str]:
    yield row.system
    for part in parts:
        yield _cell(row.scores.get(part), row.headline)
    yield _cell(row.smoothed.get(parts[-1]), row.headline)


def _cell(scores: Mapping[str, Interval] | None, name: str) -> str:
    interval = (scores or {}).get(name)
    return '' if interval is None else spread(interval.value, interval)


def _gains(outcome: Abaw) -> Iterator[Section]:
    """Gain of each system over `per_frame` on the last part with truth, both smoothed."""
    names = list(dict.fromkeys(row.system for row in outcome.rows if row.system != PER_FRAME))
    gains = {(row.system, row.task): row.gain for row in outcome.rows}
    last = PART_NAMES['test' if any('test' in row.scores for row in outcome.rows) else 'val']
    tasks = outcome.settings.tasks
    for index in range(0, len(tasks), 2):  # a terminal has no room for more columns
        pair = tasks[index : index + 2]
        cells = tuple((name, *(_gain_cell(gains.get((name, task))) for task in pair)) for name in names)
        task_names = ' and '.join(pair)
        yield Section(f'Points over {PER_FRAME} on the {last} videos, {task_names} [95 %]', ('system', *pair), cells, 1)


def _gain_cell(gain: Interval | None) -> str:
    if gain is None:
        return ''
    if math.isnan(gain.low):  # one recording has no interval
        return signed(100 * gain.value, 1)
    return f'{signed(100 * gain.value, 1)} [{signed(100 * gain.low, 1)} {signed(100 * gain.high, 1)}]'


def _trainings(outcome: Abaw) -> Iterator[Section]:
    """Scores of folds, of the rounds of pseudo-labels, and over several seeds."""
    folds: list[tuple[str, ...]] = [
        (
            row.system,
            row.task,
            _range(row.training.members),
            _percent(row.training.mean),
            _percent(row.training.held_out),
        )
        for row in outcome.rows
        if row.training.members
    ]
    if folds:
        heads: tuple[str, ...] = ('system', 'task', 'members, validation', 'their mean', 'training, held out')
        yield Section('Folds, without smoothing', heads, tuple(folds), 2)
    guesses: list[tuple[str, ...]] = [
        (row.system, row.task, ', '.join(map(_percent, row.training.rounds)), _guessed(row.training.guessed))
        for row in outcome.rows
        if row.training.rounds
    ]
    if guesses:
        heads = ('system', 'task', 'validation, by round', 'guessed frames')
        yield Section('Pseudo-labels, without smoothing', heads, tuple(guesses), 2)
    seeds: list[tuple[str, ...]] = [
        (row.system, row.task, _percent(sum(row.over_seeds) / len(row.over_seeds)), _range(row.over_seeds))
        for row in outcome.rows
        if row.over_seeds
    ]
    if seeds:
        last = PART_NAMES['test' if any('test' in row.scores for row in outcome.rows) else 'val']
        heads = ('system', 'task', 'mean', 'lowest to highest')
        yield Section(f'{outcome.settings.seeds} seeds, {last}, smoothed', heads, tuple(seeds), 2)


def _percent(share: float | None) -> str:
    return '' if share is None else percent(share, 1)


def _range(shares: Sequence[float]) -> str:
    return f'{_percent(min(shares))} to {_percent(max(shares))}'


def _guessed(counts: Mapping[str, int]) -> str:
    """Number of frames with pseudo-labels, of the task with most of them, and number of videos."""
    frames = max((count for name, count in counts.items() if name != 'videos'), default=0)
    return f'{frames:,} of {counted(counts["videos"], "video")}' if frames else 'none: not sure enough of any'


def _recovered(outcome: Abaw) -> Iterator[Section]:
    tasks = [task for task in outcome.settings.tasks if task in CURVES]
    names = list(dict.fromkeys(row.system for row in outcome.rows))
    by_key = {(row.system, row.task): row for row in outcome.rows}
    for title, field in (
        ('Recovery of commanded curves', 'recovery'),
        ('Recovery where no face is to be seen', 'unseen'),
    ):
        if not any(getattr(row, field) for row in outcome.rows):
            continue
        cells = tuple(
            (
                name,
                *(_cell(getattr(by_key[name, task], field), 'ccc') if (name, task) in by_key else '' for task in tasks),
            )
            for name in names
        )
        yield Section(f'{title}, test videos: mean concordance', ('system', *tasks), cells, 1)


def _lines(outcome: Abaw) -> Iterator[str]:
    settings = outcome.settings
    yield 'figures in per cent; intervals draw whole recordings; official scores are of all frames of a part together'
    systems = {row.system for row in outcome.rows}
    yield from (f'{name}: {description}' for name, description in BASELINES.items() if name in systems)
    yield 'features: ' + ', '.join(f'{name} ({recipe.split()[0]})' for name, recipe in outcome.recipes.items())
    yield (
        f'models: windows of {settings.window} frames every {settings.stride}, hidden {settings.hidden}, at most '
        f'{counted(settings.epochs, "epoch")}, patience {settings.patience}; '
        + ('a fold chooses the epoch, validation the smoothing' if settings.folds
           else 'epoch and smoothing chosen on validation')
    )  # fmt: skip
    yield from _deviations(outcome)
    if any(row.recovery for row in outcome.rows):
        yield 'recovery: ' + '; '.join(f'{task} {CURVES[task]}' for task in settings.tasks if task in CURVES)
    yield from outcome.notes


def _deviations(outcome: Abaw) -> Iterator[str]:
    """Sentences on settings that differ from the defaults."""
    settings = outcome.settings
    if settings.folds:
        yield (
            f'folds: {settings.folds} of the training part, whole recordings; a model learns from all but its own, and '
            'the answers of all are averaged'
        )
    if settings.labelled < 1:
        yield f'labelled: {100 * settings.labelled:g} % of the training recordings; annotations of the rest are unread'
    if settings.pseudo_labels:
        yield 'pseudo-labels: guesses for videos of no validation or test part; validation chooses the round'
    if settings.clock != 'linear':
        clocks = settings.clock if isinstance(settings.clock, str) else ', '.join(
            f'{name} {method}' for name, method in settings.clock.items()
        )  # fmt: skip
        has_learned = 'learned' in ([settings.clock] if isinstance(settings.clock, str) else settings.clock.values())
        yield f'clock: {clocks}' + f'; {PER_FRAME} and readings have a linear one where this is learned' * has_learned
    if settings.losses:
        yield f'loss: {", ".join(f"{name} {_setting(value)}" for name, value in settings.losses.items())}'
    if any(row.system.startswith(CARRIED) for row in outcome.rows):
        yield f'{CARRIED}…: models of another run, scored here as they are, with the smoothing chosen there'


def _setting(value: Any) -> str:
    return ('no', 'yes')[value] if isinstance(value, bool) else f'{value:g}' if isinstance(value, float) else str(value)


def _smoothings(outcome: Abaw) -> Iterator[Section]:
    """Chosen smoothing: a table of the tasks with one target, and one of the multi-task."""
    by_key = {(row.system, row.task): row.smoothing for row in outcome.rows if row.smoothing}
    names = list(dict.fromkeys(system for system, _ in by_key))
    smoothed_tasks = {task for _, task in by_key}
    single = [task for task in outcome.settings.tasks if task in smoothed_tasks and len(ABAW_TASKS[task]) == 1]
    if single:
        cells = tuple((name, *(_curve(*by_key.get((name, task), {}).values()) for task in single)) for name in names)
        yield Section(f'{SMOOTHED}, frames', ('system', *single), cells, 1 + len(single))
    if 'mtl' in smoothed_tasks:
        parts = ABAW_TASKS['mtl']
        cells = tuple(
            (name, *(_curve(smoothing) for smoothing in by_key[name, 'mtl'].values()))
            for name in names
            if (name, 'mtl') in by_key
        )
        yield Section(f'{SMOOTHED} for all three together, frames', ('system', *parts), cells, 1 + len(parts))


def _curve(*smoothings: Smoothing) -> str:
    """Method and width of each smoothing, separated by commas; '' for none."""
    return ', '.join(
        f'{smoothing.method} {smoothing.width}' if smoothing.method != 'none' else 'none' for smoothing in smoothings
    )
