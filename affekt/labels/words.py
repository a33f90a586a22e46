"""Extraction of the list of emotion words in a text.

There are two parsers. `official_labels` equals the published code, character by character, for scores that must equal
published ones: an apostrophe splits a word, a semicolon does not. `read_labels` reads the forms that models write:
Python and JSON lists, lists with bullets or in Chinese punctuation, answers by a template ("The character's emotional
state is a, b."), and, where nothing is a list, prose (`prose.py`). It never raises on text; `Answer.how` names the
parser that matched.

    read_labels('Output: ["happy", "a bit worried"].').labels == ('happy', 'worried')
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from unicodedata import category

from affekt.labels.clauses import DEGREE, EDGES, SEPARATORS, is_clause, is_sentence
from affekt.labels.markup import without_markup
from affekt.labels.thinking import without_thinking

LONGEST = 100_000
"""Maximum number of characters of an answer that are read."""
MOST_WORDS = 4
"""Maximum number of words in a label; a longer piece is a sentence."""
NO_ANSWER = frozenset({
    'none', 'nan', 'null', 'n/a', 'na', 'unknown', 'unclear', 'not sure', 'no emotion', 'empty', 'yes', 'no', 'nothing',
    'nobody', 'no one', 'true', 'false', 'ok', 'okay', 'maybe', 'none of these', 'none of them', 'none of the above',
    'not applicable', 'no emotions', 'no label', 'no labels', 'undetermined', 'undefined', 'cannot tell',
})  # fmt: skip
"""Pieces that mean that there is no label, or answer another question."""


def official_labels(text: object) -> list[str]:
    """The labels of one answer exactly as the published `string_to_list` returns them.

    One leading `[` and one trailing `]` are dropped, the rest is split at `'`, `"` and `,`, pieces are stripped, empty
    ones dropped. Case is kept. A lone `[`, on which the published code raises IndexError, gives no label here.

    Args:
        text: an answer; None, nan and '' have no label; the entries of a list are returned as texts.

    >>> official_labels("[can't, joy; sorrow].")
    ['can', 't', 'joy; sorrow].']
    """
    if not isinstance(text, str):
        if text is None or (isinstance(text, float) and math.isnan(text)):
            return []
        return [str(part) for part in text] if isinstance(text, Iterable) else [str(text)]
    if text.startswith('['):
        text = text[1:]
    if text.endswith(']'):
        text = text[:-1]
    if "'" in text or '"' in text:
        text = text.replace("'", ',').replace('"', ',')
    return [piece for part in text.split(',') if (piece := part.strip())]


_OFFICIAL_PREAMBLES = ('输入', '输出', '翻译', 'output', 'Output', 'input', 'Input')


def official_clean(answer: str) -> str:
    """A language model's answer, cleaned as by the published code before it is parsed.

    One leading *Output*, *Input*, 输入, 输出 or 翻译 and one colon after it are removed, and all newlines, so that two
    lines become one word without a gap.

    >>> official_clean('Output: [happy]')
    '[happy]'
    """
    answer = answer.strip()
    for word in _OFFICIAL_PREAMBLES:
        if answer.startswith(word):
            answer = answer[len(word) :]
            break
    answer = answer.strip()
    if answer.startswith((':', '：')):
        answer = answer[1:]
    return answer.strip().replace('\n', '').strip()


def official_groups(answer: str) -> list[list[str]]:
    """A language model's list of synonym groups as parsed by the published `listlist_to_list`.

    >>> official_groups("[['mad', 'angry'], ['happy']]")
    [['mad', 'angry'], ['happy']]
    """
    groups = []
    for chunk in re.split(r'[\[\]]', answer):
        words = [piece for piece in re.split(r'[\'"]', chunk) if piece.strip() not in ('', ',')]
        if words:
            groups.append(words)
    return groups


@dataclass(frozen=True)
class Answer:
    """Labels extracted from one answer."""

    labels: tuple[str, ...]
    """Labels in lower case, in the order of the text, each once."""
    how: str
    """`empty`, `given` (a list was passed), `json`, `list`, `template`, `prose`, or `unread` (text without labels)."""
    has_thinking: bool = field(default=False, repr=False, compare=False)
    """Whether thinking before the answer was dropped; see `thinking.py`."""


def read_labels(text: object, lexicon: Collection[str] = ()) -> Answer:
    """The labels of one answer in any form, without the model's thinking.

    Args:
        text: an answer, or a list of labels; None and nan are empty.
        lexicon: known forms (a word table's `bases`), which are needed for reading prose.

    Returns:
        An Answer, without labels where the text has none.

    >>> read_labels('```json\\n{"emotions": ["Joy", "surprise"]}\\n```')
    Answer(labels=('joy', 'surprise'), how='json')
    >>> read_labels("The character's emotional state is curious, worried and tense.").labels
    ('curious', 'worried', 'tense')
    """
    if text is None or (isinstance(text, float) and math.isnan(text)):
        return Answer((), 'empty')
    if not isinstance(text, str):
        entries = [str(part) for part in text] if isinstance(text, Iterable) else [str(text)]
        return Answer(_tidied(entries, lexicon), 'given')
    answer = without_thinking(text)
    return replace(_read(answer.text, lexicon), has_thinking=answer.has_thinking)


def _read(text: str, lexicon: Collection[str]) -> Answer:
    """The labels of a text without thinking."""
    text = _FENCE.sub(' ', without_markup(text[:LONGEST], lexicon)).strip()
    if not text:
        return Answer((), 'empty')
    if text.strip(EDGES).lower() in NO_ANSWER:  # *n/a* is not a list of two labels
        return Answer((), 'list')
    readers = _READERS
    if lexicon and _is_description(text):  # brackets and "the mood is …" in prose are not lists
        readers = _READERS[: 2 if _LIST_AT_END.search(text) else 1]
    for name, reader in readers:
        pieces = reader(text, lexicon)
        if pieces is not None:
            return Answer(_tidied(pieces, lexicon), name)
    in_prose = _in_prose(text, lexicon)
    return Answer(tuple(in_prose), 'prose') if in_prose else Answer((), 'unread')


_FENCE = re.compile(r'```[a-zA-Z]{0,12}|[`*]{1,3}')
_KEYS = (
    'openset', 'labels', 'label', 'emotions', 'emotion', 'emotional_states', 'emotional_state', 'answer', 'feelings',
    'name', 'word',
)  # fmt: skip
_TEMPLATE = re.compile(
    r'\b(?:emotion(?:al)?(?:\s+states?)?|emotions|feelings?|mood|labels?)\s*'
    r'(?:can be described as|could be|may be|is|are|include|includes|:|：)\s*([^.:：\n]{1,400})',
    re.IGNORECASE,
)
_LEAD = re.compile(
    r'^\W{0,3}(?:(?:sure\W{1,3})?(?:here|these)\b[^:：\n]{0,60}|'
    r'the\s(?:\w{1,20}\s){0,4}(?:labels?|emotions?|feelings?|words?|answers?|list)(?:\s\w{1,20}){0,3}|output|input|answer|labels?|emotions?|输入|输出|翻译|'
    r'答案|情感|情绪)\s*[:：]\s*',
    re.IGNORECASE,
)
_BULLET = re.compile(r'\s*(?:[-*+•·–]|\d{1,3}[.)、]|[(（]\d{1,3}[)）])\s+(?=\S)')


def _json(text: str, lexicon: Collection[str]) -> list[str] | None:
    """Strings of a JSON list, or of the relevant field of a JSON object; of several consecutive ones, of all."""
    opening = re.search(r'[\[{]', text)
    if not opening:
        return None
    labels: list[str] = []
    position, decoder = opening.start(), json.JSONDecoder()
    while True:
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            break
        labels += _strings(value, 0, lexicon)
        following = _BETWEEN_VALUES.match(text, position)
        if not following:
            return labels
        position = following.end()
    return labels if position != opening.start() else None


_BETWEEN_VALUES = re.compile(r'[\s,;]{0,20}(?=[\[{])')


def _strings(parsed: Any, depth: int, lexicon: Collection[str]) -> Iterator[str]:
    """Labels of a parsed JSON value, to a depth of 8."""
    if isinstance(parsed, str):
        pieces = SEPARATORS.split(parsed) if depth == 0 else [parsed]
        yield from [parsed] if any(is_clause(piece, lexicon) for piece in pieces) else pieces
    elif isinstance(parsed, dict) and depth < 8:
        fields = {str(key).lower().replace(' ', '_'): value for key, value in parsed.items()}
        label_key = next((key for key in _KEYS if key in fields), None)
        if label_key:
            yield from _strings(fields[label_key], depth if isinstance(fields[label_key], str) else depth + 1, lexicon)
        elif all(isinstance(value, (int, float)) for value in fields.values()):
            yield from fields  # {"joy": 0.8, "fear": 0.1}: the keys are the labels
        else:
            for value in fields.values():
                yield from _strings(value, depth + 1, lexicon)
    elif isinstance(parsed, list) and depth < 8:
        for part in parsed:
            yield from _strings(part, depth + 1, lexicon)


def _bracketed(text: str, lexicon: Collection[str]) -> list[str] | None:
    """Pieces of the first bracketed list, quoted or not; an apostrophe within a word stays."""
    opening = text.find('[')
    if opening < 0:
        return None
    closing = text.rfind(']')
    inner = text[opening + 1 : closing if closing > opening else len(text)]
    quoted = re.findall(
        r"(?<![A-Za-z])'((?:[^'\n]|(?<=[A-Za-z])'(?=[a-z])){1,80})'(?![A-Za-z])|\"([^\"\n]{1,80})\"", inner
    )
    pieces = [left or right for left, right in quoted] if quoted else SEPARATORS.split(inner)
    outside = [part for part in (text[:opening], text[closing + 1 :] if closing > opening else '') if part.strip()]
    if lexicon and any(is_clause(part, lexicon) for part in outside) and not _is_any_known(pieces, lexicon):
        return None if _in_prose(' … '.join(outside), lexicon) else pieces  # *she [the speaker] looks happy*
    return pieces


def _is_any_known(pieces: Sequence[str], lexicon: Collection[str]) -> bool:
    return any(label in lexicon for label in _tidied(pieces, lexicon))


def _bulleted(text: str, lexicon: Collection[str]) -> list[str] | None:
    """Lines with bullets or numbers, where all other lines precede them and end like the introduction of a list."""
    lines = [line for line in text.split('\n') if line.strip()]
    bodies = [_BULLET.sub('', line, count=1) if _BULLET.match(line) else None for line in lines]
    first = next((index for index, body in enumerate(bodies) if body is not None), 0)
    introduction, bodies = lines[:first], bodies[first:]
    if (
        not first
        or any(body is None for body in bodies)
        or not all(line.rstrip().endswith((':', '：')) for line in introduction)
    ):
        return None
    return _labels_alone([piece for body in bodies for piece in SEPARATORS.split(body or '')], lexicon)


def _template(text: str, lexicon: Collection[str]) -> list[str] | None:
    """Pieces after *the emotional state is* and similar words."""
    template = _TEMPLATE.search(text)
    return _labels_alone(SEPARATORS.split(template.group(1)), lexicon) if template else None


def _separated(text: str, lexicon: Collection[str]) -> list[str] | None:
    """Pieces between commas, semicolons, bullets, lines or 'and', if all are short and none is a clause."""
    text = _LEAD.sub('', text)
    return None if is_sentence(text, lexicon) else _labels_alone(SEPARATORS.split(text), lexicon)


def _labels_alone(pieces: Sequence[str], lexicon: Collection[str]) -> list[str] | None:
    """The pieces that are not empty; None if one is too long for a label, or part of a sentence."""
    filled = [piece for piece in pieces if piece and piece.strip()]
    if not filled or any(len(piece.split()) > MOST_WORDS or is_clause(piece, lexicon) for piece in filled):
        return None
    return filled


_READERS: tuple[tuple[str, Callable[[str, Collection[str]], list[str] | None]], ...] = (
    ('json', _json),
    ('list', _bracketed),
    ('list', _bulleted),
    ('template', _template),
    ('list', _separated),
)
"""Name and function of each parser of lists, in the order in which they are tried."""
_SENTENCE_END = re.compile(r'[.!?](?=\s|$)')
_LIST_AT_END = re.compile(r'\][\s.]*$')


def _is_description(text: str) -> bool:
    """Whether a text is running prose: at least two sentences, with eight words or more on average."""
    sentences = [part for part in _SENTENCE_END.split(text) if part.strip()]
    return len(sentences) > 1 and len(text.split()) >= 8 * len(sentences)


_FELT = re.compile(r'^(?:(?:feel(?:ing|s)?|being|is|are)\s+)+')
_TAIL = re.compile(r'\s+(?:emotions?|feelings?|moods?|state|tone)$')


def _tidied(pieces: Sequence[str], lexicon: Collection[str]) -> tuple[str, ...]:
    """Labels of pieces: in lower case, without edges and, unless they are known forms, words of degree; each once.

    A sentence among the pieces is read as prose, or dropped without a lexicon. Marks alone, such as the `…` that a
    model copies from its question, are no label; pictographs are.
    """
    labels: dict[str, None] = {}
    for piece in pieces:
        if is_clause(piece, lexicon):
            labels |= dict.fromkeys(_in_prose(piece, lexicon))
            continue
        label = ' '.join(piece.replace('_', ' ').lower().split()).strip(EDGES)
        if (without_feeling := _FELT.sub('', label)) in lexicon:  # *feeling happy* is the label *happy*
            label = without_feeling
        bare = label if label in lexicon else _TAIL.sub('', DEGREE.sub('', label)) or label
        if bare not in NO_ANSWER and any(mark.isalpha() or category(mark) == 'So' for mark in bare):
            labels[bare] = None
    return tuple(labels)


def _in_prose(text: str, lexicon: Collection[str]) -> list[str]:
    """The labels of running text; [] without a lexicon."""
    if not lexicon:
        return []
    from affekt.labels.prose import labels_in_prose

    return labels_in_prose(text, lexicon)
