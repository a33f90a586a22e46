"""Where the base words lie on the wheels, and whether opposites stay apart.

On the affekt wheel a word lies at its group's concept. On a published wheel a base whose forms hold a word of that
wheel lies at that word; any other lies where `places.tsv` says, else where its group lies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from sources import WHEELS, Entry, Group, Wheel
from wordnet import WordNet

LISTED_OPPOSITES = (
    ('happy', 'sad'), ('love', 'hate'), ('hope', 'despair'), ('calm', 'agitated'), ('proud', 'ashamed'),
    ('interested', 'bored'), ('confident', 'insecure'), ('brave', 'cowardly'), ('trusting', 'suspicious'),
    ('relaxed', 'tense'), ('grateful', 'resentful'), ('optimistic', 'pessimistic'), ('certain', 'doubtful'),
    ('energetic', 'tired'), ('satisfied', 'frustrated'), ('friendly', 'hostile'), ('accepted', 'rejected'),
    ('loyal', 'betrayed'), ('polite', 'rude'), ('serious', 'playful'), ('excited', 'calm'), ('joyful', 'mournful'),
    ('positive', 'negative'), ('superior', 'inferior'), ('powerful', 'powerless'), ('comfortable', 'uneasy'),
    ('eager', 'reluctant'), ('admiring', 'contemptuous'), ('approving', 'disapproving'), ('safe', 'threatened'),
    ('innocent', 'guilty'), ('caring', 'indifferent'), ('sincere', 'deceitful'), ('arrogant', 'modest'),
    ('patient', 'impatient'), ('cold', 'warm'), ('distant', 'close'), ('bold', 'timid'),
)  # fmt: skip
"""Opposites that neither WordNet nor a prefix gives for every one of these words."""

NOT_OPPOSITES = (
    ('close', 'open'), ('fatherly', 'motherly'), ('fatherly', 'mothering'), ('sleep-deprived', 'sleepy'),
    ('defensive', 'offended'), ('defensive', 'offensive'), ('attacked', 'defensive'), ('intense', 'tense'),
    ('dismissed', 'missing'), ('forgotten', 'memories'), ('cool', 'warm'), ('moved', 'still'), ('sparkling', 'still'),
    ('boiling', 'frozen'), ('nervous', 'unnerved'), ('nervy', 'unnerved'), ('credible', 'incredible'),
    ('believing in oneself', 'unbelievable'), ('boycotting', 'patronizing'), ('intent', 'tending'),
    ('instructing', 'uninstructed'), ('flaming', 'inflamed'), ('inspirited', 'spirited'), ('mediating', 'unmediated'),
)  # fmt: skip
"""Pairs that WordNet or a prefix makes opposites in a sense that the table does not mean: a close friend and an open
mind, a cool head and a warm heart, being moved and being still."""


def place(
    entry: Entry,
    group: Group,
    forms: Iterable[str],
    wheels: Sequence[Wheel],
    overrides: Mapping[str, Mapping[str, str]],
) -> tuple[tuple[str, ...], ...]:
    """One tuple per wheel, the affekt wheel first, with one wheel word or none.

    Raises:
        ValueError: the base holds two words of one wheel, or is sent to a word that the wheel lacks.
    """
    placed: list[tuple[str, ...]] = [(group.concept,)]
    for index, wheel in enumerate(wheels):
        own = sorted({form for form in (entry.base, *forms) if form in wheel.inner})
        if entry.base in own:
            own = [entry.base]
        if len(own) > 1:
            raise ValueError(f'expected one word of {wheel.name} in {entry.base!r}; came {own}; make them bases')
        chosen = own[0] if own else overrides.get(entry.base, {}).get(wheel.name, group.places[index])
        if chosen and chosen not in wheel.inner:
            raise ValueError(f'expected a word of {wheel.name} for {entry.base!r} ({group.name}); came {chosen!r}')
        placed.append((chosen,) if chosen else ())
    return tuple(placed)


def opposites(bases_of: Mapping[str, str], wordnet: WordNet) -> set[tuple[str, str]]:
    """Pairs of bases that mean the opposite: WordNet's antonyms, negating prefixes, -less, and the listed ones."""
    pairs: set[tuple[str, str]] = set()
    for form, base in bases_of.items():
        against = wordnet.opposites(form) | {prefix + form for prefix in ('un', 'in', 'im', 'ir', 'il', 'dis', 'non')}
        if re.search('(ful|y)$', form):
            against.add(re.sub('(ful|y)$', 'less', form))
        pairs |= {_sorted(base, bases_of[other]) for other in against if other in bases_of and bases_of[other] != base}
    pairs |= {_sorted(bases_of[a], bases_of[b]) for a, b in LISTED_OPPOSITES if a in bases_of and b in bases_of}
    return pairs - {_sorted(*pair) for pair in NOT_OPPOSITES}


def meetings(
    pairs: Iterable[tuple[str, str]],
    placed: Mapping[str, Sequence[Sequence[str]]],
    sector: Mapping[str, str],
    wheels: Sequence[Wheel],
) -> dict[str, list[str]]:
    """Opposites that share a sector, by wheel."""  # fmt: skip
    found: dict[str, list[str]] = {name: [] for name in ('affekt', *WHEELS)}
    inner = [dict(sector), *(wheel.inner for wheel in wheels)]
    for left, right in sorted(pairs):
        for index, name in enumerate(found):
            at, to = placed[left][index], placed[right][index]
            if at and to and inner[index][at[0]] == inner[index][to[0]]:
                found[name].append(f'{left} ({at[0]}) / {right} ({to[0]})')
    return found


def _sorted(left: str, right: str) -> tuple[str, str]:
    return (left, right) if left < right else (right, left)
