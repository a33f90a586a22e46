"""Verdicts from the answers of judging models: a1, a2, same, or an abstention.

Two parsers. `official_verdict` is that of EmoPrefer's released scripts, for scores comparable with published ones: an
answer that it cannot parse is 'same'. `read_verdict` looks for JSON first, then for a text that names a single verdict;
an answer that has none, or contradicts itself, is an abstention and is counted as one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from affekt.labels import without_thinking

FIRST, SECOND, SAME, UNSURE = 'a1', 'a2', 'same', 'unsure'
WORDS = (FIRST, SECOND, SAME)
"""Verdicts that are no abstentions."""
KEY = 'verdict'
"""Key of the verdict in an answer's JSON object."""
SCHEMA: dict[str, Any] = {
    'type': 'json_schema',
    'json_schema': {
        'name': 'verdict',
        'strict': True,
        'schema': {
            'type': 'object',
            'properties': {KEY: {'type': 'string', 'enum': [*WORDS, UNSURE]}},
            'required': [KEY],
            'additionalProperties': False,
        },
    },
}
"""JSON schema of a verdict, for servers that support schemas."""
LONGEST = 20_000
"""Maximum number of characters of an answer that are read."""

_NAMED = re.compile(r'(?<![a-z0-9])(a1|a2|same|tie|unsure)(?![a-z0-9])')
_CONCLUDED = re.compile(
    r'(?:verdict|answer|conclusion|better(?: one| description)?)\W{0,4}(?:is|are)?\W{0,4}'
    r'(a1|a2|same|tie|unsure)(?![a-z0-9])(?!,?\s+n?or\s|/)'
    r'|(?<![a-z0-9/])(?<!\bor\s)(?<!\bnor\s)(a1|a2)\W{0,4}'
    r'(?:is|seems|looks)?\s?(?:slightly|clearly|much|far)?\s?(?:the )?better'
)
"""A conclusion; an alternative, as in *a1 or a2 is better* and *a1/a2*, is none."""
_QUOTED = re.compile(r'["\'*`“”‘’]{1,3}(a1|a2|same|tie|unsure)["\'*`“”‘’]{1,3}')
_MEANING = {'a1': FIRST, 'a2': SECOND, 'same': SAME, 'tie': SAME, 'unsure': UNSURE}


@dataclass(frozen=True)
class Reading:
    """A verdict, and how it was found in the answer."""

    verdict: str
    """a1, a2, same or unsure; unsure also where nothing could be read."""
    how: str
    """`json`, `embedded json`, `conclusion`, `text`; without a verdict `unread`, `contradictory` or `empty`."""


def official_verdict(answer: str) -> str:
    """a1, a2 or same, parsed as in the released scripts of EmoPrefer.

    In lower case: the verdict with which the text begins; else the one that occurs first; else same.

    Source: zeroQiaoba/AffectGPT, EmoPrefer, `main_dpo_*.py`, function of the same task.

    >>> [official_verdict(text) for text in ('A2 is better', 'Both are the same, but a1 …', 'neither')]
    ['a2', 'same', 'same']
    """
    text = answer.lower()
    for word in WORDS:
        if text.startswith(word):
            return word
    positions = [(text.find(word), word) for word in WORDS if word in text]
    return min(positions)[1] if positions else SAME


def read_verdict(answer: str) -> Reading:
    """The verdict of an answer, or an abstention with its reason.

    1. A model's reasoning (thinking) is dropped. 2. JSON objects with the key `verdict`, anywhere: they must agree.
    3. Without one: the verdict after words such as *verdict* or *the better one is*, else the verdicts that are named,
    if all are the same.

    >>> read_verdict('```json\\n{"verdict": "a2"}\\n```')
    Reading(verdict='a2', how='embedded json')
    >>> read_verdict('a1 names the smile, a2 does not.')
    Reading(verdict='unsure', how='contradictory')
    """
    text = without_thinking(answer).text[:LONGEST].strip()
    if not text:
        return Reading(UNSURE, 'empty')
    objects = list(_objects(text))
    verdicts = [verdict for verdict in map(_of_object, objects) if verdict]
    if verdicts:
        return _agreed(verdicts, 'json' if len(objects) == 1 and _is_json(text) else 'embedded json')
    lower_text = _QUOTED.sub(r'\1', text.lower())
    if conclusions := _CONCLUDED.findall(lower_text):
        return _agreed([_MEANING[word or other] for word, other in conclusions], 'conclusion')
    mentioned = [_MEANING[word] for word in _NAMED.findall(lower_text)]
    return _agreed(mentioned, 'text') if mentioned else Reading(UNSURE, 'unread')


def _agreed(verdicts: list[str], source: str) -> Reading:
    """The reading of verdicts that must all be equal."""
    return Reading(verdicts[0], source) if len(set(verdicts)) == 1 else Reading(UNSURE, 'contradictory')


def _of_object(parsed: Any) -> str | None:
    """The verdict of a JSON object; None if it has no known one."""
    value = parsed.get(KEY) if isinstance(parsed, dict) else None
    return _MEANING.get(value.strip().lower()) if isinstance(value, str) else None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _objects(text: str) -> Iterator[Any]:
    """The outermost JSON objects in a text, also between other text."""
    decoder, start = json.JSONDecoder(), 0
    while (start := text.find('{', start)) >= 0:
        try:
            parsed, start = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start += 1
            continue
        yield parsed
