"""Channels become one by their mean, and by one of them where the mean is silence; the rest is as it was."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from affekt.analysis.records import Lost, Source
from affekt.errors import UnknownNameError
from affekt.media import Recording
from affekt.media.downmix import Downmix

RATE = 16_000


def speech(seconds, rng):
    """Noise that comes and goes like syllables, -20 dB."""
    time_s = np.arange(round(seconds * RATE)) / RATE
    return (0.2 * rng.standard_normal(len(time_s)) * (np.sin(2 * np.pi * 2 * time_s) > 0)).astype(np.float32)


def write_channels(path, channels, layout='stereo', codec='flac'):
    with av.open(str(path), 'w') as file:
        stream = file.add_stream(codec, rate=RATE, layout=layout)
        frame_format = stream.codec_context.format.name
        block = 4096
        for start in range(0, channels.shape[1], block):
            piece = np.clip(channels[:, start : start + block], -1, 1)
            values = np.round(piece * 32767).astype('<i2')
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values.T.reshape(1, -1)), 's16', layout)
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            for made in av.AudioResampler(frame_format, layout, RATE).resample(frame):
                file.mux(stream.encode(made))
        file.mux(stream.encode(None))
    return path


def heard(path, **how):
    recording = Recording.open(path)
    samples = np.concatenate([block.samples for block in recording.samples(RATE, **how)])
    return samples, recording.decoded


@pytest.mark.parametrize('suffix', ['.flac', '.wav'])
def test_opposite_channels_are_heard_through_one_of_them_and_it_is_said(tmp_path, rng, suffix):
    left = speech(5, rng)
    path = write_channels(
        tmp_path / f'a{suffix}', np.stack([left, -left]), codec='flac' if suffix == '.flac' else 'pcm_s16le'
    )
    samples, decoded = heard(path)
    assert np.abs(samples - left).max() < 1e-3
    assert decoded.is_complete
    name = 'FL' if suffix == '.flac' else '1 of 2'
    assert decoded.sentences == (
        'in the audio, the channels cancel each other from 0.0 to 5.0 s: '
        f'channel {name} is used there instead of their mean',
    )


def test_a_choice_of_channels_is_no_loss_of_a_recording_that_lacks_frames(tmp_path, rng):
    left = speech(2, rng)
    _, decoded = heard(write_channels(tmp_path / 'a.flac', np.stack([left, -left])))
    notes = tuple(f'{text[:1].upper()}{text[1:]}.' for text in ('video: 3 frames are missing', *decoded.sentences))
    source = Source('a.mp4', 'video', 2.0, '0', notes=notes, lost=Lost(is_complete=False))
    assert source.losses == ('Video: 3 frames are missing.',)


@pytest.mark.parametrize('scale', [0.9, 1.1])
def test_opposite_channels_with_noise_and_another_gain_are_opposite(tmp_path, rng, scale):
    left, noise = speech(4, rng), 0.01 * rng.standard_normal((2, 4 * RATE)).astype(np.float32)
    samples, decoded = heard(write_channels(tmp_path / 'a.flac', np.stack([left, -scale * left]) + noise))
    assert 'cancel each other' in decoded.sentences[0]
    assert np.std(samples) > 0.9 * np.std(left)


def test_only_where_channels_cancel_is_one_of_them_used(tmp_path, rng):
    left = speech(9, rng)
    right = left.copy()
    right[3 * RATE : 6 * RATE] *= -1
    samples, decoded = heard(write_channels(tmp_path / 'a.flac', np.stack([left, right])))
    assert np.abs(samples - left).max() < 1e-3
    # windows are FLAC's blocks of 4608 samples, 0.288 s: the one from 10 * 0.288 = 2.88 s holds nothing before 3.0 s,
    # for a syllable has just ended, and the one from 20 * 0.288 = 5.76 s nothing until the channels are alike again
    assert decoded.sentences == (
        'in the audio, the channels cancel each other from 2.9 to 5.8 s: '
        'channel FL is used there instead of their mean',
    )


def test_the_mean_of_channels_that_do_not_cancel_is_exactly_as_before(tmp_path, rng):
    for channels, layout in (
        (np.stack([speech(3, rng), speech(3, rng)]), 'stereo'),
        (np.stack([speech(3, rng), np.zeros(3 * RATE, np.float32)]), 'stereo'),
        (np.stack([speech(3, rng)] * 2), 'stereo'),
        (np.zeros((2, 3 * RATE), np.float32), 'stereo'),
        (np.stack([speech(3, rng) if n == 2 else np.zeros(3 * RATE, np.float32) for n in range(6)]), '5.1'),
    ):
        samples, decoded = heard(write_channels(tmp_path / 'a.flac', channels, layout))
        written = np.round(np.clip(channels, -1, 1) * 32767).astype(np.float32) / np.float32(32768)
        is_heard = [n for n in range(len(channels)) if not (layout == '5.1' and n == 3)]
        assert np.abs(samples - written[is_heard].mean(axis=0)).max() < 1e-6
        assert decoded.sentences == ()


def test_six_channels_of_which_two_pairs_cancel_are_heard_through_the_loudest(tmp_path, rng):
    left, surround = speech(4, rng), 0.3 * speech(4, rng)
    silent = np.zeros_like(left)
    channels = np.stack([surround, -surround, silent, silent, left, -left])
    samples, decoded = heard(write_channels(tmp_path / 'a.flac', channels, '5.1'))
    assert np.abs(samples - left).max() < 1e-3
    assert 'channel BL' in decoded.sentences[0]


def test_silence_decides_nothing(rng):
    quiet = 1e-6 * rng.standard_normal(RATE).astype(np.float32)
    downmix = Downmix()
    given = list(downmix.add(np.stack([quiet, -quiet]), 0 * quiet, ('FL', 'FR'), RATE, 1.0))
    assert np.concatenate([piece for _, piece in given]).any() is np.False_
    assert downmix.rescue.sentence == ''


def test_no_more_than_a_quarter_of_a_second_waits_for_a_decision():
    downmix = Downmix()
    piece = np.ones((2, 1000), np.float32)
    given = [len(list(downmix.add(piece, piece[0], ('FL', 'FR'), RATE, n / 16))) for n in range(1, 9)]
    assert given == [0, 0, 0, 4, 0, 0, 0, 4]


def film_with_tracks(path, tracks, default):
    """A Matroska file of sound tracks with languages, one of them marked as default."""
    with av.open(str(path), 'w') as file:
        streams = []
        for number, (language, title, _) in enumerate(tracks):
            stream = file.add_stream('flac', rate=RATE, layout='mono')
            stream.metadata['language'], stream.metadata['title'] = language, title
            stream.disposition = av.stream.Disposition.default if number == default else av.stream.Disposition(0)
            streams.append(stream)
        for stream, (_, _, sound) in zip(streams, tracks, strict=True):
            values = np.round(sound * 32767).astype('<i2').reshape(1, -1)
            for start in range(0, values.shape[1], 4096):
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values[:, start : start + 4096]), 's16', 'mono')
                frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return path


def test_the_default_track_is_heard_and_its_language_is_said(tmp_path, rng):
    english, german = speech(2, rng), speech(2, rng)
    path = film_with_tracks(tmp_path / 'a.mka', [('eng', 'Commentary', english), ('deu', '', german)], default=1)
    samples, decoded = heard(path)
    assert np.abs(samples - german).max() < 1e-3
    assert decoded.sentences == ('2 audio streams; number 1 (flac, mono, deu, default) is read',)
    samples, decoded = heard(path, stream=0)
    assert np.abs(samples - english).max() < 1e-3
    assert decoded.sentences == ('2 audio streams; number 0 (flac, mono, eng, "Commentary") is read',)


def test_an_audible_track_is_heard_where_the_default_one_is_silent(tmp_path, rng):
    silent, spoken = np.zeros(2 * RATE, np.float32), speech(2, rng)
    tracks = [('eng', '', silent), ('fra', '', silent), ('deu', '', spoken)]
    samples, decoded = heard(film_with_tracks(tmp_path / 'a.mka', tracks, default=1))
    assert np.abs(samples - spoken).max() < 1e-3
    silent_one = 'number 1 (flac, mono, fra, default), is silent'
    assert decoded.sentences == (
        f'3 audio streams; number 2 (flac, mono, deu) is read, for the first choice, {silent_one}',
    )


def test_a_default_track_that_begins_with_a_minute_of_silence_is_not_silent(tmp_path, rng):
    late = np.concatenate([np.zeros(60 * RATE, np.float32), speech(2, rng)])
    path = film_with_tracks(tmp_path / 'a.mka', [('eng', '', speech(62, rng)), ('deu', '', late)], default=1)
    assert Recording.open(path).audible_stream() == 1


def test_a_track_that_is_not_there_is_refused_with_those_that_are(tmp_path, rng):
    path = film_with_tracks(
        tmp_path / 'a.mka', [('eng', 'Talk', speech(1, rng)), ('deu', '', speech(1, rng))], default=0
    )
    with pytest.raises(
        UnknownNameError, match=r'0 \(flac, mono, eng, "Talk", default\); 1 \(flac, mono, deu\).*number 2'
    ):
        Recording.open(path).samples(stream=2)


def test_the_file_in_which_no_speech_was_heard(shared_data):
    path = shared_data / 'faults' / 'sound' / 'antiphase_stereo_no_speech_heard.flac'
    if not path.is_file():
        pytest.skip('this release of the shared data has no such file')
    samples, decoded = heard(path)
    assert np.sqrt(np.mean(np.square(samples))) > 0.01
    assert 'cancel each other' in decoded.sentences[0]
