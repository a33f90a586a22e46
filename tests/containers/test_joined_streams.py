"""Recordings without an index of their own that were joined by `cat`, and fragments that nothing lists."""

from __future__ import annotations

import io
from collections.abc import Mapping

import av
import numpy as np
import pytest

from affekt.containers.losses import NO_LENGTH
from affekt.media import Recording

FRAGMENTS = {'movflags': 'frag_keyframe', 'frag_duration': '500000'}
SEGMENTS = {'movflags': 'dash', 'frag_duration': '500000'}


def film(container: str, codec: str, count: int) -> bytes:
    """Grey pictures at 25 Hz."""
    target = io.BytesIO()
    with av.open(target, 'w', format=container) as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, 'yuv420p'
        for number in range(count):
            picture = np.full((120, 160, 3), number * 4 % 255, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        output.mux(stream.encode(None))
    return target.getvalue()


def sound(container: str, seconds: int, options: Mapping[str, str] | None = None) -> bytes:
    """AAC at 48 kHz."""
    target = io.BytesIO()
    with av.open(target, 'w', format=container, options=dict(options or {})) as output:
        stream = output.add_stream('aac', rate=48_000)
        stream.layout = 'mono'
        samples = np.sin(np.arange(seconds * 48_000) / 20).astype(np.float32)
        for start in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format='fltp', layout='mono')
            frame.sample_rate, frame.pts = 48_000, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return target.getvalue()


def drained(content: bytes) -> Recording:
    recording = Recording.open(content)
    if recording.video is not None:
        list(recording.frames())
    if recording.audio:
        list(recording.samples())
    return recording


@pytest.mark.parametrize(('container', 'codec'), [('mpegts', 'mpeg2video'), ('mpeg', 'mpeg1video')])
def test_pictures_of_a_second_recording_that_are_not_read_count_as_lost(container, codec):
    report = drained(film(container, codec, 50) + film(container, codec, 75)).decoded
    assert report.lost_s == pytest.approx(2.0, abs=0.1)
    assert any('the times begin anew after 2.' in sentence for sentence in report.sentences)
    assert any('not read: about 2.' in sentence for sentence in report.sentences)


def test_sound_of_a_second_recording_that_is_not_read_counts_as_lost():
    report = drained(sound('mpegts', 2) + sound('mpegts', 3)).decoded
    assert report.lost_s == pytest.approx(2.0, abs=0.1)
    assert any('the times begin anew after 2.' in sentence for sentence in report.sentences)


def test_a_whole_stream_has_no_times_that_begin_anew():
    for content in (film('mpegts', 'mpeg2video', 50), sound('mpegts', 2), sound('mp4', 2, FRAGMENTS)):
        assert not any('anew' in sentence for sentence in drained(content).decoded.sentences)


@pytest.mark.parametrize(
    ('options', 'name', 'fragments'), [(FRAGMENTS, b'moof', 0), (FRAGMENTS, b'moof', 1), (SEGMENTS, b'sidx', 3)]
)
def test_fragments_that_nothing_lists_leave_the_length_open(options, name, fragments):
    content = sound('mp4', 2, options)
    assert NO_LENGTH not in drained(content).decoded.sentences
    starts = [at - 4 for at in range(len(content)) if content[at : at + 4] == name]
    assert NO_LENGTH in drained(content[: starts[fragments]]).decoded.sentences


@pytest.mark.parametrize(
    ('container', 'options'),
    [('matroska', None), ('mp4', FRAGMENTS | {'movflags': 'frag_keyframe+empty_moov+default_base_moof'})],
)
def test_what_is_read_of_a_second_recording_is_not_called_unread(container, options):
    first = sound(container, 2, options)
    recording = Recording.open(first + sound(container, 3, options))
    assert sum(len(block.samples) for block in recording.samples()) / 16_000 == pytest.approx(3.0, abs=0.1)
    sentence = recording.decoded.file_damage[0]
    assert sentence.startswith(f'another recording begins at byte {len(first)}, ')
    assert sentence.endswith('what is not later than the first one is not read')
