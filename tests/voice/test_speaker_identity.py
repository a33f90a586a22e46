"""The network that tells speakers apart: golden values, spans cut out of blocks, files that ask for more."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from affekt.errors import WeightsError
from affekt.voice import SpeakerIdentity, speaker_vectors
from affekt.voice.speaker_identity import MODEL, read_arrays
from affekt.weights import MODELS, location, state


@dataclass(frozen=True)
class Block:
    start_s: float
    samples: np.ndarray


@pytest.fixture(scope='module')
def network():
    if state(MODELS[MODEL]) != 'verified':
        pytest.skip(f'model files are absent: affekt weights get {MODEL}')
    return SpeakerIdentity()


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(0, 0.05, round(16000 * seconds)).astype(np.float32)


def test_noise_gives_the_numbers_of_another_rendering(network):
    # torch.nn.LSTM with the same weights on the same mel power, to 5e-7
    (vector,) = network.vectors([noise(5.0)])
    assert vector.shape == (256,)
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert vector.min() >= 0
    np.testing.assert_allclose(vector[:5], [0, 0, 0, 0, 0.13820866], atol=1e-6)


def test_stretches_read_together_are_as_read_alone(network):
    stretches = [noise(seconds, seed) for seed, seconds in enumerate((0.3, 2.0, 5.0, 20.0))]
    together = network.vectors(stretches)
    alone = np.concatenate([network.vectors([stretch]) for stretch in stretches])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_silence_and_nothing_are_zeros(network):
    assert network.vectors([np.zeros(16000, np.float32), np.zeros(0, np.float32)]).max() == 0
    assert network.vectors([]).shape == (0, 256)


def test_spans_are_cut_out_of_blocks_wherever_blocks_end(network):
    sound = noise(25.0)
    spans = [(0.5, 2.5), (9.0, 11.5), (10.0, 23.0), (24.0, 24.9)]
    whole = network.vectors([sound[round(16000 * a) : round(16000 * b)] for a, b in spans])
    for length in (16000, 48000, 160000, 400000):
        blocks = [Block(at / 16000, sound[at : at + length]) for at in range(0, len(sound), length)]
        np.testing.assert_allclose(speaker_vectors(network, blocks, spans), whole, atol=1e-5)


class Runs:
    def __reduce__(self):
        return os.getenv, ('HOME',)


@pytest.mark.parametrize('content', [b'', b'no pickle', pickle.dumps(3), pickle.dumps(Runs())])
def test_what_is_no_file_of_arrays_is_one_clear_error(tmp_path, content):
    (tmp_path / 'x.pt').write_bytes(content)
    with pytest.raises(WeightsError, match='affekt weights get'):
        SpeakerIdentity(tmp_path / 'x.pt')


def test_a_file_that_asks_for_a_function_is_refused_before_it_runs(network):
    content = (location(MODELS[MODEL]) / MODEL).read_bytes()
    wanted, other = b'ctorch._utils\n_rebuild_tensor_v2\n', b'cbuiltins__\nprint_____________\n'
    assert wanted in content
    with pytest.raises((pickle.UnpicklingError, ValueError, LookupError)):
        read_arrays(content.replace(wanted, other, 1))


def test_a_file_cut_short_is_one_clear_error(network, tmp_path):
    content = (location(MODELS[MODEL]) / MODEL).read_bytes()
    for share in (0.001, 0.1, 0.9):
        (tmp_path / 'x.pt').write_bytes(content[: int(share * len(content))])
        with pytest.raises(WeightsError):
            SpeakerIdentity(tmp_path / 'x.pt')
