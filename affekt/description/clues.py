"""Claims of an answer about what is seen, heard or read: its clauses by modality, and those that cannot be known.

    [clue.of for clue in clues_in('Her voice is loud. She smiles. It rains.')] == [('voice',), ('face',)]

A clause about a modality that a clip does not have, such as *she smiles* without a visible face, was hallucinated.
A statement that something is absent (*no face is visible*, *without sound*) is allowed for any clip. English only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from affekt.errors import UnknownNameError, did_you_mean

SPEAKS_OF: dict[str, re.Pattern[str]] = {
    'voice': re.compile(
        r'\b(?:voices?|vocal\w*|tones?|pitch\w*|intonations?|inflections?|prosod\w+|loud\w*|volume|'
        r'audio|sounds? of|sound(?:s|ing)? (?:as|like)|speech (?:rate|is)|tempo|speaks? (?:\w+ly|fast|low|in an?)|'
        r'speaking (?:rate|speed|is|\w+ly|fast|in an?)|shout\w*|yell\w*|whisper\w*|mutter\w*|sigh\w*|sobs?|sobbing|'
        r'hoarse\w*)\b',
        re.IGNORECASE,
    ),
    'face': re.compile(
        r'\b(?:faces?(?! (?:of|with|up|the (?:fact|truth|situation|problem)))|facial\w*|smil(?:e[sd]?|ing)|frown\w*|'
        r'grin\w*|'
        r'smirk\w*|scowl\w*|(?:eye)?brows?|eyes?|eyelids?|gaz(?:e[sd]?|ing)|glanc(?:e[sd]?|ing)|star(?:e[sd]?|'
        r'ing) at|mouth|'
        r'lips?|cheeks?|jaw|chin|forehead|wink\w*|blink\w*|blush\w*|grimac\w+|pout\w*|tear(?:s|ful|y)\b(?! apart)|'
        r'expression(?:s)?)\b',
        re.IGNORECASE,
    ),
    'body': re.compile(
        r'\b(?:gestur\w+|postur\w+|body|bodily|hands?|arms?|fists?|fingers?|shoulders?|shrugs?|shrugging|nod(?:s|'
        r'ded|ding)?|'
        r'lean(?:s|ed|ing) (?:in|back|forward|towards?)|slouch\w*|movements?|head|video|footage|frames?|background|'
        r'camera|'
        r'wear(?:s|ing)|crossed)\b',
        re.IGNORECASE,
    ),
    'words': re.compile(
        r'\b(?:subtitles?|transcripts?|captions?|utterances?|sentences?|spoken (?:text|content)|what (?:is|was) said|'
        r'(?:the|her|his|their|these|those) (?:text|words?)|says|said|states? that|mention(?:s|ed|ing)|phrases?|'
        r'asks?|asked)\b',
        re.IGNORECASE,
    ),
}  # fmt: skip
"""What can be perceived of a person, to the words that refer to it; another row adds another modality."""
GIVEN_BY: dict[str, tuple[str, ...]] = {
    'voice': ('voice',),
    'prosody': ('voice',),
    'sentence': ('words',),
    'face': ('face',),
    'frame': ('face', 'body'),
    'image': ('face', 'body'),
    'words': ('words',),
}
"""Source of a clip to what can be perceived through it."""
_IS_ABSENT = re.compile(
    r'\b(?:no|without|without any|lack of|lacks|lacking|missing|absence of)\s+(?:\w+\s+){0,2}?(?:audio|sound|voice|'
    r'speech|'
    r'faces?|video|footage|frames?|images?|subtitles?|transcripts?|captions?|text|words)\b|'
    r'\b(?:is|are|was|were)\s+(?:not|missing|absent|unavailable|inaudible|invisible|hidden)\b(?!\s+(?:only|just|'
    r'merely))'
    r'(?:\s+(?:\w+\s+)?(?:visible|audible|available|provided|given|shown|seen|heard|present|included))?$|'
    r"\b(?:cannot|can't|can not|could not|couldn't|unable to|not able to)\s+(?:be\s+)?(?:see|seen|hear|heard|judge|"
    r'judged|'
    r'assess|assessed|read)\b|\b(?:not|un)\s*(?:visible|audible|available|provided|shown)\b',
    re.IGNORECASE,
)
_SENTENCE = re.compile(r'.+?(?:[.!?;]+["”’)]*(?=\s|$)|[。！？；]+["”’」]*|\n+|$)', re.DOTALL)
_CLAUSE_BREAK = re.compile(
    r'\s{1,9}(?=(?:but|while|whereas|and|although|though)\s+(?:he|she|they|it|there|his|her|their|the|its|a|an|in|'
    r'with|no)\b)',
    re.IGNORECASE,
)
_CONJUNCTION = re.compile(r'^(?:but|while|whereas|and|although|though)\s+', re.IGNORECASE)


@dataclass(frozen=True)
class Clue:
    """A clause of an answer about something perceived."""

    text: str
    of: tuple[str, ...]
    """Names of `SPEAKS_OF`, in their order."""


def clues_in(text: str) -> tuple[Clue, ...]:
    """The clauses of a text about something perceived, in order."""
    clues = (Clue(clause, _modalities_of(clause)) for clause in clauses(text))
    return tuple(clue for clue in clues if clue.of)


def perceived_through(sources: Collection[str]) -> tuple[str, ...]:
    """What can be perceived of a person through the given sources of a clip.

    Args:
        sources: names of `GIVEN_BY`; replace a source that joins others by those.

    Raises:
        UnknownNameError: a source is not in `GIVEN_BY`; name what is perceived instead.

    >>> perceived_through(['frame', 'words'])
    ('face', 'body', 'words')
    """
    for name in sources:
        if name not in GIVEN_BY:
            raise UnknownNameError(
                expected=f'sources among {", ".join(GIVEN_BY)}', came=repr(name), todo=did_you_mean(name, GIVEN_BY)
            )
    modalities = {modality for name in sources for modality in GIVEN_BY[name]}
    return tuple(name for name in SPEAKS_OF if name in modalities)


def without_invented(text: str, perceived: Collection[str]) -> tuple[str, tuple[Clue, ...]]:
    """A text without clauses on what was not perceived, and those clauses.

    Args:
        text: an answer.
        perceived: names of `SPEAKS_OF`.

    Raises:
        UnknownNameError: `perceived` has a name that is not in `SPEAKS_OF`.

    >>> without_invented('She smiles, but her voice is low.', ['voice'])
    ('Her voice is low.', (Clue(text='She smiles', of=('face',)),))
    """
    for name in perceived:
        if name not in SPEAKS_OF:
            raise UnknownNameError(
                expected=f'what is perceived among {", ".join(SPEAKS_OF)}', came=repr(name),
                todo=did_you_mean(name, SPEAKS_OF),
            )  # fmt: skip
    invented = tuple(clue for clue in clues_in(text) if set(clue.of) - set(perceived))
    if not invented:
        return text, ()
    invented_texts = {clue.text for clue in invented}
    kept = ''
    for sentence in _sentences(text):
        parts = [part for part in _parts(sentence) if _trimmed(part) not in invented_texts]
        joined = _without_conjunction(' '.join(part.strip() for part in parts))
        if joined != sentence.strip():
            joined = joined.rstrip(', ')
            joined += '.' * (bool(joined) and not joined.endswith(tuple('.!?;。！？；')))
        kept += f'{joined}\n' if '\n' in sentence else f'{joined} ' if joined else ''
    return kept.strip(), invented


def clauses(text: str) -> Iterator[str]:
    """Sentences, split further at *but*, *while* or *and* if these join two clauses."""
    for sentence in _sentences(text):
        yield from (_trimmed(part) for part in _parts(sentence))


def _sentences(text: str) -> list[str]:
    return [part for part in _SENTENCE.findall(text) if part.strip()]


def _parts(sentence: str) -> list[str]:
    return [part for part in _CLAUSE_BREAK.split(sentence) if part.strip()]


def _trimmed(clause: str) -> str:
    return clause.strip().rstrip(',').rstrip()


def _without_conjunction(text: str) -> str:
    """The text without a leading conjunction, then with a capital letter; unchanged if it has none."""
    shortened = _CONJUNCTION.sub('', text)
    return shortened[:1].upper() + shortened[1:] if shortened != text else text


def _modalities_of(clause: str) -> tuple[str, ...]:
    if _IS_ABSENT.search(clause.rstrip(' .!?;,')):
        return ()
    return tuple(name for name, words in SPEAKS_OF.items() if words.search(clause))
