"""A recording read from the middle gives what it gives from the start, and does not decode what lies before."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from affekt.errors import ValueRangeError
from affekt.llm import ClipLimits, clip_parts, form_of
from affekt.media import Recording, decoding
from affekt.media.synthetic import tone
from affekt.media.writing import write_audio

LENGTH_S, RATE_HZ = 12, 10


@pytest.fixture(scope='module', params=['mp4', 'mkv', 'avi'])
def recorded(request, tmp_path_factory):
    """Twelve seconds of small pictures, each of its own grey, with a rising tone; a key picture every second."""
    path = tmp_path_factory.mktemp('moving') / f'a.{request.param}'
    sound = np.concatenate([tone(1.0, 200.0 + 40 * at, 16_000) for at in range(LENGTH_S)])
    with av.open(path, 'w') as file:
        video = file.add_stream('libx264', rate=RATE_HZ, options={'g': str(RATE_HZ), 'bf': '2'})
        video.width, video.height, video.pix_fmt = 64, 48, 'yuv420p'
        audio = file.add_stream('pcm_s16le' if request.param != 'mp4' else 'aac', rate=16_000, layout='mono')
        for at in range(LENGTH_S * RATE_HZ):
            grey = np.full((48, 64, 3), 20 + at, np.uint8)
            picture = av.VideoFrame.from_ndarray(grey, format='rgb24')
            picture.pts, picture.time_base = at, Fraction(1, RATE_HZ)
            file.mux(video.encode(picture))
        for begin in range(0, len(sound), 1024):
            piece = (sound[None, begin : begin + 1024] * 32767).astype(np.int16)
            block = av.AudioFrame.from_ndarray(piece, format='s16', layout='mono')
            block.sample_rate, block.pts, block.time_base = 16_000, begin, Fraction(1, 16_000)
            file.mux(audio.encode(block))
        file.mux(video.encode())
        file.mux(audio.encode())
    return path


@pytest.mark.parametrize('rate_hz', [None, 2.0, 3.7])
def test_pictures_from_a_time_on_are_those_of_a_whole_pass(recorded, rate_hz):
    whole = {frame.time_s: frame.image for frame in Recording.open(recorded).frames(rate_hz)}
    moved = list(Recording.open(recorded).frames(rate_hz, from_s=7.3))
    begin_s = 7.3 if rate_hz is None else np.ceil(7.3 * rate_hz) / rate_hz - 1 / RATE_HZ
    assert [frame.time_s for frame in moved] == [time_s for time_s in whole if time_s >= begin_s - 1e-6]
    assert all(np.array_equal(frame.image, whole[frame.time_s]) for frame in moved)


def test_sound_from_a_time_on_is_that_of_a_whole_pass(recorded):
    whole = np.concatenate([block.samples for block in Recording.open(recorded).samples(16_000)])
    blocks = list(Recording.open(recorded).samples(16_000, from_s=8.4))
    begin = round(blocks[0].start_s * 16_000)
    assert begin <= 8.4 * 16_000
    moved = np.concatenate([block.samples for block in blocks])
    assert len(moved) == len(whole) - begin
    np.testing.assert_allclose(moved[round(8.4 * 16_000) - begin :], whole[round(8.4 * 16_000) :], atol=2e-4)


def test_what_lies_before_is_not_decoded_where_the_file_says_where_a_time_lies(recorded):
    recording = Recording.open(recorded)
    next(recording.frames(from_s=10.5))
    decoded = recording._video_pass.tally.frames
    assert decoded <= 2.5 * RATE_HZ if recorded.suffix != '.avi' else decoded > 10 * RATE_HZ


def test_a_clip_of_a_recording_is_sent_as_from_a_whole_pass(recorded, monkeypatch):
    limits = ClipLimits(frames=3, sound=True)
    *pictures, sound = clip_parts(recorded, limits, form_of('openai'), window_s=(9.0, 10.5))
    monkeypatch.setattr(decoding, 'SEEKABLE', ())  # all is decoded from the start
    *whole, whole_sound = clip_parts(recorded, limits, form_of('openai'), window_s=(9.0, 10.5))
    assert [part['type'] for part in pictures] == ['image_url'] * 3
    assert pictures == whole
    assert len(sound['input_audio']['data']) == len(whole_sound['input_audio']['data']) > 1.5 * 16_000 * 2


@pytest.mark.parametrize('time_s', [float('nan'), float('inf')])
def test_a_time_that_is_none_is_refused(recorded, time_s):
    for read in (Recording.open(recorded).frames, Recording.open(recorded).samples):
        with pytest.raises(ValueRangeError, match='finite from_s'):
            read(from_s=time_s)


def test_a_time_before_the_beginning_is_the_beginning(recorded):
    first = next(Recording.open(recorded).frames(2.0))
    assert next(Recording.open(recorded).frames(2.0, from_s=-1.0)).time_s == first.time_s
    assert next(Recording.open(recorded).samples(from_s=-1.0)).start_s == 0.0


def test_pictures_late_in_a_recording_that_states_no_length_are_no_damage():
    streamed = io.BytesIO()
    with av.open(streamed, 'w', format='matroska', options={'live': '1'}) as file:
        video = file.add_stream('mjpeg', rate=Fraction(1, 10), options={'strict': 'unofficial'})
        video.width, video.height, video.pix_fmt = 16, 16, 'yuvj420p'
        for at in range(90):
            picture = av.VideoFrame.from_ndarray(np.full((16, 16, 3), at, np.uint8), format='rgb24')
            picture.pts, picture.time_base = at, Fraction(10)
            file.mux(video.encode(picture))
        file.mux(video.encode())
    recording = Recording.open(streamed.getvalue())
    assert recording.duration_s is None
    assert [round(frame.time_s) for frame in recording.frames(from_s=860.0)] == [860, 870, 880, 890]


def test_sound_at_another_rate_is_in_step_too(tmp_path):
    sound = np.concatenate([tone(1.0, 300.0 + 50 * at, 44_100) for at in range(6)])
    write_audio(tmp_path / 'a.wav', sound, 44_100)
    whole = np.concatenate([block.samples for block in Recording.open(tmp_path / 'a.wav').samples(16_000)])
    blocks = list(Recording.open(tmp_path / 'a.wav').samples(16_000, from_s=4.5))
    assert blocks[0].start_s == 3.0
    moved = np.concatenate([block.samples for block in blocks])
    np.testing.assert_allclose(moved[16_000:], whole[4 * 16_000 :], atol=1e-4)
