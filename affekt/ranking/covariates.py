"""Covariates of a comparison, as differences between left and right: length, style, source, the rater's own model.

Lengths enter as log2 of their ratio, so that the effect is that of twice the length. Numbers enter as they are. A
category becomes one column per level except the most common: 1 where only the left side has that level, -1 where only
the right side has it.

Axes: N comparisons.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ComparisonError, UnknownNameError, short
from affekt.ranking.comparisons import Comparisons, Source, refuse_rows
from affekt.tables import number

LENGTH = 'length'
"""Name of the covariate that enters as a log2 ratio."""
OWN = 'own_model'
"""Name of the covariate of self-preference: 1 where the rater is the left item's model, -1 where it is the right's."""
LEVEL = '='
"""Separator between the name of a category and a level."""
MOST_LEVELS = 50
"""Maximum number of levels of a category."""
_STRATEGY = re.compile(r' s\d+\Z')
"""The end of the name of a judge made by `affekt judge`."""


def doublings(left: npt.ArrayLike, right: npt.ArrayLike) -> Floats:
    """(N,) log2 ratios of lengths, log2((left + 1) / (right + 1)): 1 where the left one is twice as long.

    Args:
        left, right: (N,) lengths in any unit, at least 0.

    >>> doublings([7, 1, 3], [3, 3, 3])
    array([ 1., -1.,  0.])
    """
    return np.asarray(np.log2((np.asarray(left, np.float64) + 1.0) / (np.asarray(right, np.float64) + 1.0)))


def text_lengths(left: Sequence[str], right: Sequence[str]) -> Floats:
    """(N,) log2 ratios of the numbers of characters, without white space at the ends."""
    return doublings([len(text.strip()) for text in left], [len(text.strip()) for text in right])


def own_model(left: Sequence[object], right: Sequence[object], rater: Sequence[object]) -> Floats:
    """(N,) 1 where the rater is the model on the left, -1 where it is the one on the right, else 0.

    A rater is an item's model where it has the item's name, or where `affekt judge` made its name of the item's and
    a strategy (`qwen s1`; `qwen+phi s3` is both models). Any other addition makes another name, since people may
    bear an item's name and more.

    Args:
        left, right: (N,) names of the items.
        rater: (N,) names of the raters.

    >>> own_model(['qwen', 'gemma', 'Ann'], ['gemma', 'phi', 'qwen'], ['qwen s1', 'qwen+phi s3', 'Ann Lee'])
    array([ 1., -1.,  0.])
    """
    models = [_models_of(str(name)) for name in rater]
    on_left, on_right = (
        [str(item) in names for names, item in zip(models, side, strict=True)] for side in (left, right)
    )
    return np.asarray(on_left, np.float64) - np.asarray(on_right, np.float64)


def _models_of(rater: str) -> set[str]:
    """Names of the models that a rater may be: its own, and for a judge those before its strategy."""
    model = _STRATEGY.sub('', rater)
    return {rater} if model == rater else {rater, model, *model.split('+')}


def differences(name: str, left: Sequence[object], right: Sequence[object], source: Source) -> dict[str, Floats]:
    """Covariates as differences of a left and a right column.

    Args:
        name: name of the covariate; 'length' enters as log2 of the ratio.
        left, right: (N,) numbers, or names of levels.
        source: name of the data in messages.

    Returns:
        Name, or name=level for each level but the most common, to (N,) differences.

    Raises:
        ComparisonError: a value is missing, infinite or negative as a length, or there are more than 50 levels.
    """
    on_left, on_right = _as_numbers(left), _as_numbers(right)
    if on_left is None or on_right is None:
        return _levels(name, left, right, source)
    for side, values in (('left', on_left), ('right', on_right)):
        bad = ~np.isfinite(values) | ((values < 0.0) if name == LENGTH else False)
        refuse_rows(bad, source, f'a finite number in {side}_{name}', lambda row, values=values: f'{values[row]}')
    return {name: doublings(on_left, on_right) if name == LENGTH else on_left - on_right}


def controlled(comparisons: Comparisons, names: Sequence[str]) -> tuple[str, ...]:
    """Names of covariates with categories expanded into their levels, each once.

    Raises:
        UnknownNameError: unknown covariate.
    """
    expanded: list[str] = []
    for name in names:
        levels = [
            covariate for covariate in comparisons.covariates if covariate == name or covariate.startswith(name + LEVEL)
        ]
        if not levels:
            available = list(dict.fromkeys(covariate.split(LEVEL)[0] for covariate in comparisons.covariates))
            raise UnknownNameError(
                expected=f'a covariate among {", ".join(available)}' if available else 'comparisons with covariates',
                came=repr(name),
                todo='give columns left_NAME and right_NAME (for length, the texts will do)',
            )
        expanded += levels
    return tuple(dict.fromkeys(expanded))


def _as_numbers(values: Sequence[object]) -> Floats | None:
    """The values as numbers, nan where missing; None if a value is not a number."""
    try:
        return np.asarray([_number(value) for value in values], np.float64)
    except ValueError:
        return None


def _number(value: object) -> float:
    if value is None or value == '':
        return float('nan')
    return float(value) if isinstance(value, bool) else number(value)


def _levels(name: str, left: Sequence[object], right: Sequence[object], source: Source) -> dict[str, Floats]:
    """Differences of a category, one column per level except the most common."""
    is_missing = np.asarray([a in (None, '') or b in (None, '') for a, b in zip(left, right, strict=True)])
    refuse_rows(is_missing, source, f'a value for {name} on both sides', 'an empty one')
    on_left, on_right = [str(value) for value in left], [str(value) for value in right]
    levels = sorted(Counter(on_left + on_right).items(), key=lambda level: (-level[1], level[0]))
    if len(levels) > MOST_LEVELS:
        raise ComparisonError(
            expected=f'numbers, or at most {MOST_LEVELS} levels, in left_{name} and right_{name}',
            came=f'{len(levels)} levels in {source}, {short(levels[-1][0], 30)!r} among them',
            todo='correct the values, or group them',
        )
    has_left, has_right = np.asarray(on_left), np.asarray(on_right)
    return {
        f'{name}{LEVEL}{level}': (has_left == level).astype(np.float64) - (has_right == level)
        for level, _ in levels[1:]
    }
