"""Figures as the papers print them, to stand beside ours: `published.json`, per cent there, shares here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name('published.json')


@dataclass(frozen=True)
class PublishedRow:
    """One system of a published table."""

    model: str
    inputs: str
    """Modalities, `AVT` for audio, video and text; '' where the table does not say."""
    scores: Mapping[str, float]
    """Column to score in [0, 1]."""


@dataclass(frozen=True)
class PublishedTable:
    """A published table, and how its figures came about."""

    source: str
    protocol: str
    rows: tuple[PublishedRow, ...]


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


@cache
def _tables() -> dict[str, Any]:
    tables: dict[str, Any] = json.loads(_FILE.read_text(encoding='utf-8'))
    return tables
