"""Voices without music: every file once, named in a new manifest, by demucs where it is installed."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from affekt.clips import with_vocals
from affekt.clips.vocals import RATE_HZ, demucs_vocals
from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import CorpusError, MissingExtraError, WeightsError
from affekt.media import Recording, write_audio


@pytest.fixture
def manifest(tmp_path):
    tone = np.sin(2 * np.pi * 220 * np.arange(RATE_HZ // 10) / RATE_HZ).astype(np.float32) / 2
    write_audio(tmp_path / 'song.wav', tone, RATE_HZ)
    rows = (Sample('song_left', audio='song.wav'), Sample('song_right', audio='song.wav'), Sample('said', text='hello'))
    return Manifest(Facts('toy', root=str(tmp_path)), rows)


def test_a_file_that_two_share_is_separated_once_and_named_as_their_audio(manifest, tmp_path):
    asked = []

    def halved(sound):
        asked.append(len(sound))
        return sound / 2

    out = tmp_path / 'vocals'
    separated = with_vocals(manifest, out, separate=halved)
    with_vocals(manifest, out, separate=halved)  # all is there
    assert asked == [RATE_HZ // 10]
    left, right, said = separated.samples
    assert left.audio == right.audio
    assert said.audio is None
    sound = np.concatenate([block.samples for block in Recording.open(left.audio).samples(RATE_HZ)])
    assert np.abs(sound).max() == pytest.approx(0.25, abs=0.01)


def test_a_sample_that_is_a_window_of_a_recording_stays_one(manifest, tmp_path):
    row = Sample('refrain', audio='song.wav', recording='song', start_s=0.02, end_s=0.05)
    separated = with_vocals(Manifest(manifest.facts, (row,)), tmp_path / 'vocals', separate=lambda sound: sound)
    assert separated.window_s(separated.samples[0], 'audio') == (0.02, 0.05)


def test_without_demucs_it_is_said_what_to_install(manifest, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'demucs', None)
    with pytest.raises(MissingExtraError, match='demucs>=4'):
        with_vocals(manifest, tmp_path / 'vocals')


def test_weights_that_demucs_cannot_get_are_an_error_with_its_reason(monkeypatch):
    def separator(**_):
        raise OSError('Name or service not known')

    api = ModuleType('demucs.api')
    api.Separator = separator
    monkeypatch.setitem(sys.modules, 'demucs', ModuleType('demucs'))
    monkeypatch.setitem(sys.modules, 'demucs.api', api)
    with pytest.raises(
        WeightsError, match='weights of htdemucs, which demucs downloads; got Name or service not known'
    ):
        demucs_vocals()


def test_demucs_gets_two_channels_and_its_vocals_become_one(monkeypatch):
    torch = pytest.importorskip('torch')

    class Separator:
        def __init__(self, model, device, progress):
            assert (model, device) == ('htdemucs', 'cpu')

        def separate_tensor(self, sound, rate_hz):
            assert (sound.shape, rate_hz) == ((2, 8), RATE_HZ)
            return sound, {'vocals': torch.stack([sound[0], 0 * sound[1]])}

    api = ModuleType('demucs.api')
    api.Separator = Separator
    monkeypatch.setitem(sys.modules, 'demucs', ModuleType('demucs'))
    monkeypatch.setitem(sys.modules, 'demucs.api', api)
    assert demucs_vocals()(np.ones(8, np.float32)) == pytest.approx(np.full(8, 0.5))


def test_a_manifest_without_sound_is_refused(tmp_path):
    with pytest.raises(CorpusError, match='audio or video'):
        with_vocals(Manifest(Facts('toy'), (Sample('said', text='hello'),)), tmp_path)
