"""Model cards as rows of text for the report: what a card says, flattened, with its reliability curve apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from affekt.analysis.result import ModelUse

SKIPPED = frozenset([
    'name', 'sha256', 'labels', 'inputs', 'outputs', 'files', 'confusion', 'reliability', 'bins', 'role', 'licence',
    'architecture', 'training', 'template', 'combination', 'compared', 'prior_taken_off', 'history', 'bytes', 'recipe',
    'candidates_cross_validated',
])  # fmt: skip
"""Parts of a card that stand elsewhere in the report or serve those who train models."""
SCORES = ('balanced accuracy', 'uar', 'accuracy', 'macro f1', 'weighted f1', 'concordance', 'pearson')
"""Scores that sum a model up, the best one first."""
CALIBRATION_ERRORS = ('ece after', 'expected calibration error', 'ece')
MAX_FACTS = 48
MAX_TEXT = 1500


def model_entry(model: ModelUse) -> dict[str, Any]:
    """One model: name, role, licence, sha256, how good it is, facts as rows, reliability as [said, true] points."""
    told = list(facts(model.card))[:MAX_FACTS]
    return {
        'name': model.name, 'role': model.role, 'licence': model.licence, 'sha256': model.sha256, 'score': score(told),
        'facts': [list(fact) for fact in told], 'reliability': reliability(model.card),
    }  # fmt: skip


def score(told: Sequence[tuple[str, str]]) -> str:
    """'balanced accuracy 0.66 (0.64 to 0.68) on test data, calibration error 0.02'; '' where a card states none."""
    parts = []
    for names, called in ((SCORES, ''), (CALIBRATION_ERRORS, 'calibration error')):
        found = [
            (not is_test, names.index(leaf), f'{called or leaf} {text}{" on test data" if is_test else ""}')
            for name, text in told
            for leaf, is_test in [(name.rsplit(', ', 1)[-1], 'test' in name.split(', ')[:-1])]
            if leaf in names
        ]
        parts += [min(found)[2]] if found else []
    return ', '.join(parts)


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
                are_sentences = all(str(part).endswith('.') for part in value)
                yield name, (' ' if are_sentences else ', ').join(_text(part) for part in value)[:MAX_TEXT]
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
