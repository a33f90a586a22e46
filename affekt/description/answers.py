"""Parsed answers: labels, text, form and the clues they name.

    read_answer("The character's emotional state is happy, calm.").labels == ('happy', 'calm')

Forms; the first that fits counts:

| form | an answer that |
|---|---|
| `empty` | is empty, or is only unfinished thinking |
| `nonsense` | repeats itself, or is mostly not words |
| `refusal` | says that it cannot or will not, and names no feeling apart from that |
| `template` | is an answer of `QUESTIONS`, alone or before clues, or a similar sentence |
| `list` | is only labels, or labels and then clues |
| `free` | is any other text |

Labels are extracted by `affekt.llm.LexiconExtractor`, as everywhere in affekt. If it is known which modalities a clip
has, clauses on modalities that it lacks are set apart, and their labels do not count.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from affekt.description.clues import Clue, clues_in, without_invented
from affekt.description.questions import FAMILIES, QUESTIONS
from affekt.labels import is_nonsense, load_table, without_refusals, without_thinking
from affekt.llm import LexiconExtractor

Form = Literal['template', 'list', 'free', 'refusal', 'nonsense', 'empty']
LONGEST = 100_000
"""Maximum characters of an answer that are parsed."""


@dataclass(frozen=True)
class Answer:
    """An answer as parsed: its labels, text, form and evidence."""

    labels: tuple[str, ...]
    """Lower-case, unique, in the order of the text; none for a refusal or nonsense."""
    text: str
    """The answer without thinking, without text after its end, and without clauses on what was not perceived."""
    form: Form
    evidence: tuple[Clue, ...] = ()
    """Clauses on what was seen, heard or read."""
    invented: tuple[Clue, ...] = ()
    """Clauses on what the clip does not have; neither text nor evidence contains them."""
    question: str = ''
    """Name of the question in `QUESTIONS` whose answers have this form; '' for none."""
    value: str = ''
    """The value in a template that is not a label: a valence, sentiment, preferred description or verdict."""


def read_answer(
    text: str | None, *, perceived: Collection[str] | None = None, is_cut: bool = False, table: str = 'affekt'
) -> Answer:
    """Parse an answer; accepts any text.

    Args:
        text: the answer as generated; None counts as an empty one.
        perceived: what can be perceived in the clip (see `perceived_through`); None if that is
            not known, so that nothing counts as invented.
        is_cut: whether it ended at the token limit: its last piece, which may be half a word, is dropped.
        table: name of the word table that defines the known labels; see `affekt.labels.load_table`.

    Raises:
        UnknownNameError: `perceived` has an unknown name.

    >>> read_answer('I am sorry, but I cannot judge that.').form
    'refusal'
    """
    meant = _ended(without_thinking((text or '')[:LONGEST]).text)
    meant = _without_last_piece(meant) if is_cut else meant
    if not meant:
        return Answer((), '', 'empty')
    if is_nonsense(meant):
        return Answer((), meant, 'nonsense')
    if fitting := _of_template(meant, table):
        return fitting
    extractor, known = _extractor(table), load_table(table).bases
    extraction = extractor.extract(meant)
    if extraction.how in ('json', 'list') and all(label in known for label in extraction.labels):
        return Answer(extraction.labels, meant, 'list')
    rest = without_refusals(meant)
    if rest != meant and not extractor.extract(rest).labels:
        return Answer((), meant, 'refusal')
    if leading := _leading_labels(meant, table):
        clues, invented = _founded(leading.text, perceived)
        lead = meant[: len(meant) - len(leading.text)].strip()
        return replace(leading, text=f'{lead} {clues}'.strip(), evidence=clues_in(clues), invented=invented)
    if rest == meant and extraction.how in ('json', 'list'):
        return Answer(extraction.labels, meant, 'list')
    kept, invented = _founded(meant, perceived)
    stated = without_refusals(kept)
    form: Form = 'template' if rest == meant and extraction.how == 'template' else 'free'
    return Answer(extractor.extract(stated).labels, kept, form, clues_in(stated), invented)


def _founded(text: str, perceived: Collection[str] | None) -> tuple[str, tuple[Clue, ...]]:
    return (text, ()) if perceived is None else without_invented(text, perceived)


@cache
def _extractor(table: str) -> LexiconExtractor:
    return LexiconExtractor(load_table(table))


# Where an answer ends

_TURNS = re.compile(
    '|'.join(
        re.escape(mark)
        for mark in sorted(
            {
                part
                for family in FAMILIES.values()
                for part in (family.opening.strip(), family.closing.strip(), *family.marks)
                if part
            }
            | {'</s>', '<|endoftext|>', '<|end_of_text|>', '[/INST]', '[INST]', '\nHuman:', '\nUser:'},
            key=lambda mark: (-len(mark), mark),
        )
    )
)


def _ended(text: str) -> str:
    """The text of one turn, without the marks around it."""
    for part in _TURNS.split(text):
        if bare := part.strip().strip('#').strip().removeprefix('assistant\n').strip():
            return bare
    return ''


def _without_last_piece(text: str) -> str:
    """The text up to its last end of a sentence, or else up to its last comma or space."""
    if re.search(r'[.!?。！？\]}][\'"”’)]*$', text):
        return text
    ends = [end.end() for end in re.finditer(r'[.!?。！？]["”’)]*(?=\s)', text)]
    if ends:
        return text[: ends[-1]].strip()
    if (comma := max(text.rfind(mark) for mark in ',;，、；\n')) > 0:
        return text[:comma].strip()
    return text.rpartition(' ')[0].strip()


# Templates

_SLOT = re.compile(r'\{(\w+)[^}]*\}')
_LABELS = ('label', 'labels')


@cache
def _templates() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Question to the pattern of its answer, for those answers that have words of their own."""
    patterns = []
    for name, question in QUESTIONS.items():
        literal = _SLOT.sub('', question.answer)
        if len(re.findall(r'[a-z]{3,}', literal)) < 2:
            continue
        pieces = _SLOT.split(question.answer)
        pattern = ''.join(
            f'(?P<{piece}>.{{1,400}}?)' if at % 2 else re.escape(piece).replace(r'\ ', r'\s+')
            for at, piece in enumerate(pieces)
        )
        ending = pattern.removesuffix(re.escape('.'))
        patterns.append((name, re.compile(rf'\s*{ending}\s*\.?\s*', re.IGNORECASE)))
    return tuple(patterns)


def _of_template(text: str, table: str) -> Answer | None:
    """An answer that is wholly one of the answers of `QUESTIONS`; None for another."""
    for name, pattern in _templates():
        match = pattern.fullmatch(text)
        if not match:
            continue
        (slot, filled), *_ = match.groupdict().items()
        if slot not in _LABELS:
            return Answer((), text, 'template', question=name, value=filled.strip())
        extraction = _extractor(table).extract(f'[{filled}]' if '[' not in filled else filled)
        if not re.search(r'[.!?]\s', filled):
            return Answer(extraction.labels, text, 'template', question=name)
    return None


def _leading_labels(text: str, table: str) -> Answer | None:
    """Labels in a first sentence, from a template or all known words; the text is that of the clues after it.

    None for an answer of another form.
    """
    lead, stop, clues = text.partition('.')
    clues = clues.strip()
    if not stop or not clues or len(lead) > 400:
        return None
    fitting = _of_template(f'{lead}.', table)
    if fitting and fitting.labels:
        return replace(fitting, text=clues)
    extraction = _extractor(table).extract(lead)
    known = load_table(table).bases
    if extraction.how != 'list' or not extraction.labels or any(label not in known for label in extraction.labels):
        return None
    return Answer(extraction.labels, clues, 'list', question='labels_first')
