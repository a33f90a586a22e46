"""Language models as a judge: a strategy, the models that it asks, and limits on clips.

chat = RememberingChat(Endpoint('http://localhost:8000/v1', 'qwen'), ReplayCache(Path('answers')))
judge = LanguageModelJudge(Panel(chat, chat), 's1')
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from affekt.errors import MediaError, QuestionRefusedError, ValueRangeError
from affekt.judging.answers import FIRST, SAME, SECOND, UNSURE, read_verdict
from affekt.judging.judge import ABSTAIN, OTHER_SIDE, Verdict
from affekt.judging.strategies import NEED_CLIP, TWO_MODELS, Panel, Shown, strategy
from affekt.llm import DEFAULT_SERVER, SERVERS, ClipLimits, MediaForm, Part, clip_parts
from affekt.preference import TIE, DescribedPair

CACHED_CLIPS = 16
"""Number of clips kept in memory as parts of questions; several consecutive questions are about the same clip."""


class LanguageModelJudge:
    """Asks language models, and keeps every raw answer with the verdict.

    Args:
        panel: the models.
        strategy_name: s1, s2, s3 or s4.
        limits: limits on the part of a clip in a question.
        form: form in which a clip is passed to the server of the model that sees it.

    Raises:
        UnknownNameError: unknown strategy.
    """

    def __init__(
        self,
        panel: Panel,
        strategy_name: str = 's1',
        limits: ClipLimits | None = None,
        form: MediaForm = SERVERS[DEFAULT_SERVER],
    ) -> None:
        self._panel, self._strategy_name = panel, strategy_name
        self._strategy = strategy(strategy_name)
        self._limits, self._form = limits or ClipLimits(), form
        self._guard = threading.Lock()
        self._clips: OrderedDict[Path, tuple[Part, ...]] = OrderedDict()

    @property
    def name(self) -> str:
        """Names of the models and the strategy."""
        models = [self._panel.seeing.model]
        if self._strategy_name in TWO_MODELS and self._panel.reading.model not in models:
            models.append(self._panel.reading.model)
        return f'{"+".join(models)} {self._strategy_name}'

    def verdict(self, pair: DescribedPair, order: str) -> Verdict:
        """The models' verdict.

        An answer that cannot be parsed, a clip that cannot be read, or a question that a working server refuses is an
        abstention; `how` gives the reason.

        Raises:
            ValueRangeError: the strategy needs a clip and the pair has none, or a text is too long.
            LLMError: a model gave no answer.
        """
        if pair.media is None and self._strategy_name in NEED_CLIP:
            raise ValueRangeError(
                expected=f'a clip for {pair.sample}: {self._strategy_name} begins with a description of it',
                came='none',
                todo='name the folder of clips with --media, or use s1',
            )
        first, second = pair.shown(order)
        try:
            answers = self._strategy(self._panel, Shown(first, second, self._clip(pair.media)))
        except QuestionRefusedError as error:
            return Verdict(ABSTAIN, order, 'refused', unanswered=error.came)
        except MediaError as error:
            return Verdict(ABSTAIN, order, 'unreadable clip', unanswered=error.came)
        reading = read_verdict(answers[-1].reply.text)
        sides = {FIRST: order, SECOND: OTHER_SIDE[order], SAME: TIE, UNSURE: ABSTAIN}
        return Verdict(sides[reading.verdict], order, reading.how, answers)

    def _clip(self, path: Path | None) -> tuple[Part, ...]:
        """Parts of a question with the clip; () without one."""
        if path is None:
            return ()
        with self._guard:  # one thread decodes; others wait only if they need a clip too
            parts = self._clips.get(path)
            if parts is None:
                parts = self._clips[path] = clip_parts(path, self._limits, self._form)
                if len(self._clips) > CACHED_CLIPS:
                    self._clips.popitem(last=False)
        return parts
