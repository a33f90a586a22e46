"""The verb that reads emotion words out of descriptions: extract."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affekt.cli.choices import SERVER, WORD_TABLES, Named
from affekt.cli.group import AS_JSON, main, table_notes
from affekt.terminal import StageBars, facts_table, say, say_json

if TYPE_CHECKING:
    from affekt.llm import LabelExtractor


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
@click.option('--raw-csv', is_flag=True, help='Texts like =1+1 as they are, without an apostrophe for spreadsheets.')
def extract_labels(
    descriptions: Path, out: Path, as_json: bool, column: str | None, raw_csv: bool, **chosen: Any
) -> None:
    """List the emotion words in descriptions (any table: csv, xlsx, jsonl …).

    Uses a list of words or, with --endpoint and --model, a language model at temperature 0. Every answer is saved at
    once: after an interruption, run the same command again, and only what is missing is asked. A key for the endpoint
    is read from AFFEKT_LLM_KEY.
    """
    from affekt.llm import extract

    with (
        table_notes() as notes,
        _label_extractor(out, **chosen) as (extractor, at_once),
        StageBars() as bars,
    ):
        extracted = extract(
            descriptions, out, extractor, column=column, at_once=at_once, progress=bars, raw_csv=raw_csv
        )
    summary = {'out': str(out), **extracted.summary()}
    if as_json:
        say_json(summary | {'notes': notes})
    else:
        shown = {key: value for key, value in summary.items() if key != 'read_as'} | summary['read_as']
        say(facts_table([{'what': key, 'value': str(value)} for key, value in shown.items()]))


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
    """The extractor that was chosen, and how many descriptions it takes at once."""
    from affekt.labels import load_table
    from affekt.llm import Endpoint, LanguageModelExtractor, LexiconExtractor, RememberingChat, ReplayCache

    if not endpoint and not model:
        yield LexiconExtractor(load_table(tables)), 1
        return
    if not (endpoint and model):
        raise click.UsageError('--endpoint and --model belong together.')
    key = os.environ.get('AFFEKT_LLM_KEY') or None
    chat = Endpoint(endpoint, model, server=server, api_key=key, timeout_s=timeout_s)
    with ReplayCache(cache or out.with_name(f'{out.name}.answers')) as answers, chat:
        yield LanguageModelExtractor(RememberingChat(chat, answers)), at_once
