"""Published scores for comparison with ours, from two JSON files in this folder; per cent there, shares here.

`published.json` has the tables of MER-UniBench and OV-MER, `published_dfer.json` those of faces and voices in clips,
one per corpus; each of its rows states where the score was read, and whether second-hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name('published.json')
_DFER_FILE = Path(__file__).with_name('published_dfer.json')


@dataclass(frozen=True)
class PublishedRow:
    """One system of a published table."""

    model: str
    inputs: str
    """Modalities, `AVT` for audio, video and text; '' if the table does not say."""
    scores: Mapping[str, float]
    """Name of a column to the score in [0, 1]."""
    source: str = ''
    """Place where the score was read, if rows of a table differ in it."""
    is_second_hand: bool = False
    """Whether the score is quoted from another publication, whose original was not read."""


@dataclass(frozen=True)
class PublishedTable:
    """A published table with its protocol."""

    source: str
    protocol: str
    rows: tuple[PublishedRow, ...]
    folds: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    """Model to the UAR and WAR of each fold; empty where they were not published."""


@cache
def published(benchmark: str) -> PublishedTable:
    """The published table of `unibench` or `ovmer`.

    Scores are shares, not per cent.
    """
    table = _tables()[benchmark]
    rows = []
    for cells in table['rows']:
        row = dict(zip(table['columns'], cells, strict=True))
        model, inputs = row.pop('model'), row.pop('inputs', '')
        rows.append(PublishedRow(model, inputs, {column: round(value / 100, 10) for column, value in row.items()}))
    return PublishedTable(table['source'], table['protocol'], tuple(rows))


def published_dfer(corpus: str, classes: int) -> PublishedTable | None:
    """The published rows of a corpus of faces and voices; None if there are none.

    Args:
        corpus: title of the corpus, as in manifests, or a key of `published_dfer.json`.
        classes: number of predicted categories; 0 for dimensions.
    """
    tables = _dfer()
    for key, table in tables['tables'].items():
        if corpus in (key, table['corpus']) and classes == table['classes']:
            return _dfer_table(table, tables)
    return None


def _dfer_table(table: Mapping[str, Any], tables: Mapping[str, Any]) -> PublishedTable:
    rows = []
    for cells in table['rows']:
        row = dict(zip(table['columns'], cells, strict=True))
        model, inputs, source = row.pop('model'), row.pop('inputs'), row.pop('source')
        scores = {column: round(value / 100, 10) for column, value in row.items() if value is not None}
        location, reading = tables['sources'][source]
        rows.append(PublishedRow(model, inputs, scores, location, reading == 'second hand'))
    folds = {
        model: tuple((uar / 100, war / 100) for uar, war in by_fold)
        for model, by_fold in table.get('folds', {}).items()
    }
    sources = '; '.join(dict.fromkeys(row.source for row in rows))
    return PublishedTable(sources, tables['protocol'], tuple(rows), folds)


@cache
def _dfer() -> dict[str, Any]:
    tables: dict[str, Any] = json.loads(_DFER_FILE.read_text(encoding='utf-8'))
    return tables


@cache
def _tables() -> dict[str, Any]:
    tables: dict[str, Any] = json.loads(_FILE.read_text(encoding='utf-8'))
    return tables
