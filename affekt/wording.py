"""How times, numbers and names are written, in one way for the terminal, the pages and all messages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

MINUS = '\N{MINUS SIGN}'
DASH = '\N{EN DASH}'
"""Written in place of an undefined value."""


def clock(time_s: float) -> str:
    """A time in seconds as 0:07, 12:30 or 1:02:03; fractions are cut off, as in media players.

    >>> clock(7.99), clock(3723)
    ('0:07', '1:02:03')
    """
    whole_seconds = int(max(0.0, time_s) + 1e-6)
    hours, minutes, seconds = whole_seconds // 3600, whole_seconds // 60 % 60, whole_seconds % 60
    return f'{hours}:{minutes:02d}:{seconds:02d}' if hours else f'{minutes}:{seconds:02d}'


def stretch(start_s: float, end_s: float) -> str:
    """An interval in seconds as 'from 0:07 to 0:12', or 'at 0:07' where both ends read the same."""
    first, last = clock(start_s), clock(end_s)
    return f'at {first}' if first == last else f'from {first} to {last}'


def length(seconds: float) -> str:
    """A duration in words: '0.4 seconds', '12 seconds', '3 minutes', '1 hour and 5 minutes'."""
    if seconds < 9.95:
        text = f'{abs(seconds):.1f}'.removesuffix('.0')
        return '1 second' if text == '1' else f'{text} seconds'
    if seconds < 119.5:
        return f'{round(seconds)} seconds'
    minutes = round(seconds / 60)
    if minutes < 60:
        return f'{minutes} minutes'
    hours, minutes_left = divmod(minutes, 60)
    text = '1 hour' if hours == 1 else f'{hours} hours'
    return text if not minutes_left else f'{text} and {minutes_left} minute{"s" if minutes_left > 1 else ""}'


def is_single(seconds: float) -> bool:
    """Whether `length` is in the singular, so that 'is' follows and not 'are'."""
    return length(seconds) in ('1 second', '1 hour')


def amount(seconds: float, single: str = 'is', plural: str = 'are') -> str:
    """A duration with the verb in the matching number.

    >>> amount(1.0), amount(3.0, 'holds', 'hold')
    ('1 second is', '3 seconds hold')
    """
    return f'{length(seconds)} {single if is_single(seconds) else plural}'


def number_word(count: int) -> str:
    """A count in words up to ten, as within sentences.

    >>> number_word(0), number_word(3), number_word(12)
    ('no', 'three', '12')
    """
    words = ('no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten')
    return words[count] if count < len(words) else str(count)


def signed(value: float, digits: int = 2, *, zero_too: bool = False) -> str:
    """A number with its sign: '+0.31', '−0.20'; a dash for nan.

    Args:
        value: the number.
        digits: number of decimals.
        zero_too: write the sign of numbers that round to zero as well: '+0.00' instead of '0.00'.
    """
    if math.isnan(value):
        return DASH
    size = f'{abs(value):.{digits}f}'
    return f'{"+" if value >= 0 else MINUS}{size}' if zero_too or float(size) else size


def signed_briefly(value: float) -> str:
    """A number with its sign and as few decimals as possible, for ticks of an axis.

    >>> signed_briefly(0.0), signed_briefly(0.5), signed_briefly(0.25)
    ('0', '+0.5', '+0.25')
    """
    text = signed(value)
    return text.rstrip('0').rstrip('.') if '.' in text else text


def percent(share: float, digits: int = 2, unit: str = '') -> str:
    """A share as percentage, followed by the unit; a dash for nan.

    >>> percent(0.5), percent(0.731, 0, '%'), percent(-0.2, 1), percent(-1e-9), percent(float('nan'))
    ('50.00', '73%', '−20.0', '0.00', '–')
    """
    if math.isnan(share):
        return DASH
    size = f'{abs(100 * share):.{digits}f}'
    return f'{MINUS if share < 0 and float(size) else ""}{size}{unit}'


def percent_in_five(share: float) -> str:
    """A share as percentage in at most five characters, for aligned columns; a dash for nan.

    >>> percent_in_five(0.7346), percent_in_five(1.0)
    ('73.46', '100.0')
    """
    return percent(share, 1 if share >= 0.99995 else 2)


def percent_never_sure(chance: float) -> str:
    """A probability as whole percentage: '99+' from 99.5 % on, '<1' up to 0.5 %.

    >>> percent_never_sure(0.73), percent_never_sure(0.995), percent_never_sure(0.005)
    ('73', '99+', '<1')
    """
    return '99+' if chance >= 0.995 else '<1' if chance <= 0.005 else percent(chance, 0)


def within(text: str, low: float, high: float) -> str:
    """A formatted share followed by its interval as percentages, which is left out where its ends are nan.

    >>> within('73.46', 0.7, 0.768), within('73.46', float('nan'), float('nan'))
    ('73.46 [70.0 76.8]', '73.46')
    """
    return text if math.isnan(low) else f'{text} [{percent(low, 1)} {percent(high, 1)}]'


def counted(number: int, noun: str, plural: str = '') -> str:
    """A count with its noun: '1 file', '3 files'; the default plural is the noun with an s.

    >>> counted(1, 'file'), counted(3, 'file')
    ('1 file', '3 files')
    """
    return f'{number:,} {noun if number == 1 else plural or noun + "s"}'


def subject(number: int, noun: str, single: str = 'is', plural: str = 'are') -> str:
    """A count with its noun and the verb in the matching number.

    >>> subject(1, 'image'), subject(3, 'image', 'was', 'were')
    ('1 image is', '3 images were')
    """
    return f'{counted(number, noun)} {single if number == 1 else plural}'


def listed(words: Sequence[str], last: str = 'and') -> str:
    """Words joined into a list: 'a', 'a and b', 'a, b and c'; '' for none."""
    if len(words) < 2:
        return ''.join(words)
    return f'{", ".join(words[:-1])} {last} {words[-1]}'


def listed_clauses(clauses: Sequence[str]) -> str:
    """Clauses joined into a sentence: as `listed`, but with a comma before 'and'.

    >>> listed_clauses(['a is seen for 2 seconds', '3 seconds are silent'])
    'a is seen for 2 seconds, and 3 seconds are silent'
    """
    return ''.join(clauses) if len(clauses) < 2 else f'{", ".join(clauses[:-1])}, and {clauses[-1]}'


def said_once(reasons: Mapping[str, str]) -> dict[str, str]:
    """Reasons by name, each in full only where it appears first; reasons that are empty stay so.

    >>> said_once({'a.mp4': 'no answer', 'b.mp4': '', 'c.mp4': 'no answer'})
    {'a.mp4': 'no answer', 'b.mp4': '', 'c.mp4': 'as a.mp4'}
    """
    firsts: dict[str, str] = {}
    for name, reason in reasons.items():
        firsts.setdefault(reason, name)
    return {
        name: reason if not reason or firsts[reason] == name else f'as {firsts[reason]}'
        for name, reason in reasons.items()
    }


def opened(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]
