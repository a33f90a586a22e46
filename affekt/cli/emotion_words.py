"""Verbs on emotion words: extract reads them from descriptions, score compares them with the truth."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table
from rich.text import Text

from affekt.cli.choices import SEED, SERVER, WORD_TABLES, Named, metrics, refuse_unused
from affekt.cli.group import AS_JSON, end_with, main, table_notes
from affekt.terminal import StageBars, facts_table, plain_table, say, say_json
from affekt.wording import counted, percent, signed, subject, within

if TYPE_CHECKING:
    from affekt.labels import WordTable
    from affekt.llm import LabelExtractor
    from affekt.metrics import Coverage, Interval, OpenVocabularyScore

PATH = click.Path(path_type=Path)
TABLES_HELP = 'Word table: affekt (default), 2025, 2026, a file, or the official folder emotion_wheel.'
MODE_HELP = 'Mode: consistent (default) counts every word; official gives the published figures.'


@main.command('extract')
@click.argument('descriptions', type=click.Path(path_type=Path))
@click.option(
    '--out', required=True, type=click.Path(path_type=Path), help='Table of labels: .csv, .jsonl or .parquet.'
)
@click.option(
    '--tables', default='affekt', type=Named(WORD_TABLES, others='PATH'), help='Table of known words (default affekt).'
)
@click.option('--column', metavar='NAME', help='Column of descriptions (default description, reason, english …).')
@click.option('--endpoint', metavar='URL', help='Server of a language model, such as http://localhost:8000/v1.')
@click.option('--model', metavar='NAME', help='Name of the model at the endpoint.')
@SERVER
@click.option('--cache', type=click.Path(path_type=Path), help='Folder of answers (default: beside --out).')
@click.option('--at-once', type=click.IntRange(1, 256), default=4, help='Concurrent requests (default 4).')
@click.option('--timeout', 'timeout_s', type=float, default=120.0, help='Seconds to wait for an answer (default 120).')
@AS_JSON
@click.option('--raw-csv', is_flag=True, help='Write texts like =1+1 unchanged, without an apostrophe in front.')
def extract_labels(
    descriptions: Path, out: Path, as_json: bool, column: str | None, raw_csv: bool, **options: Any
) -> None:
    """List the emotion words in descriptions (any table: csv, xlsx, jsonl …).

    Uses affekt's word table or, with --endpoint and --model, a language model at temperature 0. Every answer is saved
    at once: after an interruption, run the same command again, and only missing answers are requested. A key for the
    endpoint is read from AFFEKT_LLM_KEY.
    """
    from affekt.llm import extract

    with (
        table_notes() as notes,
        _label_extractor(out, **options) as (extractor, at_once),
        StageBars() as bars,
    ):
        extracted = extract(
            descriptions, out, extractor, column=column, at_once=at_once, progress=bars, raw_csv=raw_csv
        )
    summary = {'out': str(out), **extracted.summary()}
    if as_json:
        say_json(summary | {'notes': notes})
    else:
        rows = {key: value for key, value in summary.items() if key != 'read_as'} | summary['read_as']
        say(facts_table([{'what': key, 'value': str(value)} for key, value in rows.items()]))
    end_with(extracted.refused)


@contextlib.contextmanager
def _label_extractor(
    out: Path,
    tables: str,
    endpoint: str | None,
    model: str | None,
    server: str,
    cache: Path | None,
    at_once: int,
    timeout_s: float,
) -> Iterator[tuple[LabelExtractor, int]]:
    """The chosen extractor, and how many descriptions it takes at once."""
    from affekt.labels import load_table
    from affekt.llm import Endpoint, LanguageModelExtractor, LexiconExtractor, RememberingChat, ReplayCache

    if not endpoint and not model:
        refuse_unused('--endpoint', 'server', 'cache', 'at_once', 'timeout_s')
        yield LexiconExtractor(load_table(tables)), 1
        return
    if not (endpoint and model):
        raise click.UsageError('--endpoint and --model belong together.')
    refuse_unused('the word list (without --endpoint)', 'tables')
    key = os.environ.get('AFFEKT_LLM_KEY') or None
    chat = Endpoint(endpoint, model, server=server, api_key=key, timeout_s=timeout_s)
    with ReplayCache(cache or out.with_name(f'{out.name}.answers')) as answers, chat:
        yield LanguageModelExtractor(RememberingChat(chat, answers)), at_once


@main.group()
def score() -> None:
    """Score predictions against the truth, or show how words are mapped."""


@score.command('openvocab')
@click.option(
    '--truth',
    'truth_path',
    required=True,
    type=click.Path(path_type=Path),
    help='Table of the truth: csv, xlsx, json, jsonl, parquet or npz.',
)
@click.option(
    '--prediction',
    'prediction_path',
    required=True,
    type=click.Path(path_type=Path),
    help='Table of the answers to the same samples.',
)
@click.option(
    '--against', type=click.Path(path_type=Path), help='Table of a second system; adds a paired test of the two.'
)
@click.option('--tables', default='affekt', type=Named(WORD_TABLES, others='PATH'), help=TABLES_HELP)
@click.option('--mode', type=Named(('official', 'consistent')), default='consistent', help=MODE_HELP)
@click.option('--column', metavar='NAME', help='Column of the answers (default openset, labels, …).')
@click.option('--subset', is_flag=True, help='Leave out predictions for samples outside the truth.')
@click.option('--all', 'everything', is_flag=True, help='Show every wheel, not only means.')
@click.option(
    '--resamples', type=click.IntRange(0, 100_000), default=1000, help='Resamples of the intervals (default 1000).'
)
@click.option('--seed', type=SEED, default=0, help='Random seed of the resamples (default 0).')
@AS_JSON
def openvocab(
    truth_path: Path,
    prediction_path: Path,
    against: Path | None,
    tables: str,
    mode: Any,
    column: str | None,
    subset: bool,
    everything: bool,
    resamples: int,
    seed: int,
    as_json: bool,
) -> None:
    """Score free emotion words, with intervals, coverage and trivial baselines.

    \b
    affekt score openvocab --truth truth.csv --prediction mine.csv
    affekt score openvocab --truth T --prediction P --tables 2025 --mode official
    """
    import numpy as np

    from affekt.labels import load_table, read_answers
    from affekt.metrics import compare_open_vocabulary, require_same_names, score_open_vocabulary
    from affekt.runs import record_beside

    table = load_table(tables)
    with table_notes() as notes:
        truth = read_answers(truth_path, column=column)
        systems = [read_answers(path, column=column) for path in (prediction_path, against) if path]
    for system in systems:
        if not subset:
            require_same_names(truth, system)
    rng = np.random.default_rng(seed)
    scored = score_open_vocabulary(truth, systems[0], table, mode, rng=rng, resamples=resamples)
    compared = compare_open_vocabulary(truth, systems[0], systems[1], table, mode, rng=rng) if against else {}
    if as_json:
        difference = {
            name: {'value': gap.value, 'low': gap.low, 'high': gap.high, 'p': p} for name, (gap, p) in compared.items()
        }
        paths = [path for path in (prediction_path, against) if path]
        records = {str(path): record for path in paths if (record := record_beside(path))}
        say_json(
            scored.to_dict() | ({'difference': difference} if against else {}) | {'records': records, 'notes': notes}
        )
        return
    _show_score(scored, table, everything)
    if against:
        say()
        say(_difference_table(compared, scored, against.name, everything))


@score.command('labels')
@click.option('--truth', required=True, type=PATH, help='Table of the truth, or a manifest.')
@click.option('--prediction', required=True, type=PATH, help='Table of the answers to the same samples.')
@click.option(
    '--metric', 'names', type=Named(metrics, several=True), metavar='NAME[,NAME]',
    help='Metrics (default all built-in ones for such labels).',
)  # fmt: skip
@click.option('--column', metavar='NAME', help='Column of the labels in both (default category, label, valence …).')
@click.option('--by', metavar='COLUMN', help='Column of the truth that clusters the intervals, such as speaker.')
@click.option(
    '--resamples', type=click.IntRange(0, 100_000), default=1000, help='Resamples of the intervals (default 1000).'
)
@click.option('--seed', type=SEED, default=0, help='Random seed of the resamples (default 0).')
@AS_JSON
def labels(
    truth: Path, prediction: Path, names: str | None, column: str | None, by: str | None, resamples: int, seed: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Score one category or one value per sample, beside a constant answer.

    \b
    affekt score labels --truth meld.parquet --prediction mine.csv --by speaker
    affekt score labels --truth T --prediction P --metric concordance,mae
    """
    import numpy as np

    from affekt.metrics import read_label_pair, reads_of, score_labels

    metric_names = tuple(names.split(',')) if names else ()
    with table_notes() as notes:
        pair = read_label_pair(truth, prediction, column=column, by=by, reads=reads_of(metric_names))
    rng = np.random.default_rng(seed)
    scores = score_labels(pair.truth, pair.prediction, metric_names, rng=rng, groups=pair.groups, resamples=resamples)
    if as_json:
        say_json(
            {
                'samples': len(pair.names),
                'metrics': {metric_score.name: metric_score.to_dict() for metric_score in scores},
                'notes': notes,
            }
        )
        return
    table = _grid('metric', 'score', 'constant answer')
    for metric_score in scores:
        table.add_row(metric_score.name, str(metric_score.interval), f'{metric_score.constant:z.3f}')
    say(f'{counted(len(pair.names), "sample")}; 95 % intervals in brackets', style='dim')
    say(table)


@score.command('words')
@click.argument('answer')
@click.option('--tables', default='affekt', type=Named(WORD_TABLES, others='PATH'), help=TABLES_HELP)
@click.option('--mode', type=Named(('official', 'consistent')), default='consistent', help=MODE_HELP)
@AS_JSON
def words(answer: str, tables: str, mode: Any, as_json: bool) -> None:
    """Show how one answer is parsed and mapped, step by step.

    \b
    affekt score words "The character's emotional state is happy, worried."
    """
    from affekt.labels import load_table, read_labels
    from affekt.metrics import official_parse

    table = load_table(tables)
    parsed = read_labels(answer, table.bases)
    labels, parser = (
        (official_parse(answer), 'the published parser') if mode == 'official' else (parsed.labels, parsed.how)
    )
    steps = {label: table.steps(label, mode) for label in labels}
    if as_json:
        say_json({'table': table.label, 'mode': mode, 'read_as': parser, 'labels': steps})
        return
    say(f'table {table.label}, mode {mode}', style='dim')
    say(f'read as {parser}: {" · ".join(labels) or "no label"}')
    for label, step in steps.items():
        say()
        say(_steps_table(label, step, table))


def _show_score(scored: OpenVocabularyScore, table: WordTable, everything: bool) -> None:
    say(f'table {scored.table}, mode {scored.mode}', style='dim')
    skipped = f', {scored.skipped} of them without a true label' if scored.skipped else ''
    say(f'{counted(scored.samples, "sample")}{skipped}; 95 % intervals in brackets', style='dim')
    say()
    say(_official_table(scored) if scored.mode == 'official' else _consistent_table(scored, table, everything))
    say()
    say(_coverage_table({'truth': scored.truth, 'prediction': scored.prediction}))
    if count := scored.prediction.with_thinking:
        how = 'whose words the published parser reads as labels' if scored.mode == 'official' else 'which is left out'
        say(f'{subject(count, "answer", "holds", "hold")} what the model thought aloud, {how}', style='yellow')
    if scored.trivial:
        say()
        say(_trivial_table(scored))


def _grid(*columns: str, last_wraps: bool = False) -> Table:
    table = plain_table()
    for index, name in enumerate(columns):
        wraps = last_wraps and index == len(columns) - 1
        table.add_column(name, justify='left' if index == 0 or wraps else 'right', no_wrap=not wraps)
    return table


def _with_interval(value: Interval) -> str:
    return within(percent(value.value), value.low, value.high)


def _official_table(scored: OpenVocabularyScore) -> Table:
    table = _grid('%', 'n', 'P', 'R', 'F')
    for row, parts in scored.metrics.items():
        if 'f' in parts:
            cells = [percent(parts['precision'].value), percent(parts['recall'].value), _with_interval(parts['f'])]
        else:
            cells = [percent(parts['mscore'].value), '', _with_interval(parts['hit rate'])]
        style = 'bold' if row == scored.headline[0] else ''
        table.add_row(Text(_official_name(row), style=style), f'{parts["n"].value:g}', *cells, style=style)
    return table


def _official_name(row: str) -> str:
    return f'{row} (mscore, hit rate)' if row.endswith('HIT') else row


def _consistent_table(scored: OpenVocabularyScore, table: WordTable, everything: bool) -> Table:
    own_wheel = next((wheel.short for index, wheel in enumerate(table.wheels) if index not in table.published), '')
    names = {
        'near+intensity': 'near misses, intensity',
        'near': 'near misses',
        'M1': 'same word',
        f'{own_wheel}-L2': 'same group',
        f'{own_wheel}-L1': 'same sector',
        'EW-L2': 'five wheels, middle',
        'EW-L1': 'five wheels, inner',
    }
    grid = _grid('%', 'P', 'R', 'F1', 'macro F1', 'any constant')
    rows = ['near+intensity', 'near', 'M1', f'{own_wheel}-L2', f'{own_wheel}-L1', 'EW-L2', 'EW-L1']
    rows += [row for row in scored.metrics if everything and row not in rows]
    for row in rows:
        if row not in scored.metrics:
            continue
        parts = scored.metrics[row]
        style = 'bold' if row == scored.headline[0] else ''
        grid.add_row(
            Text(names.get(row, row), style=style),
            percent(parts['precision'].value),
            percent(parts['recall'].value),
            _with_interval(parts['f1']),
            percent(parts['macro f1'].value) if 'macro f1' in parts else '',
            f'≤ {percent(scored.ceiling.values[f"{row} f1"])}' if scored.ceiling else '',
            style=style,
        )
    return grid


def _coverage_table(coverages: Mapping[str, Coverage]) -> Table:
    grid = _grid('words', 'labels', 'an answer', 'empty', 'known %', 'not in the table', last_wraps=True)
    for name, coverage in coverages.items():
        grid.add_row(
            name,
            str(coverage.tokens),
            f'{coverage.labels_per_answer:.2f}',
            str(coverage.empty_answers),
            percent(coverage.share),
            _some(coverage.unknown),
        )
    return grid


def _some(unknown: Mapping[str, int], most: int = 6) -> str:
    listed = [f'{word} {times}' if times > 1 else word for word, times in list(unknown.items())[:most]]
    more = len(unknown) - most
    return ', '.join(listed) + (f' and {more} more' if more > 0 else '')


def _trivial_table(scored: OpenVocabularyScore) -> Table:
    headline = ' '.join(scored.headline)
    grid = _grid('the same answer every time', f'{headline} %', 'words', last_wraps=True)
    for name, values in scored.trivial.items():
        grid.add_row(name, percent(values[headline]), ', '.join(scored.trivial_words[name]))
    if scored.ceiling:
        grid.add_row('no constant can exceed', percent(scored.ceiling.values[headline]), '', style='bold')
    return grid


def _difference_table(
    compared: Mapping[str, tuple[Interval, float]], scored: OpenVocabularyScore, name: str, everything: bool
) -> Table:
    part = 'f' if scored.mode == 'official' else 'f1'
    grid = _grid(f'minus {name}', f'{part} %', 'p')
    for row in scored.metrics:
        is_wheel = row[0] == 'W' and row[1:2].isdigit()
        if f'{row} {part}' in compared and (everything or not is_wheel):
            gap, p = compared[f'{row} {part}']
            grid.add_row(row, _with_interval(gap), f'{p:.4f}')
    return grid


def _steps_table(label: str, step: Mapping[str, Any], table: WordTable) -> Table:
    grid = plain_table(show_header=False)
    grid.add_column(no_wrap=True)
    grid.add_column()
    grid.add_row(Text(label, style='bold'), '')
    folds = step['folds']
    if not step['bases'] and not folds:
        grid.add_row('', 'not in the table: dropped in official mode, a group of its own in consistent mode')
        return grid
    grid.add_row('base', ', '.join(step['bases']) or '–')
    grid.add_row('candidates', ', '.join(step['candidates'][:12]) or '–')
    for wheel in table.wheels:
        ring = [folds.get(f'{wheel.short}-L{level}', '–') for level in (2, 1)]
        grid.add_row(wheel.name, ' → '.join(ring))
    for sense in (table.senses[base] for base in step['bases'] if base in table.senses):
        grid.add_row(
            'lies at',
            f'valence {signed(sense.valence)}, arousal {signed(sense.arousal)}, intensity {sense.intensity:.2f}'
            f' ({sense.origin})',
        )
    return grid
