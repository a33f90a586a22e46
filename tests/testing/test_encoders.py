"""Encoders of every sort keep their contract, and broken ones do not."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_models

from affekt.encoders import Encoded, open_encoder
from affekt.errors import ContractError
from affekt.testing import check_encoder


@pytest.mark.filterwarnings('ignore:Support for mismatched key_padding_mask')  # of transformers' WavLM
@pytest.mark.parametrize('sort', ['hubert', 'wavlm', 'whisper', 'bert', 'gpt2', 't5', 'clip', 'dinov2', 'videomae'])
def test_an_encoder_of_every_sort_keeps_the_contract(sort, tmp_path):
    pytest.importorskip('transformers')
    make = tiny_models.speech if sort in tiny_models.SPEECH else getattr(tiny_models, sort, None) or tiny_models.text
    folder = make(tmp_path / sort, sort) if make in (tiny_models.speech, tiny_models.text) else make(tmp_path / sort)
    check_encoder(open_encoder(folder))


class Lengths:
    """The number of letters of each word."""

    modality, size, rate_hz = 'text', 2, None

    def prepare(self, sample):
        return np.array([[len(word), 1] for word in sample.split()], np.float32)

    def forward(self, rows, keep_mask):
        return rows, keep_mask

    def encode(self, samples, *, is_published=False):
        return [Encoded(self.prepare(sample)) for sample in samples]


class OfTheBatch(Lengths):
    def forward(self, rows, keep_mask):
        return rows - rows.mean(axis=(0, 1)), keep_mask


class CountsNothing(Lengths):
    def forward(self, rows, keep_mask):
        return rows, keep_mask & False


class AnotherSize(Lengths):
    size = 3


class Modeless(Lengths):
    modality = 'smell'


class Doubles(Lengths):
    def encode(self, samples, *, is_published=False):
        return [Encoded(self.prepare(sample).astype(float)) for sample in samples]


class Draws(Lengths):
    def encode(self, samples, *, is_published=False):
        rng = np.random.default_rng(id(samples) % 7 + len(self.__dict__.setdefault('calls', [])))
        self.calls.append(1)
        return [Encoded(self.prepare(sample) + rng.random(dtype=np.float32)) for sample in samples]


class Falls(Lengths):
    def prepare(self, sample):
        return {}[sample]


BROKEN = {
    'as beside others': OfTheBatch,
    'a state that counts': CountsNothing,
    'states (3, 9, 3)': AnotherSize,
    'a modality of Modeless': Modeless,
    'float32 (S, 2)': Doubles,
    'the same features from Draws twice': Draws,
    'rows from Falls': Falls,
}


@pytest.mark.parametrize('promise', BROKEN)
def test_a_broken_encoder_is_refused(promise):
    check_encoder(Lengths())
    with pytest.raises(ContractError) as raised:
        check_encoder(BROKEN[promise]())
    assert promise in raised.value.expected
