"""Model cards as rows of text for the report, with the reliability curve apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from affekt.analysis import ModelUse

SKIPPED = frozenset([
    'name', 'sha256', 'labels', 'inputs', 'outputs', 'files', 'confusion', 'reliability', 'bins', 'role', 'licence',
    'architecture', 'training', 'template', 'combination', 'compared', 'prior_taken_off', 'history', 'bytes', 'recipe',
    'candidates_cross_validated', 'per_label', 'recall', 'robustness_picture_only', 'variants',
])  # fmt: skip
"""Parts of a card that are shown elsewhere in the report or are of interest only for training."""
FIRST = ('task', 'data', 'commercial_ok', 'limits', 'selection', 'split', 'test', 'metrics', 'validation')
"""Parts of a card that come first, in this order."""
SCORES = ('balanced accuracy', 'uar7', 'uar', 'macro f1', 'accuracy', 'weighted f1', 'concordance', 'pearson')
"""Scores that summarize a model, in order of preference."""
SHOWN_AS = {'uar7': 'balanced accuracy, seven categories', 'uar': 'balanced accuracy'}
"""Name of a score in cards to its name in the report, where the two differ."""
CALIBRATION_ERRORS = ('ece after', 'expected calibration error', 'ece')
NOT_THE_MODEL = ('baselines', 'published', 'variants')
"""Parts of a card whose scores belong to something else."""
STATED_KEYS, CORRECT_KEYS = ('confidence', 'stated', 'said'), ('accuracy', 'right', 'true')
"""Names in cards for the stated certainty, and for the share of correct predictions."""
MAX_FACTS = 48
"""Maximum number of rows of a card."""
MAX_TEXT = 1500
"""Maximum length of a row in characters."""


def model_entry(model: ModelUse) -> dict[str, Any]:
    """A model as plain values: name, role, licence, SHA-256, score, rows of its card, reliability curve."""
    order = {name: index for index, name in enumerate(FIRST)}
    card = dict(sorted(model.card.items(), key=lambda item: order.get(item[0], len(order))))
    entries = list(leaves_of(card))
    return {
        'name': model.name, 'role': model.role, 'licence': model.licence, 'sha256': model.sha256,
        'score': score(entries), 'facts': list(map(list, entries[:MAX_FACTS])), 'reliability': reliability(card),
    }  # fmt: skip


def score(entries: Sequence[tuple[str, str]]) -> str:
    """'test: balanced accuracy 0.66 (0.64 to 0.68), calibration error 0.02'; '' if a card states no score.

    Scores on test data have priority over those on validation data, the calibration error is the one nearest to the
    score in the card, and scores of baselines and of other people's models are not used.

    Args:
        entries: leaves of the card with their paths, see `leaves_of`.
    """
    leaves = [(tuple(name.split(', ')), text) for name, text in entries]
    leaves = [(path, text) for path, text in leaves if not set(path) & set(NOT_THE_MODEL)]
    best = min(
        ((('validation' in path, SCORES.index(path[-1])), path, text) for path, text in leaves if path[-1] in SCORES),
        key=lambda entry: entry[0],
        default=None,
    )
    if best is None:
        return ''
    _, score_path, value = best
    location = ', '.join(part for part in score_path[:-1] if part not in ('metrics', 'file', 'headline'))
    errors = [(_shared(path, score_path), text) for path, text in leaves if path[-1] in CALIBRATION_ERRORS]
    nearest = max(errors, key=lambda entry: entry[0], default=(0, ''))
    return (
        f'{location}: ' * bool(location)
        + f'{SHOWN_AS.get(score_path[-1], score_path[-1])} {value}'
        + f', calibration error {nearest[1]}' * (nearest[0] > 0)
    )


def _shared(left: Sequence[str], right: Sequence[str]) -> int:
    """Number of equal parts at the start of two paths."""
    return next((k for k, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def leaves_of(card: Mapping[str, object], prefix: str = '') -> Iterator[tuple[str, str]]:
    """Leaves of a card with their paths, such as ('metrics, accuracy', '0.672 (0.657 to 0.687)').

    A value with its interval is one leaf, and so is a list of plain values; other lists are left out.
    """
    for key, value in card.items():
        if key in SKIPPED or value is None or value == '':
            continue
        name = f'{prefix}, {_words(key)}' if prefix else _words(key)
        if isinstance(value, Mapping):
            measured = _measure(value)
            if measured is not None:
                yield name, measured
            else:
                yield from leaves_of(value, name)
        elif isinstance(value, (list, tuple)):
            if all(isinstance(part, (str, int, float)) for part in value):
                are_sentences = all(str(part).endswith('.') for part in value)
                yield name, (' ' if are_sentences else ', ').join(_text(part) for part in value)[:MAX_TEXT]
        else:
            yield name, _text(value)[:MAX_TEXT]


def reliability(card: Mapping[str, object]) -> list[list[float]]:
    """Points [stated certainty, share of correct predictions] of the calibration, by certainty; [] without any."""
    bins = _find(card, 'reliability') or _find(card, 'bins')
    points: list[list[float]] = []
    for entry in bins if isinstance(bins, (list, tuple)) else ():
        pair = entry
        if isinstance(entry, Mapping):
            pair = [next((entry[key] for key in keys if key in entry), None) for keys in (STATED_KEYS, CORRECT_KEYS)]
        if isinstance(pair, (list, tuple)) and len(pair) >= 2 and all(_is_number(part) for part in pair[:2]):
            points.append([round(float(pair[0]), 4), round(float(pair[1]), 4)])
    return sorted(points)


def _measure(value: Mapping[str, object]) -> str | None:
    """'0.672 (0.657 to 0.687)' for a value with its interval; None for any other mapping."""
    if 'value' not in value or not set(value) <= {'value', 'low', 'high', 'interval', 'interval_95', 'unit'}:
        return None
    interval = value.get('interval_95', value.get('interval'))
    bounds = interval if isinstance(interval, (list, tuple)) else (value.get('low'), value.get('high'))
    low, high = bounds if len(bounds) == 2 else (None, None)
    span = f' ({_text(low)} to {_text(high)})' if _is_number(low) and _is_number(high) else ''
    unit = f' {value["unit"]}' if value.get('unit') else ''
    return f'{_text(value["value"])}{unit}{span}'


def _find(card: Mapping[str, object], key: str) -> object:
    """The first value under a key, at any depth."""
    if key in card:
        return card[key]
    for value in card.values():
        if isinstance(value, Mapping) and (nested := _find(value, key)) is not None:
            return nested
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
