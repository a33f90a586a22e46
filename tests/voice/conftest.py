"""The voice room's models, loaded once, and two recordings of speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sounds import needs, read_sound

from affekt.voice import SpeechDetector, WhisperEncoder


@pytest.fixture(scope='session')
def detector() -> SpeechDetector:
    needs('silero_vad.onnx')
    return SpeechDetector()


@pytest.fixture(scope='session')
def encoder() -> WhisperEncoder:
    needs('whisper-tiny.en')
    return WhisperEncoder('tiny.en')


@pytest.fixture(scope='session')
def sentence(shared_data: Path) -> np.ndarray:
    """'Kids are talking by the door', a man, neutral."""
    return read_sound(shared_data / 'ravdess_speech' / 'Actor_01' / '03-01-01-01-01-01-01.flac')


@pytest.fixture(scope='session')
def reading(shared_data: Path) -> np.ndarray:
    """44 s read by one man, seven stretches with pauses."""
    return read_sound(shared_data / 'test_media' / 'two_cities.wav')
