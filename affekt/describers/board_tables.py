"""A leaderboard of describers as tables of at most 80 characters a line, and as plain values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from affekt.describers.board import Board, Describer, Verdicts
from affekt.describers.tables import bench_facts, bench_sheet, ranking_facts, ranking_sections, short
from affekt.experiments import Section, Sheet
from affekt.pages.figures import spread
from affekt.ranking import Standing
from affekt.typed_json import plain
from affekt.wording import percent_in_five, signed

LINES = (
    'Score per clip: F1 of the labels in the inner sectors of five wheels; each label too many costs. In per cent.',
    'Strength: log-odds against the mean of all describers; 0 is the mean. Intervals are of 95 %.',
    'Controlled: strengths controlled for length and for being shown first, where these are known; at a glance too.',
    'Beside every judge stands a rule that does not read: a judge that agrees with it may not have read either.',
)

UNKNOWN = 'unknown'
"""Shown for a share that the verdicts do not contain."""


def headline(board: Board) -> str:
    """A sentence that names the leaders by each score, or says that none can be told apart."""
    parts = []
    if board.by_sample is not None:
        first = [name for name in board.by_sample.order if name in board.by_sample.groups[0]]
        parts.append(f'by labels {_leader(first, len(board.describers), "is best")}')
    for verdicts in _without_references(board):
        standings = (verdicts.controlled or verdicts.plain).standings
        first = [standing.item for standing in standings if standing.best_rank == 1]
        without = f', controlled for {verdicts.controlled_for},' if verdicts.controlled_for else ''
        parts.append(f'by {verdicts.source}{without} {_leader(first, len(standings), "is preferred")}')
    text = '; '.join(parts) or 'there is no truth and no verdict by which to compare the describers'
    return f'{text[:1].upper()}{text[1:]}.'


def _leader(first: Sequence[str], count: int, verb: str) -> str:
    if len(first) == 1:
        return f'{first[0]} {verb}'
    if len(first) == count:
        return 'none can be told apart from the best'
    return f'{", ".join(first[:-1])} and {first[-1]} cannot be told apart'


def board_sheet(board: Board) -> Sheet:
    """All tables of a leaderboard, and the lines below them."""
    sections = [_glance(board), _coverage(board)]
    if board.by_sample is not None:
        first, *others = ranking_sections(board.by_sample, 'Labels against the truth, score per clip')
        baseline = () if board.constant is None else (('best constant', percent_in_five(board.constant[1]), '', ''),)
        sections += [Section(first.title, first.heads, (*first.cells, *baseline), first.left), *others]
    sections += _views(board)
    for verdicts in board.verdicts:
        if not verdicts.is_reference:
            sections.append(_strengths(verdicts))
    if board.verdicts:
        sections.append(_bias_section(board.verdicts))
    lines = [*LINES, *board.notes]
    if board.unibench is not None:
        inner = bench_sheet(board.unibench)
        sections += [
            section for section in inner.sections if section.title in ('Published scores', 'Hits and accuracy')
        ]
        lines += inner.lines
    return Sheet('Describers compared', tuple(sections), tuple(lines))


def glance_rows(board: Board) -> list[tuple[str, ...]]:
    """A row for each describer, best labels first: labels, each source of verdicts, MER-UniBench, coverage.

    Strengths are controlled for length and order where these are known; the tables of each source have both.
    """
    order = list(board.by_sample.order) if board.by_sample else [describer.name for describer in board.describers]
    rows = []
    for name in order:
        describer = next(describer for describer in board.describers if describer.name == name)
        cells = [short(name)]
        if board.by_sample is not None:
            cells.append(spread(board.by_sample.scores[name].value, board.by_sample.scores[name]))
        for verdicts in _without_references(board):
            cells.append(_strength(standing_of((verdicts.controlled or verdicts.plain).standings, name)))
        if board.unibench is not None:
            row = next((model.outcome.rows[0] for model in board.unibench.models if model.name == name), None)
            cells.append('' if row is None else percent_in_five(row.mean))
        cells.append(f'{len(describer.texts)}/{board.clips}')
        rows.append(tuple(cells))
    return rows


def glance_heads(board: Board) -> tuple[str, ...]:
    """The heads of `glance_rows`."""
    heads = ['describer']
    if board.by_sample is not None:
        heads.append('labels [95 %]')
    for verdicts in _without_references(board):
        heads.append(short(verdicts.source))
    if board.unibench is not None:
        heads.append('UniBench')
    return (*heads, 'clips')


def _without_references(board: Board) -> list[Verdicts]:
    return [verdicts for verdicts in board.verdicts if not verdicts.is_reference]


def standing_of(standings: Sequence[Standing], name: str) -> Standing | None:
    """The row of a describer; None if it was not compared."""
    return next((standing for standing in standings if standing.item == name), None)


def _strength(standing: Standing | None) -> str:
    return '' if standing is None else signed(standing.strength, zero_too=True)


def _glance(board: Board) -> Section:
    return Section('At a glance', glance_heads(board), tuple(glance_rows(board)), 1)


def _coverage(board: Board) -> Section:
    heads = ('describer', 'clips', 'failed', 'no label', 'labels', 'characters', 'longest')
    cells = tuple(_coverage_row(each, board) for each in board.describers)
    if not math.isnan(board.truth_labels):
        cells = (*cells, ('truth', '', '', '', f'{board.truth_labels:.1f}', '', ''))
    return Section('Coverage and length', heads, cells, 1)


def _coverage_row(describer: Describer, board: Board) -> tuple[str, ...]:
    lengths = [len(text) for text in describer.texts.values()]
    label_counts = [len(extraction.labels) for extraction in describer.labels.values()]
    longest = sum(
        len(describer.texts[name]) == max(len(other.texts[name]) for other in board.describers) for name in board.shared
    )
    return (
        short(describer.name), f'{len(describer.texts)}/{board.clips}', f'{len(describer.failures)}',
        f'{label_counts.count(0)}', f'{np.mean(label_counts):.1f}' if label_counts else '',
        f'{np.median(lengths):,.0f}' if lengths else '', f'{100 * longest / len(board.shared):.0f} %',
    )  # fmt: skip


def _views(board: Board) -> list[Section]:
    """The main score of open labels by every word table, and that of the best constant answer; [] without a truth."""
    if board.open_labels is None:
        return []
    views = board.open_labels.views
    names = [describer.name for describer in board.describers]
    heads = ('describer', *(f'{view.name} {view.headline}' for view in views))
    cells = [
        (short(name), *(percent_in_five(view.rankings[''].scores[name].value) for view in views)) for name in names
    ]
    cells.append(('best constant', *(percent_in_five(view.floor[1]) for view in views)))
    return [Section('Open labels by word table', heads, tuple(cells), 1)]


def _strengths(verdicts: Verdicts) -> Section:
    heads = ('describer', 'rank', 'strength [95 %]', 'controlled', 'won', 'ties')
    cells = []
    for standing in verdicts.plain.standings:
        other = standing_of(verdicts.controlled.standings, standing.item) if verdicts.controlled else None
        rank = f'{standing.best_rank}' if standing.best_rank == standing.worst_rank else (
            f'{standing.best_rank}–{standing.worst_rank}'
        )  # fmt: skip
        cells.append((
            short(standing.item), rank, _with_ends(standing), _with_ends(other) if other else UNKNOWN,
            f'{100 * standing.win_rate:.0f} %', f'{standing.ties:,.10g}',
        ))  # fmt: skip
    return Section(f'Verdicts of {verdicts.source}', heads, tuple(cells), 1)


def _with_ends(standing: Standing) -> str:
    value = signed(standing.strength, zero_too=True)
    if math.isnan(standing.low):
        return value
    return f'{value} [{signed(standing.low, zero_too=True)} {signed(standing.high, zero_too=True)}]'


def bias_rows(verdicts: Sequence[Verdicts]) -> list[tuple[str, ...]]:
    """A row per source, by `BIAS_HEADS`; shares that are not known are `UNKNOWN`."""
    rows: list[tuple[str, ...]] = []
    for source in verdicts:
        shares = {bias.name: bias.share for bias in source.plain.biases}
        report = source.report
        first = shares.get('shown first', math.nan) if report is None else report.first_wins.value
        counts = source.plain.facts
        rows.append((
            short(source.source) + (' (rule)' if source.is_reference else ''),
            f'{counts.get("comparisons", 0):,}',
            f'{100 * counts.get("ties", 0) / max(counts.get("comparisons", 0), 1):.0f} %',
            _share(shares.get('length', math.nan)),
            _share(first),
            UNKNOWN if report is None else _share(report.consistency.value),
        ))  # fmt: skip
    return rows


def _share(value: float) -> str:
    return UNKNOWN if math.isnan(value) else f'{100 * value:.0f} %'


BIAS_HEADS = ('source', 'verdicts', 'ties', 'longer won', 'first won', 'orders agree')


def _bias_section(verdicts: Sequence[Verdicts]) -> Section:
    return Section('Possible biases of the verdicts', BIAS_HEADS, tuple(bias_rows(verdicts)), 1)


def _mean_count(describer: Describer) -> float:
    """Mean number of labels of an answer; nan without answers."""
    label_counts = [len(extraction.labels) for extraction in describer.labels.values()]
    return float(np.mean(label_counts)) if label_counts else math.nan


def board_facts(board: Board) -> dict[str, Any]:
    """The whole leaderboard as JSON values; nan and infinity as None."""
    return plain({
        'headline': headline(board),
        'clips': board.clips,
        'described_by_all': len(board.shared),
        'describers': {
            each.name: {
                'described': len(each.texts),
                'failures': dict(each.failures),
                'labels_per_answer': _mean_count(each),
                'without_label': sum(not extraction.labels for extraction in each.labels.values()),
                'read_as': dict(Counter(extraction.how for extraction in each.labels.values())),
                'median_characters': float(np.median([len(text) for text in each.texts.values()] or np.nan)),
                'record': dict(each.record),
            }
            for each in board.describers
        },
        'labels': None if board.by_sample is None else ranking_facts(board.by_sample),
        'open_labels': None if board.open_labels is None else {
            view.name: {
                'table': view.table, 'headline': view.headline,
                'scores': {name: view.scores[''][name] for name in view.scores['']},
                'floors': dict(view.floors),
            }
            for view in board.open_labels.views
        },
        'verdicts': [
            {
                'source': each.source, 'file': str(each.file), 'is_reference': each.is_reference,
                'plain': each.plain.to_dict(),
                'without_bias': None if each.controlled is None else each.controlled.to_dict(),
                'judge': None if each.report is None else each.report.to_dict(),
            }
            for each in board.verdicts
        ],
        'unibench': None if board.unibench is None else bench_facts(board.unibench),
        'notes': list(board.notes),
    })  # fmt: skip
