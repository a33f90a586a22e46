"""Damaged files are refused or say what is missing; nothing crashes, hangs or gets lost in silence."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from affekt.containers import Limits
from affekt.containers.ogg_pages import _checksum
from affekt.containers.source import Source
from affekt.containers.structure import missing_bytes
from affekt.errors import AffektError, MediaError
from affekt.media import Recording
from affekt.media.synthetic import numbered_images, tone
from affekt.media.writing import PictureStyle, SoundStyle, write_audio, write_video

ROOT = Path(__file__).resolve().parents[2]


def read(content: bytes) -> Recording:
    recording = Recording.open(content)
    for _ in recording.frames():
        pass
    for _ in recording.samples():
        pass
    return recording


def test_60_damaged_files_are_all_handled(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    fuzz = importlib.import_module('measurements.media_fuzz')
    result = fuzz.fuzz(60, seed=20240417, folder=tmp_path, jobs=1)
    counts = result['counts']
    assert result['bugs'] == []
    assert sum(counts.values()) == 60
    # every right class occurs, so the corpus is neither all broken nor all whole
    assert min(counts[name] for name in ('ok', 'reported', 'refused')) > 5
    assert result['peak_memory_mb'] < 500
    # a run that goes on where it was does nothing twice
    assert fuzz.fuzz(60, seed=20240417, folder=tmp_path, jobs=1) == result


@pytest.fixture(scope='module')
def film(tmp_path_factory):
    """Two seconds of video and sound in mp4, its index in front."""
    path = tmp_path_factory.mktemp('damage') / 'film.mp4'
    picture = PictureStyle(options={'g': '10'})
    return write_video(path, numbered_images(40, 96, 72), 20, tone(2.0), picture=picture).read_bytes()


def test_a_picture_that_a_damaged_decoder_setting_swallows_is_said(film, tmp_path, monkeypatch):
    """A changed byte in H.264's sequence parameters makes its decoder keep one of forty pictures to itself."""
    monkeypatch.syspath_prepend(str(ROOT))
    seeds = importlib.import_module('measurements.media_seeds')
    (tmp_path / 'film.mp4').write_bytes(film)
    seeds.remux(tmp_path / 'film.mp4', tmp_path / 'film.flv', 'flv')
    flash = bytearray((tmp_path / 'film.flv').read_bytes())
    assert read(bytes(flash)).decoded.sentences == ()
    flash[flash.find(b'\x67\x64') + 18] = 0xBD
    recording = read(bytes(flash))
    assert recording.decoded.video.frames == 39
    assert 'video: 1 of 40 packets gave no frame' in recording.decoded.sentences


def test_a_film_without_its_index_is_refused(film):
    at = film.find(b'moov')
    with pytest.raises(MediaError):
        Recording.open(film[: at - 4])
    with pytest.raises(MediaError):
        Recording.open(film[:at] + b'wxyz' + film[at + 4 :])


@pytest.mark.parametrize('kept', [0.5, 0.8, 0.97])
def test_a_film_cut_short_says_how_much_is_missing(film, kept):
    report = read(film[: int(len(film) * kept)]).decoded
    assert report.video.declared_s == pytest.approx(2.0)
    assert not report.is_complete
    assert any(sentence.startswith('cut short') for sentence in report.file_damage)
    # what came and what is lost add up to what was declared
    assert report.video.decoded_s + report.video.lost_s >= 2.0 - 0.06
    assert report.video.frames < 40 or report.audio.decoded_s < 2.0


def test_zeros_in_the_pictures_are_noticed(film):
    middle = len(film) * 3 // 4
    report = read(film[:middle] + bytes(800) + film[middle + 800 :]).decoded
    assert report.video.damaged_packets + report.audio.damaged_packets > 0
    assert any('packets are damaged' in sentence for sentence in report.sentences)


@pytest.mark.parametrize('codec', ['pcm_f32le', 'pcm_f64le'])
def test_nan_and_infinite_samples_become_zero_and_are_counted(tmp_path, codec):
    sound = tone(1.0)
    sound[1000:1800] = np.nan
    sound[5000] = np.inf
    sound[6000] = -1e30
    path = write_audio(tmp_path / 'a.wav', sound, 16_000, SoundStyle(codec=codec))
    recording = Recording.open(path)
    heard = np.concatenate([block.samples for block in recording.samples()])
    assert np.isfinite(heard).all()
    assert np.abs(heard[1000:1800]).max() == 0
    assert heard[5000] == heard[6000] == 0
    # 800 + 1 + 1 samples at 16 kHz
    assert recording.decoded.audio.lost_s == pytest.approx(802 / 16_000)
    assert 'became 0' in recording.decoded.sentences[0]


def test_loud_but_possible_samples_are_clipped_without_alarm(tmp_path):
    path = write_audio(tmp_path / 'a.wav', tone(0.5, loudness=1.5), 16_000, SoundStyle(codec='pcm_f32le'))
    recording = Recording.open(path)
    heard = np.concatenate([block.samples for block in recording.samples()])
    assert np.abs(heard).max() == 1.0
    assert recording.decoded.is_complete


@pytest.mark.parametrize('name', ['a.wav', 'a.avi', 'a.mkv', 'a.webm', 'a.ogg', 'a.mp3', 'a.flac', 'a.m4a'])
def test_every_container_cut_by_a_third_says_so(tmp_path, name):
    path = tmp_path / name
    if name.endswith(('avi', 'mkv', 'webm')):
        write_video(path, numbered_images(40, 96, 72), 20, tone(2.0))
    else:
        write_audio(path, tone(2.0), 16_000)
    whole = path.read_bytes()
    assert read(whole).decoded.sentences == ()
    try:
        report = read(whole[: len(whole) * 2 // 3]).decoded
    except AffektError:
        return
    assert not report.is_complete
    assert report.sentences


def test_an_mp3_cut_between_two_frames_at_its_start_says_so(tmp_path):
    content = write_audio(tmp_path / 'a.mp3', tone(2.0), 16_000, SoundStyle(options={'b': '64k'})).read_bytes()
    from affekt.containers.mp3_frames import frame_length, tag_length

    source = Source(content, Recording.open(content).limits)
    at = tag_length(source)
    said = set()
    for _ in range(12):
        at += frame_length(content[at : at + 4])
        said.update(missing_bytes(Source(content[at:], Limits()), 'mp3', ('mp3float',)).sentences)
    assert 'cut at the start: the first frame needs bits of frames before it' in said
    assert missing_bytes(source, 'mp3', ('mp3float',)).sentences == ()


def test_one_wrong_bit_in_an_ogg_page_is_found(tmp_path):
    content = bytearray(write_audio(tmp_path / 'a.ogg', tone(2.0), 16_000).read_bytes())
    content[-5] ^= 4
    report = read(bytes(content)).decoded
    assert any('checksum' in sentence for sentence in report.sentences)


def test_the_ogg_checksum_equals_its_plain_definition():
    page = b'OggS' + bytes(range(60))
    register = 0
    for octet in page[:22] + bytes(4) + page[26:]:
        register ^= octet << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    assert _checksum(page) == register.to_bytes(4, 'little')


def test_a_lost_track_is_said(film):
    # the sound's track gets another name; FFmpeg then shows a silent film without a word
    at = film.find(b'soun')
    track = film.rfind(b'trak', 0, at)
    damaged = film[:track] + b'trbk' + film[track + 4 :]
    recording = Recording.open(damaged)
    assert recording.audio == ()
    assert not recording.decoded.is_complete
    assert 'track' in recording.decoded.sentences[0]


def test_pictures_that_repeat_are_left_out_and_said(tmp_path):
    # a cluster of a Matroska file that stands there twice, the segment's size unknown as in a live stream
    style = PictureStyle('mpeg4', options={'g': '5'})
    path = write_video(tmp_path / 'a.mkv', numbered_images(20, 96, 72), 20, picture=style)
    content = path.read_bytes()
    cluster = content.rfind(b'\x1fC\xb6u')
    after = content.rfind(b'\x1cS\xbbk')
    segment = content.find(b'\x18S\x80g') + 4
    doubled = content[:segment] + b'\x01' + b'\xff' * 7 + content[segment + 8 : after] + content[cluster:]
    recording = Recording.open(doubled)
    times = [frame.time_s for frame in recording.frames()]
    assert times == pytest.approx(np.arange(20) / 20, abs=0.001)
    assert any('repeat' in sentence for sentence in recording.decoded.sentences)


def test_a_sample_rate_that_contradicts_the_bytes_per_second_is_said(tmp_path):
    content = bytearray(write_audio(tmp_path / 'a.wav', tone(1.0), 16_000).read_bytes())
    at = content.find(b'fmt ')
    content[at + 12 : at + 16] = (48_000).to_bytes(4, 'little')
    report = read(bytes(content)).decoded
    assert 'contradict' in report.sentences[0]
