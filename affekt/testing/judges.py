"""The contract of judges, on synthetic pairs of descriptions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import cast

from affekt.errors import AffektError
from affekt.judging import DescribedPair, Judge, Verdict, judge_pairs, reference_judge
from affekt.testing.contract import promised, require

OUTCOMES = ('left', 'right', 'tie', 'abstain')
OTHER = {'left': 'right', 'right': 'left', 'tie': 'tie', 'abstain': 'abstain'}
TEXTS = (
    ('She smiles and her voice rises.', 'The speaker looks calm.'),
    ('He is furious.', 'He is furious.'),
    ('', 'Something was said.'),
    ('她很高兴，声音很轻快。', 'Er freut sich \N{GRINNING FACE}, "sehr";\nwirklich.'),
    ('sad ' * 200, 'sad'),
)


def check_judge(judge: Judge | Callable[[], Judge] | str, *, is_blind: bool = True) -> None:
    """Check that a judge's verdict names a side of the pair, is reproducible, and depends on what was shown.

    1. Its name is a single line.
    2. For each pair and order it returns None, or a verdict of left, right, tie or abstain with that order; or raises
       one of affekt's errors, for texts that it cannot handle.
    3. Repeated calls, and concurrent ones, give the same verdict.
    4. With sides and order swapped together, the same texts are shown in the same positions: the same text wins.

    Args:
        judge: judge, its constructor, or its name.
        is_blind: whether it decides by the shown texts alone, so that 4 holds. A baseline that answers by side, or by
            describer, does not.

    Raises:
        ContractError: a check fails.
    """
    with promised('a judge'):
        made = reference_judge(judge) if isinstance(judge, str) else judge
        rater = cast('Judge', made() if isinstance(made, type) or not hasattr(made, 'verdict') else made)
    name = getattr(rater, 'name', None)
    is_named = isinstance(name, str) and name.strip() == name != '' and '\n' not in name
    require(is_named, 'a judge with a name of one line', repr(name))
    pairs = [DescribedPair(f'sample {n}', 'plain', 'other', left, right) for n, (left, right) in enumerate(TEXTS)]
    taken = [pair for pair in pairs if all(_verdict(rater, pair, order) is not _REFUSED for order in ('left', 'right'))]
    require(bool(taken), f'a verdict of {name} on one pair at least', 'errors for all')
    for pair in taken:
        for order in ('left', 'right'):
            _check_verdict(rater, pair, order, is_blind=is_blind)
    _check_together(rater, taken)


_REFUSED = Verdict('refused', '')


def _verdict(rater: Judge, pair: DescribedPair, order: str) -> Verdict | None:
    """Verdict of a judge; `_REFUSED` where it refuses deliberately."""
    with promised(f"a verdict of {rater.name}, or one of affekt's errors"):
        try:
            return rater.verdict(pair, order)
        except AffektError:
            return _REFUSED


def _check_verdict(rater: Judge, pair: DescribedPair, order: str, *, is_blind: bool) -> None:
    before = dataclasses.replace(pair)
    first = _verdict(rater, pair, order)
    require(first is None or isinstance(first, Verdict), f'a Verdict from {rater.name}, or None', repr(first))
    if first is not None:
        known = first.outcome in OUTCOMES
        require(known, f'one of {", ".join(OUTCOMES)} from {rater.name}', repr(first.outcome))
        require(first.order == order, f'the order that {rater.name} was asked in, {order}', repr(first.order))
    again = _verdict(rater, pair, order)
    require(_outcome(again) == _outcome(first), f'the same verdict of {rater.name} twice', _both(first, again))
    require(pair == before, f'{rater.name} to leave the pair as it is', 'another pair')
    if is_blind:
        turned = DescribedPair(pair.sample, pair.left, pair.right, pair.right_text, pair.left_text)
        other = _verdict(rater, turned, OTHER[order])
        same = _outcome(other) == OTHER.get(_outcome(first), _outcome(first))
        promise = f'the same text to win before {rater.name} where the same is shown, whichever side it is called'
        require(same, promise, _both(first, other), 'read `pair.shown(order)`, and name the side by `order`')


def _check_together(rater: Judge, pairs: Sequence[DescribedPair]) -> None:
    with promised(f'{rater.name} to judge several pairs at once'):
        alone, together = judge_pairs(pairs, rater), judge_pairs(pairs, rater, at_once=2)
    same = [row.outcome for row in alone.rows] == [row.outcome for row in together.rows]
    require(same, f'the same verdicts of {rater.name} one by one and two at once', 'others')


def _outcome(verdict: Verdict | None) -> str:
    return '' if verdict is None else verdict.outcome


def _both(first: Verdict | None, second: Verdict | None) -> str:
    return f'{_outcome(first) or "none"} and {_outcome(second) or "none"}'
