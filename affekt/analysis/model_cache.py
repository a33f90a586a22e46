"""The models of an analysis in memory: loaded on first use, released after long recordings."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affekt.analysis.model_choice import (
    IDENTITY,
    SENTENCES,
    SPEAKERS,
    TEXT,
    encoder_of,
    models_wanted,
    packaged,
    reads_foreign,
    register_of,
    voice_head,
)
from affekt.analysis.settings import AnalysisSettings

LONG_S = 10.0
"""A recording of at least this many seconds releases each model after its last use, so that memory does not depend on
its length; loading them again takes about a second. Shorter ones keep them for the next file."""


@dataclass(frozen=True)
class ExpressionLater:
    """An expression model loaded on first use, while tracking goes on."""

    load: Callable[[], Any]

    def probabilities(self, crops: Any, blendshapes: Any = None, *, both_views: bool = True) -> Any:
        """See `affekt.faces.expression.Expression`."""
        return self.load().probabilities(crops, blendshapes, both_views=both_views)

    @property
    def neutral_lean(self) -> float:
        """See `affekt.faces.expression.Expression`."""
        return float(self.load().neutral_lean)


class LoadedModels:
    """Models by name, loaded on first use; safe to use from two threads.

    Args:
        settings: which models are wanted.
        vocal_head: folder of the voice's model; the packaged one if None.
        long_s: recordings of at least this many seconds release their models.
    """

    def __init__(self, settings: AnalysisSettings, vocal_head: Path | None = None, *, long_s: float = LONG_S) -> None:
        self._settings = settings
        self._long_s = long_s
        self._vocal_head = vocal_head
        self._models: dict[str, Any] = {}
        self._loading = {name: threading.Lock() for name in LOADERS}

    def get(self, name: str) -> Any:
        """A model of `LOADERS`; None if the settings or the package leave it out."""
        with self._loading[name]:
            if name not in self._models:
                return_freed_pages()
                is_own_head = name == 'vocal' and self._vocal_head is not None
                loaded = _vocal(self._settings, self._vocal_head) if is_own_head else LOADERS[name](self._settings)
                self._models[name] = loaded
                return_freed_pages()  # loading needs more memory than the model
            return self._models[name]

    def expression_later(self) -> ExpressionLater:
        """The expression model, loaded when it is first used."""
        return ExpressionLater(lambda: self.get('expression'))

    def fresh_detector(self) -> Any:
        """The speech detector with its state reset."""
        detector = self.get('detector')
        detector.reset()
        return detector

    def done_with(self, duration_s: float | None, *names: str) -> None:
        """Releases models after a recording that is long enough."""
        if (duration_s or 0.0) < self._long_s:
            return
        for name in names:
            with self._loading[name]:
                self._models.pop(name, None)
        return_freed_pages()  # models have no reference cycles, so they are freed already


def return_freed_pages() -> None:
    """Asks the C library to return freed pages to the system; no effect if it has no such call."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # Windows takes no None
        ctypes.CDLL(None).malloc_trim(0)


def _landmarker(settings: AnalysisSettings) -> Any:
    from affekt.faces import FaceLandmarker

    return FaceLandmarker(threads=1)


def _expression(settings: AnalysisSettings) -> Any:
    from affekt.faces import expression_model

    return expression_model(settings.license)


def _identity(settings: AnalysisSettings) -> Any:
    from affekt.faces import FaceIdentity
    from affekt.weights import wanted_path

    folder = wanted_path(IDENTITY) if IDENTITY in models_wanted(settings) else None
    return None if folder is None else FaceIdentity(folder)


def _speakers(settings: AnalysisSettings) -> Any:
    from affekt.voice import SpeakerIdentity
    from affekt.weights import wanted_path

    path = wanted_path(SPEAKERS) if SPEAKERS in models_wanted(settings) else None
    return None if path is None else SpeakerIdentity(path)


def _detector(settings: AnalysisSettings) -> Any:
    from affekt.voice import SpeechDetector

    return SpeechDetector(threads=1)


def _encoder(settings: AnalysisSettings) -> Any:
    from affekt.voice import WhisperEncoder

    return WhisperEncoder(encoder_of(settings))


def _vocal(settings: AnalysisSettings, folder: Path | None = None) -> Any:
    if folder is None and not voice_head(settings):
        return None
    from affekt.voice import VocalEmotion

    return VocalEmotion(encoder_of(settings), directory=folder)


def _recognizer(settings: AnalysisSettings) -> Any:
    from affekt.text import Recognizer

    return Recognizer(settings.asr, threads=1)


def _text(settings: AnalysisSettings) -> Any:
    if not packaged(TEXT):
        return None
    from affekt.text import SentenceEncoder, TextEmotion

    return TextEmotion(SentenceEncoder(is_frugal=True), register=register_of(settings))


def _foreign_text(settings: AnalysisSettings) -> Any:
    from affekt.text import ForeignEmotion
    from affekt.weights import wanted_path

    if not reads_foreign(settings) or wanted_path(SENTENCES) is None:
        return None
    return ForeignEmotion()


LOADERS: dict[str, Callable[[AnalysisSettings], Any]] = {
    'landmarker': _landmarker,
    'expression': _expression,
    'identity': _identity,
    'speakers': _speakers,
    'detector': _detector,
    'encoder': _encoder,
    'vocal': _vocal,
    'recognizer': _recognizer,
    'text': _text,
    'foreign_text': _foreign_text,
}
