"""The encoder and the reader, made once; their tests skip where the model file is absent and nothing may be fetched."""

from __future__ import annotations

import pytest

from affekt.text import SentenceEncoder, TextEmotion
from affekt.weights import lookup, state


@pytest.fixture(scope='session')
def encoder() -> SentenceEncoder:
    if state(lookup('minilm-l6-int8.onnx')) != 'verified':
        pytest.skip('minilm-l6-int8.onnx is absent: run `affekt weights get minilm-l6-int8.onnx`')
    return SentenceEncoder()


@pytest.fixture(scope='session')
def reader(encoder: SentenceEncoder) -> TextEmotion:
    return TextEmotion(encoder)
