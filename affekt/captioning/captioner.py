"""One clip through all steps: its audio clue, its visual clue, both merged with the words, and the labels.

`Captioner.caption` runs the steps. An unusable answer (a refusal, nonsense, nothing, or the answer of a model that did
not receive the media) is requested again with another seed, `tries` times in all, and then counted as unusable: it
becomes no clue, and nothing replaces it.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

from affekt.captioning.captions import (
    FAILED,
    KEPT,
    MERGED,
    OK,
    REFUSED,
    UNJUDGED,
    Caption,
    SecondLanguage,
    Use,
)
from affekt.captioning.media import AUDIO, VISUAL, media_sizes, parts_for
from affekt.captioning.places import Place, absolute_path
from affekt.captioning.prompts import (
    CANNOT_BE_JUDGED,
    VERSION,
    audio_prompt,
    labels_prompt,
    merge_prompt,
    translation_prompt,
    visual_prompt,
)
from affekt.corpora import Manifest, Sample
from affekt.errors import LLMError, QuestionRefusedError, ValueRangeError
from affekt.labels import (
    TABLE_NAMES,
    is_nonsense,
    is_refusal,
    load_table,
    official_clean,
    read_labels,
    without_thinking,
)
from affekt.llm import (
    Chat,
    ClipLimits,
    LanguageModelExtractor,
    LexiconExtractor,
    MediaForm,
    Part,
    RememberingChat,
    ReplayCache,
    Reply,
    Request,
    picture_part,
    sound_part,
)

PROMPT_TOKENS, ANSWER_TOKENS = 'prompt_tokens', 'completion_tokens'
LEAST_MEDIA_TOKENS = 3
"""A question with media costs at least this many tokens more than its words alone, if the server counts media at all:
a second of audio is 6 to 25 tokens to published models, an image 16 or more."""
CLEARLY = 50
"""Media were received if a question's tokens exceed those of its fixed words by this number, plus one for every two
bytes of its other words."""
RATE_HZ = 16_000
LONGEST_LANGUAGE = 60
"""Maximum number of characters in the name of a language."""
_GREY = np.full((224, 224, 3), 128, np.uint8)
SUBTITLES = ('text', 'chinese', 'english')


@dataclass(frozen=True)
class Models:
    """The place of each step's model."""

    audio: Place
    visual: Place
    merge: Place
    labels: Place | None = None
    """Model that reads labels; None reads them with affekt's word list."""

    def __post_init__(self) -> None:
        for place in (self.merge, self.labels):
            if place is not None and place.is_describer:
                raise LLMError(
                    expected='a language model that merges clues or lists labels', came=f'a describer, {place.where}',
                    todo='use it as --audio-model or --video-model; here give an address, or a folder or .gguf file',
                )  # fmt: skip

    def absolute(self) -> Models:
        """The models with absolute paths, for a process that starts in another folder."""
        labels = self.labels and self.labels.absolute()
        return Models(self.audio.absolute(), self.visual.absolute(), self.merge.absolute(), labels)


@dataclass(frozen=True)
class CaptionSettings:
    """All settings that captions depend on."""

    models: Models
    limits: ClipLimits = field(default_factory=ClipLimits)
    subtitle: str = 'text'
    """Column of the manifest with the subtitle, one of `SUBTITLES`."""
    words_alone: bool = False
    """Whether a clip without any clue is described by its words alone, as published; otherwise it is not described."""
    second_language: str = ''
    """A language into which each description is translated and in which labels are read again; '' for none."""
    table: str = 'affekt'
    """Word table that reads labels, and emotions in refusals."""
    tries: int = 2
    """Maximum number of attempts of a step until an answer is usable, each with another seed."""
    max_tokens: int = 512

    def __post_init__(self) -> None:
        language = self.second_language
        if language != language.strip() or not language.isprintable() or len(language) > LONGEST_LANGUAGE:
            raise ValueRangeError(
                expected='the name of a language', came=repr(language[:80]), todo='write for example Chinese'
            )

    def absolute(self) -> CaptionSettings:
        """The settings with absolute paths, for a process that starts in another folder."""
        table = self.table if self.table in TABLE_NAMES else absolute_path(self.table)
        return replace(self, models=self.models.absolute(), table=table)

    def saved(self) -> dict[str, Any]:
        """The settings that must stay the same when a run resumes: names of models, not their places, timeouts or
        retries."""
        models = self.models
        places = {'audio': models.audio, 'visual': models.visual, 'merge': models.merge, 'labels': models.labels}
        table = _lexicon(self.table).table
        return {
            'prompts': VERSION,
            'models': {step: place.model if place else f'lexicon {table.label}' for step, place in places.items()},
            'servers': {step: places[step].server for step in (AUDIO, VISUAL)},  # type: ignore[union-attr]
            'limits': vars(self.limits),
            **{name: getattr(self, name) for name in ('subtitle', 'words_alone', 'second_language', 'tries')},
            'table': table.label,
            'max_tokens': self.max_tokens,
        }


@dataclass(frozen=True)
class StepOutcome:
    """The result of one step."""

    text: str = ''
    """The answer; '' if it is unusable."""
    status: str = ''
    why: str = ''
    use: Use | None = None
    """Use of the model; None if it was not asked."""


Noted = Callable[[str, StepOutcome], StepOutcome]
"""Stores the outcome of a step of a clip and returns it."""


class Captioner:
    """The opened models of all steps; may be used from many threads.

    Args:
        settings: settings of captioning.
        cache: cache of all answers.
        servers: closes the models on exit.
        clock: returns seconds, used to time clips and answers.

    Raises:
        LLMError: a model cannot be opened.
    """

    def __init__(
        self, settings: CaptionSettings, cache: ReplayCache, servers: contextlib.ExitStack,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.settings, self._clock = settings, clock
        models, opened = settings.models, dict[Place, Chat]()

        def chat(place: Place) -> Chat:
            if place not in opened:
                opened[place] = RememberingChat(place.open(servers), cache, clock)
            return opened[place]

        self._chats = {AUDIO: chat(models.audio), VISUAL: chat(models.visual), 'merge': chat(models.merge)}
        describing_places = {AUDIO: models.audio, VISUAL: models.visual}
        self._describing = frozenset(step for step, place in describing_places.items() if place.is_describer)
        """Steps whose model is a describer, which has its own question and does not sample."""
        self._forms = {AUDIO: models.audio.form, VISUAL: models.visual.form}
        self._label_chat = chat(models.labels) if models.labels else None
        self._lexicon = _lexicon(settings.table)
        limits = settings.limits
        self._guard = threading.Lock()
        self._fixed: dict[str, tuple[int, int]] = {}
        """Step to the tokens and bytes of its fixed words."""
        self._limits = {AUDIO: replace(limits, frames=0, sound=True), VISUAL: replace(limits, sound=False)}

    def caption(self, manifest: Manifest, row: Sample) -> Caption:
        """The caption of a clip.

        1. The audio and the visual clue. 2. Both merged with the words. 3. The labels. 4. The second language.

        Returns:
            A caption; its status is `failed` if a model gave no answer at all.
        """
        started = self._clock()
        subtitle = '' if 'text' in (row.missing or '').split(',') else (getattr(row, self.settings.subtitle) or '')
        subtitle = ' '.join(subtitle.split())
        use: dict[str, Use] = {}
        why: dict[str, str] = {}

        def note(step: str, outcome: StepOutcome) -> StepOutcome:
            if outcome.use is not None:
                use[step] = outcome.use
            if outcome.why:
                why[step] = outcome.why
            return outcome

        sizes = media_sizes(manifest, row)
        try:
            audio_clue = note(AUDIO, self._clue(manifest, row, AUDIO, subtitle))
            visual_clue = note(VISUAL, self._clue(manifest, row, VISUAL, subtitle))
            status, merged = self._merged(audio_clue.text, visual_clue.text, subtitle, note)
            labels, label_status = self._labels(merged if status in (MERGED, KEPT) else '', note)
            second = self._second(merged if status in (MERGED, KEPT) else '', labels, note)
        except LLMError as error:
            return Caption(
                row.sample,
                FAILED,
                subtitle=subtitle,
                why={FAILED: f'{error.came}, where {error.expected} was expected'},
            )
        return Caption(
            row.sample, status, merged, labels, audio_clue.text, visual_clue.text, subtitle, audio_clue.status,
            visual_clue.status, label_status, why, use, second, round(self._clock() - started, 4), sizes,
        )  # fmt: skip

    def prepare(self, steps: Sequence[str]) -> None:
        """Measure the tokens of these steps' fixed words, so that no clip waits for it.

        Args:
            steps: `audio`, `visual` or both: steps with media.

        Raises:
            LLMError: the model gave no answer.
        """
        for step in steps:
            with self._guard:
                if step not in self._fixed and step not in self._describing:
                    self._fixed[step] = self._measured(step)

    def _clue(self, manifest: Manifest, row: Sample, step: str, subtitle: str) -> StepOutcome:
        """The clue of a step for a clip."""
        form: MediaForm = self._forms[step]
        sent = parts_for(manifest, row, step, self._limits[step], form)
        if sent.status:
            return StepOutcome(status=sent.status, why=sent.why)
        if step in self._describing:
            return self._asked(step, subtitle, sent.parts)
        prompt = (audio_prompt if step == AUDIO else visual_prompt)(subtitle)
        return self._asked(step, prompt, sent.parts)

    def _merged(self, heard: str, seen: str, subtitle: str, noted: Noted) -> tuple[str, str]:
        """Status and text of the merged description."""
        clues = [clue for clue in (heard, seen) if clue]
        if not clues and not (subtitle and self.settings.words_alone):
            return UNJUDGED, CANNOT_BE_JUDGED
        if not subtitle:
            return KEPT, ' '.join(clues)
        outcome = noted('merge', self._asked('merge', merge_prompt(heard, seen, subtitle)))
        return (MERGED if outcome.status == OK else outcome.status), outcome.text

    def _labels(self, description: str, noted: Noted) -> tuple[tuple[str, ...], str]:
        """The labels of a description, and how they were read."""
        if not description:
            return (), ''
        if self._label_chat is None:
            extraction = self._lexicon.extract(description)
            return extraction.labels, extraction.how
        chat = _Counting(self._label_chat)
        extractor = LanguageModelExtractor(chat)
        for chat.seed in range(self.settings.tries):
            extraction = extractor.extract(description)
            if extraction.how != 'unread':
                break
        why = {'unread': 'no list in the answer', 'refused': extraction.raw or ''}.get(extraction.how, '')
        noted('labels', StepOutcome(use=chat.use, why=why))
        return extraction.labels, extraction.how

    def _second(self, description: str, labels: tuple[str, ...], noted: Noted) -> SecondLanguage | None:
        """The description in a second language, and the labels of both versions in both languages."""
        language = self.settings.second_language
        if not language:
            return None
        translated = (
            description and noted('translate', self._asked('merge', translation_prompt(description, language))).text
        )
        if not translated:
            return SecondLanguage(language, labels_ee=labels)
        chat = _Counting(self._label_chat or self._chats['merge'])

        def read(text: str, spoken: str) -> tuple[str, ...]:
            message = {'role': 'user', 'content': labels_prompt(text, spoken)}
            return read_labels(chat.ask(Request((message,), VERSION, max_tokens=256)).text).labels

        try:
            second = SecondLanguage(
                language, translated, labels, read(translated, 'English'), read(translated, language),
                read(description, language),
            )  # fmt: skip
            why = ''
        except QuestionRefusedError as error:
            second, why = SecondLanguage(language, translated, labels), error.came
        noted('second_labels', StepOutcome(use=chat.use, why=why))
        return second

    def _asked(self, step: str, words: str, parts: Sequence[Part] = ()) -> StepOutcome:
        """The answer of a step, requested again while it is unusable; a question that the server refuses is not asked
        again.

        Args:
            step: name of the step.
            words: text of the question.
            parts: media of the question.
        """
        content = [*parts, {'type': 'text', 'text': words}] if parts else words
        chat, status, why = _Counting(self._chats[step]), '', ''
        for chat.seed in range(1 if step in self._describing else self.settings.tries):
            message = {'role': 'user', 'content': content}
            try:
                reply = chat.ask(Request((message,), VERSION, max_tokens=self.settings.max_tokens))
            except QuestionRefusedError as error:  # another seed would be refused too
                return StepOutcome(status=REFUSED, why=error.came, use=chat.use)
            text, status, why = self._read(reply)
            if status == OK and parts and self._has_dropped(chat, step, reply, words):
                status, why = 'dropped', 'the server counts no more tokens than for the words alone'
            if status == OK:
                return StepOutcome(text, OK, use=chat.use)
        return StepOutcome(status=status, why=why, use=chat.use)

    def _read(self, reply: Reply) -> tuple[str, str, str]:
        """An answer's text on one line, its status, and the reason if it is unusable."""
        text = official_clean(' '.join(without_thinking(reply.text).text.split()))
        if reply.is_cut:
            text = _whole_sentences(text)
        if not text:
            return '', 'empty', 'an empty answer'
        if is_nonsense(text) or text[0] in '{[':  # the question asks for prose
            return '', 'nonsense', text[:200]
        if is_refusal(text, lambda stated: bool(self._lexicon.extract(stated).labels)):
            return '', 'refusal', text[:200]
        return text, OK, ''

    def _has_dropped(self, chat: _Counting, step: str, reply: Reply, words: str) -> bool:
        """Whether the server counts no more tokens for a question with media than for its words alone.

        The tokens of the fixed words, and whether the server counts media at all, are measured once for each model; a
        question's own words are sent alone only if its tokens are not far above that.
        """
        if step in self._describing:
            return False
        counted = reply.usage.get(PROMPT_TOKENS)
        self.prepare((step,))
        fixed, size = self._fixed[step]
        if not counted or not fixed or counted > fixed + (len(words.encode()) - size) / 2 + CLEARLY:
            return False
        words_alone = _tokens(chat, words)
        return words_alone is not None and counted < words_alone + LEAST_MEDIA_TOKENS

    def _measured(self, step: str) -> tuple[int, int]:
        """Tokens of a step's fixed words (0 if the server does not count media), and the bytes of these words."""
        form, prompt = self._forms[step], (audio_prompt if step == AUDIO else visual_prompt)('')
        part = sound_part(np.zeros(RATE_HZ, np.float32), form) if step == AUDIO else picture_part(_GREY, form)
        chat = self._chats[step]
        alone = _tokens(chat, prompt) or 0
        with_media = (_tokens(chat, [part, {'type': 'text', 'text': prompt}], seed) or 0 for seed in range(3))
        counts_media = any(tokens >= alone + LEAST_MEDIA_TOKENS for tokens in with_media)
        return (alone if counts_media else 0), len(prompt.encode())


def _tokens(chat: Chat, content: str | list[Any], seed: int = 0) -> int | None:
    """Number of tokens that a server counts for a question; None if it counts nothing, or refuses it."""
    request = Request(({'role': 'user', 'content': content},), f'{VERSION} tokens', seed=seed, max_tokens=1)
    try:
        counted = chat.ask(request).usage.get(PROMPT_TOKENS)
    except QuestionRefusedError:
        return None
    return None if counted is None else int(counted)


@cache
def _lexicon(table: str) -> LexiconExtractor:
    return LexiconExtractor(load_table(table))


class _Counting:
    """A model with its own seed whose calls are counted."""

    def __init__(self, chat: Chat) -> None:
        self._chat, self.seed, self.use = chat, 0, Use()

    @property
    def model(self) -> str:
        return self._chat.model

    def ask(self, request: Request) -> Reply:
        reply = self._chat.ask(replace(request, seed=self.seed))
        counts = reply.usage
        is_counted = PROMPT_TOKENS in counts and ANSWER_TOKENS in counts
        self.use += Use(
            reply.model, 1, int(counts.get(PROMPT_TOKENS) or 0), int(counts.get(ANSWER_TOKENS) or 0),
            int(not is_counted), reply.seconds,
        )  # fmt: skip
        return reply


def _whole_sentences(text: str) -> str:
    """A text that was cut, up to its last whole sentence; '' if it has none."""
    ends = [end.end() for end in re.finditer(r'[.!?。！？]["”’)]*(?=\s|$)', text)]
    return text[: ends[-1]].strip() if ends else ''
