"""Model cards as rows of text for the report: what a card says, flattened, with its reliability curve apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from affekt.analysis.result import ModelUse

SKIPPED = frozenset([
    'name', 'sha256', 'labels', 'inputs', 'outputs', 'files', 'confusion', 'reliability', 'bins', 'role', 'licence',
])  # fmt: skip
"""Parts of a card that stand elsewhere in the report or are of use to programs only."""
MAX_FACTS = 48
MAX_TEXT = 600


def model_entry(model: ModelUse) -> dict[str, Any]:
    """One model: name, role, licence, sha256, facts as [name, text] rows, reliability as [said, true] points."""
    return {
        'name': model.name,
        'role': model.role,
        'licence': model.licence,
        'sha256': model.sha256,
        'facts': [list(fact) for fact in facts(model.card)][:MAX_FACTS],
        'reliability': reliability(model.card),
    }


def facts(card: Mapping[str, object], before: str = '') -> Iterator[tuple[str, str]]:
    """Each leaf of a card with the path to it: ('metrics, accuracy', '0.672 (0.657 to 0.687)')."""
    for key, value in card.items():
        if key in SKIPPED or value is None or value == '':
            continue
        name = f'{before}, {_words(key)}' if before else _words(key)
        if isinstance(value, Mapping):
            told = _measure(value)
            if told is not None:
                yield name, told
            else:
                yield from facts(value, name)
        elif isinstance(value, (list, tuple)):
            if all(isinstance(part, (str, int, float)) for part in value):
                yield name, ', '.join(_text(part) for part in value)[:MAX_TEXT]
        else:
            yield name, _text(value)[:MAX_TEXT]


def reliability(card: Mapping[str, object]) -> list[list[float]]:
    """Points [certainty said, share that was right] of the card's calibration, by certainty; empty without any."""
    found = _find(card, 'reliability')
    points: list[list[float]] = []
    if isinstance(found, Mapping):
        said, true = found.get('confidence'), found.get('accuracy')
        if isinstance(said, list) and isinstance(true, list):
            points = [[x, y] for x, y in zip(said, true, strict=False) if _is_number(x) and _is_number(y)]
    elif isinstance(found, list):
        for entry in found:
            pair = [entry.get('confidence'), entry.get('accuracy')] if isinstance(entry, Mapping) else entry
            if isinstance(pair, (list, tuple)) and len(pair) >= 2 and all(_is_number(part) for part in pair[:2]):
                points.append([round(float(pair[0]), 4), round(float(pair[1]), 4)])
    return sorted(points)


def _measure(value: Mapping[str, object]) -> str | None:
    """'0.672 (0.657 to 0.687)' for a value with its interval; None for any other mapping."""
    if 'value' not in value or not set(value) <= {'value', 'low', 'high', 'interval', 'interval_95', 'unit'}:
        return None
    interval = value.get('interval_95', value.get('interval'))
    ends = interval if isinstance(interval, (list, tuple)) else (value.get('low'), value.get('high'))
    low, high = ends if len(ends) == 2 else (None, None)
    span = f' ({_text(low)} to {_text(high)})' if _is_number(low) and _is_number(high) else ''
    unit = f' {value["unit"]}' if value.get('unit') else ''
    return f'{_text(value["value"])}{unit}{span}'


def _find(card: Mapping[str, object], key: str) -> object:
    """The first value under a key, at any depth."""
    if key in card:
        return card[key]
    for value in card.values():
        if isinstance(value, Mapping) and (found := _find(value, key)) is not None:
            return found
    return None


def _words(key: object) -> str:
    return str(key).replace('_', ' ')


def _text(value: object) -> str:
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, float):
        return f'{value:.4g}' if math.isfinite(value) else 'not known'
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
