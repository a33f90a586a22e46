"""Clips described by a model on a server, which is given video, audio and words.

Media are sent in the form of the named server, audio as a separate part. Before the first question a probe checks that
they reach the model, since some servers silently drop unsupported parts. Answers are read like those of any describer:
a clause on what a clip does not have is removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from affekt.analysis import Described, described_by
from affekt.corpora import Manifest, Sample
from affekt.describers import ClipAnswer, ClipFiles, ServedDescriber
from affekt.errors import AffektError, LLMError, StorageError, missing_extra
from affekt.llm import ClipLimits, Endpoint, require_media
from affekt.tables import storable

SEEN, HEARD = ('face', 'body'), ('voice',)
"""Inputs that a description may refer to where the model has received video, and audio."""


class EndpointClips:
    """A model on a server as a describer of clips.

    Args:
        endpoint: the server.
        asr: speech recognition model for clips without a transcript; `none` for no words.
        tokens: maximum number of tokens in an answer.
        at_once: number of concurrent questions.
        is_probed: whether to check first that the media of the clips reach the model.
        table: word table whose words are labels.
        limits: limits of what is sent of a clip; None for 8 frames or a video, and audio.

    Raises:
        MissingExtraError: torch, which is needed to read answers, is not installed.
    """

    def __init__(
        self, endpoint: Endpoint, *, asr: str = 'tiny.en', tokens: int = 400, at_once: int = 4, is_probed: bool = True,
        table: str = 'affekt', limits: ClipLimits | None = None,
    ) -> None:  # fmt: skip
        try:
            self._room: Any = import_module('affekt.description')
        except ImportError as error:
            raise missing_extra('torch, with whose room answers are read', 'torch', came=str(error)) from error
        self._endpoint, self._table = endpoint, table
        self._received: set[str] = set()
        self._served = ServedDescriber(
            endpoint, endpoint.form, limits or ClipLimits(sound=True), endpoint.url, at_once, max_tokens=tokens,
            probe=self._require_media if is_probed else None,
        )  # fmt: skip
        self._recognize = None if asr == 'none' else self._room.Recognition(asr)
        self._asr = asr
        self._server_error: LLMError | None = None
        self.name, self.batch_size = endpoint.model, max(8, at_once)

    def close(self) -> None:
        """Closes the connections."""
        self._endpoint.close()

    def _require_media(self, media: Sequence[str]) -> None:
        """Checks that the media of the clips reach the model; each medium once.

        Raises:
            LLMError: one does not.
        """
        if unchecked := [medium for medium in media if medium not in self._received]:
            require_media(self._endpoint, unchecked)
            self._received.update(unchecked)

    def record(self) -> Mapping[str, Any]:
        """Server, model, form, prompt and limits."""
        record = {name: value for name, value in self._served.record().items() if name != 'versions'}
        return {'describer': 'served', **record, 'asr': self._asr}

    def digest(self, manifest: Manifest, sample: Sample) -> str:
        """Hash of the media and the words of a sample."""
        return self._served.digest(manifest, sample)

    def described(self, manifest: Manifest, samples: Sequence[Sample]) -> Iterator[Described]:
        """Yields a description of each sample, in order; several are requested at once.

        If the server becomes unavailable, answers before that are yielded, and the next call raises an error.

        Raises:
            LLMError: media do not reach the model, or the server is unavailable.
        """
        if self._server_error is not None:
            raise self._server_error
        failed: dict[str, Described] = {}
        prepared: dict[str, _PreparedClip] = {}
        for sample in samples:
            try:
                prepared[sample.sample] = self._prepared(manifest, sample)
            except StorageError:
                raise
            except AffektError as error:
                failed[sample.sample] = Described(self.name, '', form='empty', failure=storable(str(error)))
        files = [clip.files for clip in prepared.values()]
        answers, is_answered = iter(self._served.answers_about(files) if files else ()), False
        for sample in samples:
            described = failed.get(sample.sample) or self._described_by_answer(next(answers), prepared[sample.sample])
            is_answered = is_answered or not described.failure
            yield described
        try:
            next(answers, None)  # after the last answer it raises if the server is unavailable
        except LLMError as error:
            if not is_answered:
                raise
            self._server_error = error

    def _prepared(self, manifest: Manifest, sample: Sample) -> _PreparedClip:
        """The files and words of a sample, and the inputs that it lacks.

        Raises:
            MediaError: a file cannot be read.
        """
        limits, files = self._served.limits, ClipFiles(manifest, sample)
        columns, lacking = files.columns(), dict[str, str]()
        for modality, inputs, is_sent in (('video', SEEN, bool(limits.frames)), ('audio', HEARD, limits.sound)):
            if modality in files.withheld:
                lacking[inputs[0]] = 'withheld by the manifest'
            elif modality not in columns:
                lacking[inputs[0]] = f'no {modality}'
            elif not is_sent:
                lacking[inputs[0]] = 'not sent'
        text = '' if 'text' in files.withheld else sample.text
        if text is None and self._recognize is not None and 'audio' in columns:
            column = columns['audio']
            text = self._recognize(files.recording(column), files.window_s(column))
        if not (text or '').strip():
            lacking['words'] = 'no transcript' if text is None else 'no words'
        return _PreparedClip(files.with_text((text or '').strip() or None), lacking)

    def _described_by_answer(self, clip_answer: ClipAnswer, prepared: _PreparedClip) -> Described:
        """The description in an answer, given the media sent: a segment of a file with audio may have none."""
        lacking, perceived = dict(prepared.lacking), set[str]()
        for modality, inputs, kinds in (('video', SEEN, {'image', 'video'}), ('audio', HEARD, {'audio'})):
            if clip_answer.media & kinds:
                perceived |= {*inputs}
            elif not clip_answer.failure:
                lacking.setdefault(inputs[0], f'no {modality} in this segment')
        perceived |= set() if 'words' in lacking else {'words'}
        answer = self._room.read_answer(clip_answer.text, perceived=perceived, table=self._table)
        clip = SimpleNamespace(lacking=lacking, words=prepared.files.sample.text or '')
        return described_by(self.name, clip, SimpleNamespace(answer=answer, failure=clip_answer.failure))


@dataclass(frozen=True)
class _PreparedClip:
    """A clip with its words, ready to be sent."""

    files: ClipFiles
    lacking: dict[str, str]
    """Input to the reason why the clip lacks it."""
