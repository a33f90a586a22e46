"""Consent: the user's statement on who is portrayed and has agreed, recorded with every output.

The truth of a statement cannot be checked. The user must make it, and it is stored where recipients of the
output can read it: in the run's settings and in the signed manifest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from affekt.errors import ConsentError, UnknownNameError, did_you_mean

PORTRAYED = {
    'myself': 'the portrayed person is the one who makes this',
    'agreed': 'the portrayed person has agreed to this use of their face',
    'nobody': 'the image shows no real person: it is a drawing or was generated',
    'child': 'the portrayed person is a child',
}
"""Kind of portrayed person to the statement."""
ADULT_YEARS = 18
"""Age in years from which a person is an adult."""
LONGEST_NOTE = 500
"""Maximum length of a note in characters."""
_CHILD = re.compile(
    r"\b(child(ren)?('s)?|kids?|minors|minor(?! (change|edit|correction|adjustment|detail|restriction|condition)s?\b)"
    r'|bab(y|ies)|toddlers?|infants?|newborns?|under-?aged?|teen(ager)?s?|adolescents?'
    r'|pre-?schoolers?|school ?(boy|girl|child|children)s?|little (boy|girl)s?'
    r'|(ein|das|unser|mein|dein|sein|ihr) kind|kinder[ns]?|kindes'
    r'|minderjährig\w*|säugling\w*|jugendliche\w*|enfants?|mineure?s?|bébés?|niñ[oa]s?|menor(es)?'
    r'|bambin[oaie]|minorenn[ei])\b',
    re.IGNORECASE,
)
_AGE = re.compile(
    r'\b(?:aged?|alter|âge|edad)\s*:?\s*(\d{1,3})\b|\b(\d{1,3})[\s-]*(?:years?|yrs?|y\.?o\.?|months?|jahre?|ans|años)\b',
    re.IGNORECASE,
)
_SPAN_BEFORE = re.compile(
    r'\b(for|in|within|after|over|during|every|next|last|past|another|für|seit|nach|pendant|durante)'
    r'( (the|at least|at most|up to))*( (next|last|past))? ?$',
    re.IGNORECASE,
)
_SPAN_AFTER = re.compile(r' (ago|later|long)\b', re.IGNORECASE)
"""Words next to a number of years that make it a period, not an age."""
_OLD_AFTER = re.compile(r'[\s-]*(old|of age|alt)\b', re.IGNORECASE)


@dataclass(frozen=True)
class Consent:
    """A statement on the portrayed person.

    Args:
        portrayed: key of PORTRAYED.
        note: free text, such as where the agreement is kept; stored in every output.
        age_years: age of the portrayed person in years, if stated, else None.

    Raises:
        UnknownNameError: unknown name.
        ConsentError: the portrayed person is a child by this statement, or the note is too long.
    """

    portrayed: str
    note: str = ''
    age_years: float | None = None
    stated_at: str = ''
    """ISO 8601 with the offset from UTC; by default the current time."""

    def __post_init__(self) -> None:
        if self.portrayed not in PORTRAYED:
            raise UnknownNameError(
                expected=f'who is portrayed: {", ".join(PORTRAYED)}', came=repr(self.portrayed),
                todo=did_you_mean(self.portrayed, PORTRAYED, 'say what is true'),
            )  # fmt: skip
        if len(self.note) > LONGEST_NOTE:
            raise ConsentError(
                expected=f'a note of at most {LONGEST_NOTE} characters', came=f'{len(self.note):,}',
                todo='say in it where the rest is kept',
            )  # fmt: skip
        if sign := self._sign_of_a_child():
            raise ConsentError(
                expected='a portrait of an adult, or of nobody real', came=f'a child, by your statement: {sign}',
                todo='use another portrait: faces of children are not animated',
            )  # fmt: skip
        if not self.stated_at:
            object.__setattr__(self, 'stated_at', datetime.now(UTC).isoformat(timespec='seconds'))

    @property
    def statement(self) -> str:
        """The statement as a sentence without full stop."""
        return PORTRAYED[self.portrayed]

    def as_json(self) -> dict[str, object]:
        """The fields that a run and a manifest record."""
        stated = {'portrayed': self.portrayed, 'statement': self.statement, 'stated_at': self.stated_at}
        optional = {'note': self.note, 'age_years': self.age_years}
        return stated | {name: value for name, value in optional.items() if value not in ('', None)}

    def _sign_of_a_child(self) -> str:
        if self.portrayed == 'child':
            return 'child'
        if self.age_years is not None and not self.age_years >= ADULT_YEARS:
            return f'{self.age_years:g} years'
        for match in _AGE.finditer(self.note):
            before, after = self.note[: match.start()], self.note[match.end() :]
            is_span = _SPAN_BEFORE.search(before) or _SPAN_AFTER.match(after)
            if is_span and match[2] and not _OLD_AFTER.match(after):
                continue
            is_in_months = 'month' in match[0].lower()
            if float(match[1] or match[2]) / (12 if is_in_months else 1) < ADULT_YEARS:
                return match[0]
        word = _CHILD.search(self.note)
        return word[0] if word else ''


def required_consent(portrayed: str | None, note: str = '', age_years: float | None = None) -> Consent:
    """The user's statement on the portrayed person, without which nothing is made.

    Raises:
        ConsentError: there is none, or it says that the portrayed person is a child.
        UnknownNameError: `portrayed` is not in PORTRAYED.
    """
    if portrayed is None:
        choices = '; '.join(f'{name} ({statement})' for name, statement in PORTRAYED.items() if name != 'child')
        raise ConsentError(
            expected='a statement on the person in the portrait', came='none', todo=f'give --portrayed: {choices}'
        )
    return Consent(portrayed, note, age_years)
