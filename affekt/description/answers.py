"""An answer as read: its labels, its text, the form it has, and the clues that it names.

    read_answer("The character's emotional state is happy, calm.").labels == ('happy', 'calm')

Forms, of which the first that fits counts:

| form | an answer that |
|---|---|
| `empty` | says nothing, or thinks aloud without end |
| `nonsense` | repeats itself, or is mostly no words |
| `refusal` | says that it cannot or will not, and names no feeling apart from that |
| `template` | is one of the answers that `QUESTIONS` has, alone or before clues, or a sentence like them |
| `list` | is labels alone, or labels and then clues |
| `free` | is any other text |

Labels are read by the one rule of affekt (`affekt.llm.LexiconExtractor`); where it is known what a clip has, clauses on
what it has not are set apart, and their labels do not count.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from affekt.description.clues import Clue, clues_in, without_invented
from affekt.description.questions import FAMILIES, QUESTIONS
from affekt.labels import load_table, without_thinking
from affekt.llm import LexiconExtractor

Form = Literal['template', 'list', 'free', 'refusal', 'nonsense', 'empty']
LONGEST = 100_000
"""Characters of an answer that are read."""


@dataclass(frozen=True)
class Answer:
    """What was read out of an answer."""

    labels: tuple[str, ...]
    """Lower-case, in the order of the text, each once; none of a refusal or of nonsense."""
    text: str
    """Without what was thought aloud, what follows the answer's end, and clauses on what was not perceived."""
    form: Form
    evidence: tuple[Clue, ...] = ()
    """Clauses that say what was seen, heard or read."""
    invented: tuple[Clue, ...] = ()
    """Clauses on what the clip does not have; in neither text nor evidence."""
    question: str = ''
    """Name of the question of `QUESTIONS` whose answer this has the form of; '' for none."""
    value: str = ''
    """What a template says that is no label: a valence, a sentiment, which description is preferred, a verdict."""


def read_answer(
    text: str | None, *, perceived: Collection[str] | None = None, is_cut: bool = False, table: str = 'affekt'
) -> Answer:
    """An answer as read; no text makes it fail.

    Args:
        text: as generated; None counts as none.
        perceived: what can be perceived of the clip (`perceived_through` says it for its sources); None where that is
            not known, so that nothing counts as invented.
        is_cut: whether it ended at its limit of tokens: a last piece, which may be half a word, is left out.
        table: whose words are known; see `affekt.labels.load_table`.

    Raises:
        UnknownNameError: perceived names something unknown.

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
    rest = _without_refusals(meant)
    if rest != meant and not extractor.extract(rest).labels:
        return Answer((), meant, 'refusal')
    if leading := _leading_labels(meant, table):
        clues, invented = _founded(leading.text, perceived)
        lead = meant[: len(meant) - len(leading.text)].strip()
        return replace(leading, text=f'{lead} {clues}'.strip(), evidence=clues_in(clues), invented=invented)
    if rest == meant and extraction.how in ('json', 'list', 'template'):
        return Answer(extraction.labels, meant, 'template' if extraction.how == 'template' else 'list')
    kept, invented = _founded(meant, perceived)
    stated = _without_refusals(kept)
    return Answer(extractor.extract(stated).labels, kept, 'free', clues_in(stated), invented)


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


# Nonsense

_LOOP_WORDS, _LOOP_SHARE = 12, 0.35
_ODD_SHARE = 0.5


def is_nonsense(text: str) -> bool:
    """Whether a text repeats itself, or is mostly no words.

    That is: less than half of its marks are letters, digits or the marks of lists; of 12 words or more at most 35 %
    of the groups of three are different; or less than half of the words can be spoken.
    """
    dense = re.sub(r'\s', '', text)
    letters = sum(mark.isalpha() for mark in dense)
    numbers = sum(mark.isdigit() or mark in '[]{}"\'.,:;-+/' for mark in dense)
    if dense in ('[]', '{}'):
        return False
    if 2 * (letters + numbers * (letters > 0 or any(mark.isdigit() for mark in dense))) < len(dense) or not (
        letters or re.search(r'\d', dense)
    ):
        return True
    if '\ufffd' in dense and 5 * dense.count('\ufffd') > len(dense):
        return True
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower())
    return _is_loop(words) or _is_loop(list(dense), longest_run=True) or _is_unspeakable(words)


def _is_loop(words: list[str], *, longest_run: bool = False) -> bool:
    """Whether few things are said over and over; of letters only one letter without end counts."""
    if longest_run:
        return len(words) >= _LOOP_WORDS and Counter(words).most_common(1)[0][1] > 0.7 * len(words)
    if len(words) < _LOOP_WORDS:
        return len(words) >= 5 and len(set(words)) == 1
    groups = list(zip(words, words[1:], words[2:], strict=False))
    return len(set(groups)) <= _LOOP_SHARE * len(groups)


def _is_unspeakable(words: list[str]) -> bool:
    """Whether most words of Latin letters have no vowel, a letter three times, or five consonants in a row."""
    latin = [word for word in words if word.isascii() and word.isalpha()]
    if not latin or 2 * len(latin) < sum(word.isalpha() for word in words):
        return False
    odd = sum(
        bool(re.search(r"(.)\1\1|[bcdfghjklmnpqrstvwxz]{5}|^[^aeiouy']{3,}$|^[^aeiouyw']{2}$", word))
        and word not in ('mr', 'ms', 'dr', 'tv', 'vs', 'st', 'hmm', 'mm')
        for word in latin
    )
    return odd > _ODD_SHARE * len(latin)


# Refusals

_REFUSES = re.compile(
    r'^(?:'
    r"(?:(?:i|i'm|i am|we are|we're|my)\s+)?(?:(?:very|so|truly|deeply)\s+)?(?:sorry|apolog\w+)\b"
    r'(?!\s+(?:for|about)\s+(?:her|him|them|the|his|their|what)\b)|'
    r'(?:(?!.{0,80}\b(?:says?|said|asks?|tells?)\b)[^,]{0,80},\s*|(?:unfortunately,?\s+)?(?:without|from|based on|'
    r"given|with only)\b.{1,80}?\s|unfortunately\s+|(?:i'm|i am) afraid (?:that )?)?(?:i|we)"
    r"(?:'m|'re|\s+am|\s+are)?\s+(?:cannot|can't|can not|could not|couldn't|won't|will not|unable to|not able to|"
    r'do not have|'
    r"don't have|not allowed to|not permitted to|(?:must|have to) decline|decline to|do not know|don't know|"
    r'(?:would |do )?(?:rather|prefer) not)\b(?!\s+(?:deny|doubt|ignore|help (?:but|\w+ing))\b)|'
    r"(?:i'd|i would) (?:rather|prefer) not\b|"
    r'.{0,80}\bas an? (?:ai|artificial intelligence|(?:large |ai )?language model|text-based|virtual assistant)\b|'
    r"(?:[^,]{0,80},\s*)?it(?:'s| is| was) (?:not possible|impossible|difficult|hard|unclear|not clear|not appropriate|"
    r'inappropriate)\b.{0,80}\b(?:to|whether|what|how|which)\b|'
    r'.{0,200}\b(?:cannot|can not|could not) be (?:determined|inferred|judged|identified|recogni[sz]ed|described)\b|'
    r'.{0,80}\b(?:no|not enough|insufficient) (?:\w+ ){0,2}(?:information|evidence|context) (?:is|was|to)\b|'
    r'.{0,200}\b(?:against|violates?) (?:my|the|our) (?:guidelines|polic\w+|programming)\b|'
    r".{0,200}\b(?:isn't|is not) something (?:that )?i (?:can|could|am)\b|"
    r'(?:很|非常|真的)?(?:抱歉|对不起|對不起)|.{0,40}(?:无法|無法|不能|难以)(?:判断|判斷|确定|確定|识别|識別|描述|提供|回答|分析|辨别)|'
    r'作为(?:一个|一名)?\s?(?:人工智能|AI|语言模型)|'
    r'lo siento|no puedo|es tut mir leid|(?:je suis )?désolée?|mi dispiace|desculpe|sinto muito|'
    r'申し訳|すみません|죄송|извините|'
    r'к сожалению'
    r')',
    re.IGNORECASE | re.DOTALL,
)
"""Matched at the beginning of a clause, so that *she says I can't bear it* refuses nothing."""
_OFFERS = re.compile(
    r'^(?:please|if you|could you|can you|would you|let me know|feel free|you (?:can|may|could)|'
    r"what i can|i can (?:help|assist|only)|i(?:'d| would) be (?:happy|glad)|happy to help|instead)\b|\?\W*$|^如果|^请",
    re.IGNORECASE,
)
_TURN = re.compile(
    r'[,;—–]?\s{1,9}(?=(?:but|however|though|although|yet|nevertheless)\b|'
    r'and\s(?:he|she|they|his|her|their|the)\b)|[;；]\s{0,9}',
    re.IGNORECASE,
)
_AFTER_TURN = re.compile(r'^(?:but|however|though|although|yet|nevertheless|and)\b,?\s*', re.IGNORECASE)
_SENTENCES = re.compile(r'(?<=[.!?。！？])["”’)]*\s*|\n+')
_QUOTED = re.compile(r'"[^"\n]*"|“[^”\n]*”|「[^」\n]*」')


def _without_refusals(text: str) -> str:
    """The text without sentences that refuse, and then without offers; as it is where none refuses."""
    parts = [part for sentence in _SENTENCES.split(text) for part in _TURN.split(sentence) if part and part.strip()]
    refuses = [
        bool(_REFUSES.match(_AFTER_TURN.sub('', _QUOTED.sub('', part[:400]).strip()).replace('’', "'")))
        for part in parts
    ]
    if not any(refuses):
        return text
    kept = (_AFTER_TURN.sub('', part).strip() for part, refused in zip(parts, refuses, strict=True) if not refused)
    return ' '.join(
        part if part[-1] in '.!?。！？' else f'{part}.' for part in kept if part and not _OFFERS.search(part)
    )


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
    """Labels in a first sentence, by a template or all of them known words; the text is that of the clues behind.

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
