"""Removal of a model's reasoning (thinking) from its answer: one rule for labels, verdicts and descriptions.

Reasoning models write their reasoning into the answer, between tags, or in a separate channel. Its words are not part
of the answer: `<think>sad or angry?</think><answer>happy</answer>` means *happy*.

    without_thinking('<think>sad or angry?</think><answer>happy</answer>') == FinalAnswer('happy', has_thinking=True)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from affekt.tables import note
from affekt.wording import counted

_NAMES = (
    r'think(?:ing)?|thoughts?|reason(?:ing)?|rationale|analysis|reflection|scratchpad|inner_monologue|'
    r'chain_of_thought|cot|seed:think'
)
_TAGS = re.compile(
    rf"""
      <\s{{0,9}}(?P<close>/)?\s{{0,9}}(?:{_NAMES})(?:\s[^<>]{{0,200}})?(?P<whole>/)?>   # <think>, </reasoning>
    | ◁\s{{0,9}}(?P<close2>/)?\s{{0,9}}think\s{{0,9}}▷                                    # Kimi
    | \[\s{{0,9}}(?P<close3>/)?\s{{0,9}}THINK\s{{0,9}}\]                                  # Magistral
    | <\|\s{{0,9}}(?:(?P<close4>/|end_of_|END_)|begin_of_|START_)?(?:thought|think(?:ing)?)\s{{0,9}}\|>
    | <unused(?:94|(?P<close5>95))>(?:thought\b)?                                       # MedGemma
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Start and end of thinking. Runs of spaces are limited, since unlimited ones would take minutes in a long answer."""
_ESCAPED = re.compile(
    rf'(?:&lt;|＜)(\s{{0,9}}/?\s{{0,9}}(?:{_NAMES}|(?:final_)?answer)\s{{0,9}})(?:&gt;|＞)', re.IGNORECASE
)
_ANSWER = re.compile(
    r'<\s{0,9}(?P<close>/)?\s{0,9}(?:final[_ ]?)?answer\s{0,9}>'
    r'|<\|(?:begin_of_solution|START_RESPONSE|(?P<close2>end_of_solution|END_RESPONSE))\|>',
    re.IGNORECASE,
)
_BOXED = re.compile(r'\\boxed\{\s{0,9}(?:\\text\w{0,9}\{)?([^{}]*)\}')
_CHANNEL = re.compile(r'<\|channel\|>\s{0,9}(\w+)[^<]{0,80}?(?:<\|message\|>|(?<=final)|(?<=analysis))', re.IGNORECASE)
_CHANNEL_END = re.compile(r'<\|(?:end|return|start|call|channel)\|>', re.IGNORECASE)
_BARE_CHANNELS = re.compile(
    r'\s*analysis(?=[A-Z\s]).*?assistant(?:final|\s{1,9}final(?=[A-Z\s\[{"\']))|\s*analysis(?=[A-Z]).*', re.DOTALL
)
"""Channels without marks, which a tokenizer dropped: `analysisThe user … assistantfinalhappy`."""


@dataclass(frozen=True)
class FinalAnswer:
    """An answer without thinking."""

    text: str
    """Text of the answer; '' if the thinking never ends."""
    has_thinking: bool
    """Whether there was any thinking."""


def without_thinking(answer: str) -> FinalAnswer:
    """A model's answer without its thinking.

    1. Of channels (`<|channel|>analysis…<|channel|>final…`) the last final one is kept. 2. Text between tags of
    thinking is removed; text before a closing tag without an opening one is thinking too, because chat templates
    consume the opening one; thinking that never ends extends to the end, except for a marked answer. 3. Where
    `<answer>` marks the answer, its text is kept; of several the last one that is not empty.

    Text without such marks is returned unchanged.

    >>> without_thinking('He frowns … </THINK> happy').text
    'happy'
    >>> without_thinking('<think>sad, or angry')
    FinalAnswer(text='', has_thinking=True)
    """
    if not any(character in answer for character in '<◁[＜\\&') and not answer.lstrip().startswith('analysis'):
        return FinalAnswer(answer, False)
    text, had_channels = _final_channel(_ESCAPED.sub(r'<\1>', answer))
    text, had_tags = _outside_thinking(text)
    marked_text = _marked_answer(text)
    if marked_text is None and had_channels | had_tags and (boxes := _BOXED.findall(text)):
        marked_text = boxes[-1]
    if marked_text is not None:
        return FinalAnswer(marked_text.strip(), had_channels or had_tags)
    has_thinking = had_channels or had_tags
    return FinalAnswer(text.strip(), True) if has_thinking else FinalAnswer(text, False)


def final_texts(texts: Iterable[str], source: object) -> list[str]:
    """Every text without thinking; the number of texts with thinking is noted, with the other notes of reading a table.

    Args:
        texts: descriptions or answers.
        source: name of their origin in the note.
    """
    originals = list(texts)
    finals = [without_thinking(text) for text in originals]
    note_thinking(len({text for text, final in zip(originals, finals, strict=True) if final.has_thinking}), source)
    return [final.text for final in finals]


def note_thinking(count: int, source: object) -> None:
    """Note the number of texts with thinking, with the other notes of reading a table; no note for 0."""
    if count:
        note((f'{thinking_in(count, source)}, which is left out',))


def thinking_in(count: int, source: object) -> str:
    """Sentence on the number of texts with thinking in a source.

    >>> thinking_in(2, 'a.csv')
    '2 texts of a.csv hold what the model thought aloud'
    """
    return f'{counted(count, "text")} of {source} {"holds" if count == 1 else "hold"} what the model thought aloud'


def count_thinking(answers: Iterable[object]) -> int:
    """Number of answers that are texts with thinking."""
    return sum(isinstance(answer, str) and without_thinking(answer).has_thinking for answer in answers)


def _final_channel(text: str) -> tuple[str, bool]:
    """The last final channel, and whether there were channels."""
    channels = list(_CHANNEL.finditer(text))
    if not channels:
        unmarked = _BARE_CHANNELS.match(text)
        return (text[unmarked.end() :], True) if unmarked else (text, False)
    finals = [channel for channel in channels if channel[1].lower().startswith('final')]
    if not finals:
        return '', True
    start = finals[-1].end()
    end = _CHANNEL_END.search(text, start)
    return text[start : end.start() if end else len(text)], len(finals) < len(channels)


def _outside_thinking(text: str) -> tuple[str, bool]:
    """The text outside tags of thinking, and whether there were any."""
    parts: list[str] = []
    depth = position = last_close = 0
    tags = list(_TAGS.finditer(text))
    for tag in tags:
        is_closing = any(tag[name] for name in ('close', 'close2', 'close3', 'close4', 'close5'))
        if depth == 0 and (tag['whole'] or not is_closing):
            parts.append(text[position : tag.start()])
        if tag['whole']:
            pass
        elif not is_closing:
            depth += 1
        elif depth > 0:
            depth -= 1
            last_close = tag.end()
        else:  # its opening tag is in the template
            parts.clear()
            last_close = tag.end()
        position = tag.end()
    if depth == 0:
        parts.append(text[position:])
    elif any(tag.end() == last_close for tag in tags) and position == last_close:
        parts.append(text[last_close:])  # a tag within thinking was never closed
    elif answers := list(_ANSWER.finditer(text, position)):
        parts.append(text[answers[0].start() :])
    return ' '.join(part for part in parts if part.strip()), not all(tag['whole'] for tag in tags)


def _marked_answer(text: str) -> str | None:
    """Contents of the last non-empty answer tag; None if there is no tag."""
    tags = list(_ANSWER.finditer(text))
    if not tags:
        return None
    answers: list[str] = []
    start: int | None = None if not (tags[0]['close'] or tags[0]['close2']) else 0
    for tag in tags:
        if tag['close'] or tag['close2']:
            if start is not None:
                answers.append(text[start : tag.start()])
            start = None
        else:
            start = tag.end()
    if start is not None:
        answers.append(text[start:])
    return next((part for part in reversed(answers) if part.strip()), '')
