"""People who left the frame and returned, and the certainty by face that they are the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from affekt.wording import percent_never_sure


@dataclass(frozen=True)
class Returned:
    """A person who was tracked in several separate parts of a recording."""

    stretches: int
    """Number of these parts."""
    certainty: float | None
    """Certainty by face that they show one person, in [0, 1]; None if faces were not compared."""


def return_sentences(returned: Mapping[str, Returned]) -> tuple[str, ...]:
    """One sentence per person whose parts were compared by face, sorted by name.

    >>> return_sentences({'person 1': Returned(3, 0.991)})
    ('Person 1 was followed in 3 stretches; by the face they are one person, certainty 99 %.',)
    """
    return tuple(
        f'{name[:1].upper()}{name[1:]} was followed in {tracks.stretches} stretches; by the face they are one person, '
        f'certainty {percent_never_sure(tracks.certainty)} %.'
        for name, tracks in sorted(returned.items())
        if tracks.certainty is not None
    )
