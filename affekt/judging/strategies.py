"""Strategies of judging: the four of EmoPrefer as functions of a panel and a showing.

    s1  the model sees the clip and both descriptions, and answers
    s2  the model first describes the clip itself; then, with the clip and its own description, it answers
    s3  as s2, but a second model, which reads only text, answers from that description
    s4  as s3, but the second model first argues; then it says which one its argument finds better

Each returns its answers in order; the last one contains the verdict. The prompts are ours (`prompts.py`).

Source: strategies 1-4 of EmoPrefer, `normal`, `cot`, `cot2`, `cot3` in zeroQiaoba/AffectGPT.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from affekt.errors import UnknownNameError
from affekt.judging.answers import SCHEMA
from affekt.judging.judge import Answer
from affekt.judging.prompts import DESCRIBE, VERSION, argue_prompt, extract_prompt, judge_prompt
from affekt.labels import without_thinking
from affekt.llm import Chat, Part, Request


@dataclass(frozen=True)
class Panel:
    """The models that are asked, and their limits on tokens."""

    seeing: Chat
    """Model that gets the clip."""
    reading: Chat
    """Model that reads only text; may be the same."""
    uses_schema: bool = True
    """Whether verdicts are requested with a JSON schema; servers without schemas may refuse it."""
    verdict_tokens: int = 64
    """Maximum number of tokens of a verdict."""
    prose_tokens: int = 512
    """Maximum number of tokens of a description or an argument."""


@dataclass(frozen=True)
class Shown:
    """The texts of one question, in the order shown, and the clip."""

    first: str
    second: str
    clip: Sequence[Part] = ()
    """Parts of a question with the clip; () without one."""


Strategy = Callable[[Panel, Shown], tuple[Answer, ...]]
"""Function from the models and a showing to all answers, the verdict last."""


def direct(panel: Panel, shown: Shown) -> tuple[Answer, ...]:
    """s1: a single question with clip and texts."""
    prompt = judge_prompt(shown.first, shown.second, has_clip=bool(shown.clip))
    return (_verdict(panel, panel.seeing, 'judge', prompt, shown.clip),)


def own_description_first(panel: Panel, shown: Shown) -> tuple[Answer, ...]:
    """s2: the same model describes, then judges."""
    description = _description(panel, shown)
    prompt = judge_prompt(shown.first, shown.second, has_clip=True, clue=_without_thinking(description))
    return description, _verdict(panel, panel.seeing, 'judge', prompt, shown.clip)


def own_description_then_reader(panel: Panel, shown: Shown) -> tuple[Answer, ...]:
    """s3: one model describes, another judges from that description."""
    description = _description(panel, shown)
    prompt = judge_prompt(shown.first, shown.second, has_clip=False, clue=_without_thinking(description))
    return description, _verdict(panel, panel.reading, 'judge', prompt)


def argue_then_extract(panel: Panel, shown: Shown) -> tuple[Answer, ...]:
    """s4: one model describes, another argues, then names the text that its argument prefers."""
    description = _description(panel, shown)
    argue = argue_prompt(shown.first, shown.second, clue=_without_thinking(description))
    argument = _ask(panel.reading, 'argue', argue, (), panel.prose_tokens)
    return description, argument, _verdict(panel, panel.reading, 'extract', extract_prompt(_without_thinking(argument)))


def _without_thinking(answer: Answer) -> str:
    """An answer without the model's reasoning, to be read by another model."""
    return without_thinking(answer.reply.text).text


def strategy(name: str) -> Strategy:
    """The strategy with a name, such as 's1'.

    Raises:
        UnknownNameError: unknown strategy.
    """
    if name not in STRATEGIES:
        raise UnknownNameError(
            expected=f'a strategy among {", ".join(STRATEGIES)}', came=repr(name), todo='choose one of these'
        )
    return STRATEGIES[name]


def _description(panel: Panel, shown: Shown) -> Answer:
    return _ask(panel.seeing, 'describe', DESCRIBE, shown.clip, panel.prose_tokens)


def _verdict(panel: Panel, chat: Chat, step: str, prompt: str, clip: Sequence[Part] = ()) -> Answer:
    return _ask(chat, step, prompt, clip, panel.verdict_tokens, SCHEMA if panel.uses_schema else None)


def _ask(
    chat: Chat, step: str, prompt: str, clip: Sequence[Part], max_tokens: int, schema: Mapping[str, Any] | None = None
) -> Answer:
    content: Any = [*clip, {'type': 'text', 'text': prompt}] if clip else prompt
    request = Request(({'role': 'user', 'content': content},), VERSION, max_tokens=max_tokens, response_format=schema)
    return Answer(step, chat.ask(request), request.key(chat.model))


STRATEGIES: dict[str, Strategy] = {
    's1': direct,
    's2': own_description_first,
    's3': own_description_then_reader,
    's4': argue_then_extract,
}
"""Name of a strategy to its function."""
NEED_CLIP = frozenset({'s2', 's3', 's4'})
"""Strategies that begin with a description of the clip."""
TWO_MODELS = frozenset({'s3', 's4'})
"""Strategies in which another model may read the description."""
