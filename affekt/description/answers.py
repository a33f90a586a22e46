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
from affekt.labels import is_nonsense, is_refusal, load_table, without_refusals, without_thinking
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
    turn = _first_turn(without_thinking((text or '')[:LONGEST]).text)
    turn = _without_last_piece(turn) if is_cut else turn
    if not turn:
        return Answer((), '', 'empty')
    if is_nonsense(turn):
        return Answer((), turn, 'nonsense')
    if template_answer := _of_template(turn, table):
        return template_answer
    extractor, known_labels = _extractor(table), load_table(table).bases
    extraction = extractor.extract(turn)
    if extraction.how in ('json', 'list') and all(label in known_labels for label in extraction.labels):
        return Answer(extraction.labels, turn, 'list')
    if is_refusal(turn, lambda stated: bool(extractor.extract(stated).labels)):
        return Answer((), turn, 'refusal')
    if labels_first := _leading_labels(turn, table):
        clues, invented = _perceivable(labels_first.text, perceived)
        lead = turn[: len(turn) - len(labels_first.text)].strip()
        return replace(labels_first, text=f'{lead} {clues}'.strip(), evidence=clues_in(clues), invented=invented)
    refuses_nothing = without_refusals(turn) == turn
    if refuses_nothing and extraction.how in ('json', 'list'):
        return Answer(extraction.labels, turn, 'list')
    kept, invented = _perceivable(turn, perceived)
    stated = without_refusals(kept)
    form: Form = 'template' if refuses_nothing and extraction.how == 'template' else 'free'
    return Answer(extractor.extract(stated).labels, kept, form, clues_in(stated), invented)


def _perceivable(text: str, perceived: Collection[str] | None) -> tuple[str, tuple[Clue, ...]]:
    return (text, ()) if perceived is None else without_invented(text, perceived)


@cache
def _extractor(table: str) -> LexiconExtractor:
    return LexiconExtractor(load_table(table))


# The end of an answer

_TURN_MARKS = re.compile(
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


def _first_turn(text: str) -> str:
    """The first turn that is not empty, without the marks around it; '' if there is none."""
    for part in _TURN_MARKS.split(text):
        if turn := part.strip().strip('#').strip().removeprefix('assistant\n').strip():
            return turn
    return ''


def _without_last_piece(text: str) -> str:
    """The text up to the end of its last whole sentence, or else up to its last comma or space."""
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
        # 'The state is {label}.' to ['The state is ', 'label', '.']: names of slots have odd indices
        pattern = ''.join(
            f'(?P<{piece}>.{{1,400}}?)' if at % 2 else re.escape(piece).replace(r'\ ', r'\s+')
            for at, piece in enumerate(pieces)
        )
        ending = pattern.removesuffix(re.escape('.'))
        patterns.append((name, re.compile(rf'\s*{ending}\s*\.?\s*', re.IGNORECASE)))
    return tuple(patterns)


def _of_template(text: str, table: str) -> Answer | None:
    """The parsed answer, if the whole text has the form of an answer of `QUESTIONS`; None otherwise."""
    for name, pattern in _templates():
        match = pattern.fullmatch(text)
        if not match:
            continue
        (slot, value), *_ = match.groupdict().items()
        if slot not in _LABELS:
            return Answer((), text, 'template', question=name, value=value.strip())
        extraction = _extractor(table).extract(f'[{value}]' if '[' not in value else value)
        if not re.search(r'[.!?]\s', value):
            return Answer(extraction.labels, text, 'template', question=name)
    return None


def _leading_labels(text: str, table: str) -> Answer | None:
    """The labels of a first sentence that is a template or only known labels; `text` holds the clues after it.

    None for an answer of another form.
    """
    lead, stop, clues = text.partition('.')
    clues = clues.strip()
    if not stop or not clues or len(lead) > 400:
        return None
    template_answer = _of_template(f'{lead}.', table)
    if template_answer and template_answer.labels:
        return replace(template_answer, text=clues)
    extraction = _extractor(table).extract(lead)
    known_labels = load_table(table).bases
    if (
        extraction.how != 'list'
        or not extraction.labels
        or any(label not in known_labels for label in extraction.labels)
    ):
        return None
    return Answer(extraction.labels, clues, 'list', question='labels_first')
