"""Whether comparisons can be ranked, checked before any fit.

Draw an arrow from winner to loser (both ways for a tie). Strengths have a finite maximum of the likelihood if and only
if every item can be reached from every other along arrows: otherwise the items split into two groups of which one never
lost to the other, and the gap between the groups grows without bound.

Source: Ford 1957, doi:10.2307/2308513; Hunter 2004, doi:10.1214/aos/1079120141.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from affekt.errors import UnrankableError, short
from affekt.ranking.counts import Cells, win_matrix

Names = tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """Reasons why comparisons cannot be ranked; all fields are empty where they can."""

    never_compared: Names = ()
    """Items without a comparison."""
    undefeated: Names = ()
    """Items that were compared and never lost or tied."""
    winless: Names = ()
    """Items that were compared and never won or tied."""
    groups: tuple[Names, ...] = ()
    """Groups of items without any comparison between groups; () if all compared items are connected."""
    above: tuple[Names, ...] = ()
    """Sets of two items or more that never lost to or tied with an item outside, though compared with some."""
    below: tuple[Names, ...] = ()
    """Sets of two items or more that never beat or tied with an item outside, though compared with some."""

    @property
    def is_rankable(self) -> bool:
        """Whether finite strengths exist without a prior."""
        return not (self.never_compared or self.undefeated or self.winless or self.groups or self.above or self.below)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Each reason as a sentence."""
        sentences = []
        for names, verb in (
            (self.never_compared, 'never compared'),
            (self.undefeated, 'undefeated'),
            (self.winless, 'without a win or tie'),
        ):
            if names:
                sentences.append(f'{listed(names)} {"is" if len(names) == 1 else "are"} {verb}')
        if self.groups:
            groups = ' | '.join(listed(group, 4) for group in self.groups[:4])
            more = f' and {len(self.groups) - 4} more' if len(self.groups) > 4 else ''
            sentences.append(f'no comparison joins these groups: {groups}{more}')
        sentences += [f'nobody else ever beat or tied with one of {listed(names)}' for names in self.above]
        sentences += [f'none of {listed(names)} ever beat or tied with anybody else' for names in self.below]
        return tuple(sentences)

    def to_dict(self) -> dict[str, object]:
        """The reasons as plain lists."""
        return {
            'is_rankable': self.is_rankable,
            'never_compared': list(self.never_compared),
            'undefeated': list(self.undefeated),
            'winless': list(self.winless),
            'groups': [list(group) for group in self.groups],
            'above': [list(names) for names in self.above],
            'below': [list(names) for names in self.below],
        }


def diagnose(cells: Cells) -> Diagnosis:
    """Reasons why the comparisons cannot be ranked; empty where they can.

    Args:
        cells: counts of the comparisons; those of weight 0 are ignored.

    >>> from affekt.ranking import Comparisons, count
    >>> diagnose(count(Comparisons.of(['a', 'b'], ['b', 'c'], ['left', 'left']))).sentences
    ('a is undefeated', 'c is without a win or tie')
    """
    wins = win_matrix(cells)
    size = len(cells.items)
    is_compared = np.asarray(wins.sum(axis=1)).ravel() + np.asarray(wins.sum(axis=0)).ravel() > 0
    components, component = connected_components(wins, directed=True, connection='strong')
    if components == 1:
        return Diagnosis()
    winners, losers = wins.nonzero()
    crosses = component[winners] != component[losers]
    beats, is_beaten = np.zeros(components, bool), np.zeros(components, bool)
    beats[component[winners[crosses]]] = True
    is_beaten[component[losers[crosses]]] = True
    sizes = np.bincount(component, minlength=components)
    is_single = sizes[component] == 1

    def names(mask: np.ndarray) -> Names:
        return tuple(cells.items[item] for item in np.flatnonzero(mask))

    def sets(selected: np.ndarray) -> tuple[Names, ...]:
        if components == 2 and sizes.min() == 1:
            return ()  # the other item's entry suffices
        return tuple(sorted(names(component == index) for index in np.flatnonzero(selected & (sizes > 1))))

    return Diagnosis(
        never_compared=names(~is_compared),
        undefeated=names(is_compared & is_single & ~is_beaten[component] & beats[component]),
        winless=names(is_compared & is_single & ~beats[component] & is_beaten[component]),
        groups=_groups(cells, wins, is_compared) if size else (),
        above=sets(beats & ~is_beaten),
        below=sets(is_beaten & ~beats),
    )


def _groups(cells: Cells, wins: sparse.csr_matrix, is_compared: np.ndarray) -> tuple[Names, ...]:
    _, component = connected_components(wins, directed=False)
    groups = sorted(
        tuple(cells.items[item] for item in np.flatnonzero((component == index) & is_compared))
        for index in set(component[is_compared].tolist())
    )
    return tuple(groups) if len(groups) > 1 else ()


def refuse_unrankable(diagnosis: Diagnosis) -> None:
    """Raise where no finite strengths exist.

    Raises:
        UnrankableError: there are none; the message names the items.
    """
    if not diagnosis.is_rankable:
        raise UnrankableError(
            expected='comparisons in which wins and ties lead from every item to every other',
            came='; '.join(diagnosis.sentences),
            todo='collect the missing comparisons, leave those items out, or give a prior (--prior 1.0)',
        )


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names joined by commas; beyond `most` their number alone."""
    all_names = list(names)
    remainder = f' and {len(all_names) - most} more' if len(all_names) > most else ''
    return ', '.join(str(short(name, 40)) for name in all_names[:most]) + remainder
