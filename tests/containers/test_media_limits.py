"""Limits hold on what a header declares before anything is decoded, and on what is decoded."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from affekt.containers import Limits
from affekt.containers.source import Stalled, WatchedFile
from affekt.errors import AffektError, LimitError, MediaError, ValueRangeError
from affekt.media import Recording
from affekt.media.synthetic import numbered_images, tone
from affekt.media.writing import MediaWriter, PictureStyle, SoundStyle, write_audio, write_image, write_video

HUGE = 20_000


def test_a_header_that_declares_twenty_thousand_squared_is_refused_at_once(tmp_path):
    small = np.full((8, 8, 3), 99, np.uint8)
    png = bytearray(write_image(tmp_path / 'a.png', small).read_bytes())
    png[16:24] = struct.pack('>II', HUGE, HUGE)
    png[29:33] = struct.pack('>I', zlib.crc32(bytes(png[12:29])))
    bmp = bytearray(write_image(tmp_path / 'a.bmp', small).read_bytes())
    bmp[18:26] = struct.pack('<ii', HUGE, HUGE)
    jpg = bytearray(write_image(tmp_path / 'a.jpg', small).read_bytes())
    at = jpg.find(b'\xff\xc0')
    jpg[at + 5 : at + 9] = struct.pack('>HH', HUGE, HUGE)
    avi = bytearray(
        write_video(tmp_path / 'a.avi', [small] * 3, 10, picture=PictureStyle('mjpeg', 'yuvj420p')).read_bytes()
    )
    at = avi.find(b'strf')
    avi[at + 12 : at + 20] = struct.pack('<ii', HUGE, HUGE)
    mov = bytearray(write_video(tmp_path / 'a.mov', [small] * 3, 10, picture=PictureStyle('mpeg4')).read_bytes())
    at = mov.find(b'mp4v')
    mov[at + 28 : at + 32] = struct.pack('>HH', HUGE, HUGE)
    wide = np.zeros((300, 300, 3), np.uint8)
    mkv = bytearray(write_video(tmp_path / 'a.mkv', [wide] * 3, 10, picture=PictureStyle('mpeg4')).read_bytes())
    for element in (b'\xb0\x82', b'\xba\x82'):
        at = mkv.find(element)
        mkv[at + 2 : at + 4] = struct.pack('>H', HUGE)
    for content in (png, bmp, jpg, avi, mov, mkv):
        with pytest.raises(LimitError, match=r'20000x20000|400000000'):
            Recording.open(bytes(content))


def test_declared_small_but_really_large_does_not_get_through(tmp_path):
    # 320x240 pictures in a container that declares them 16x16: only decoding can tell
    path = write_video(tmp_path / 'a.avi', numbered_images(3, 320, 240), 10, picture=PictureStyle('mjpeg', 'yuvj420p'))
    content = bytearray(path.read_bytes())
    at = content.find(b'strf')
    content[at + 12 : at + 20] = struct.pack('<ii', 16, 16)
    with pytest.raises(MediaError):
        list(Recording.open(bytes(content), Limits(max_pixels=1000)).frames())


@pytest.mark.parametrize(
    ('name', 'limits'),
    [
        ('pixels', Limits(max_pixels=96 * 72 - 1)),
        ('duration', Limits(max_duration_s=0.9)),
        ('streams', Limits(max_streams=1)),
        ('channels', Limits(max_audio_channels=1)),
        ('rate', Limits(max_audio_rate_hz=8000)),
        ('bytes', Limits(max_file_bytes=1000)),
    ],
)
def test_every_limit_stops_the_opening(tmp_path, name, limits):
    path = tmp_path / 'a.mp4'
    with MediaWriter(path, 20, None, (SoundStyle(channels=2),)) as writer:
        for image in numbered_images(20, 96, 72):
            writer.add_picture(image)
        writer.add_sound(np.stack([tone(1.0), tone(1.0)]))
    assert Recording.open(path).audio[0].channels == 2
    with pytest.raises(LimitError, match=name if name not in {'channels', 'rate'} else 'max_audio'):
        Recording.open(path, limits)


def test_a_length_that_the_header_hides_is_caught_while_decoding(tmp_path):
    # a WAV file whose header says 0 bytes, as recorders leave it, with two seconds inside
    content = bytearray(write_audio(tmp_path / 'a.wav', tone(2.0), 16_000).read_bytes())
    recording = Recording.open(bytes(content), Limits(max_duration_s=2.0))
    assert sum(len(block.samples) for block in recording.samples()) == 32_000
    path = write_video(tmp_path / 'a.mkv', numbered_images(5, 64, 48), 1, times_s=[0, 1, 2, 3, 4])
    hidden = path.read_bytes()
    at = hidden.find(b'\x44\x89\x88')  # Duration, 8 bytes: hide it as Void
    hidden = hidden[:at] + b'\xec\x89' + bytes(9) + hidden[at + 11 :]
    hidden = hidden.replace(b'DURATION', b'DURATIOM')
    with pytest.raises(LimitError, match='max_duration_s'):
        list(Recording.open(hidden, Limits(max_duration_s=2.5)).frames())


def test_limits_must_be_positive():
    with pytest.raises(ValueRangeError, match='max_pixels'):
        Limits(max_pixels=0)
    with pytest.raises(ValueRangeError):
        Limits(max_duration_s=float('nan'))


def test_the_watchdog_stops_reading_when_nothing_comes_out():
    class Endless:
        def read(self, size: int = -1) -> bytes:
            return b'\0' * max(1, size)

        def seek(self, offset: int, whence: int = 0) -> int:
            return offset

    file = WatchedFile(Endless(), stall_s=1e-9)
    with pytest.raises(Stalled) as caught:
        for _ in range(1000):
            file.read(1)
    assert file.failure is caught.value
    assert isinstance(caught.value, AffektError)


def test_more_than_eight_channels_of_sound_are_mixed(tmp_path):
    # PyAV shows eight planes of a planar frame; twelve packed channels must still become their mean
    rows = np.zeros((12, 8000), np.float32)
    rows[11] = tone(0.5, loudness=0.9)
    path = tmp_path / 'a.wav'
    with MediaWriter(path, None, None, (SoundStyle(codec='pcm_s16le', channels=12),)) as writer:
        writer.add_sound(rows)
    heard = np.concatenate([block.samples for block in Recording.open(path).samples()])
    # FFmpeg takes twelve channels for 7.1.4, and the low-frequency one of them does not count
    assert heard == pytest.approx(rows[11] / 11, abs=1e-4)


@pytest.mark.parametrize(
    ('name', 'codec', 'channels'),
    [('a.m4a', 'aac', 6), ('a.m4a', 'aac', 8), ('a.mkv', 'ac3', 6), ('a.flac', 'flac', 6), ('a.flac', 'flac', 8)],
)
def test_surround_sound_in_planes_is_mixed_without_the_low_frequency_channel(tmp_path, name, codec, channels):
    # eight planes are where PyAV's own conversion reads beyond the end of a frame
    import av

    layout = {6: '5.1', 8: '7.1'}[channels]
    path = tmp_path / name
    with av.open(str(path), 'w') as target:
        stream = target.add_stream(codec, rate=48_000, layout=layout)
        for start in range(0, 48_000, 1024):
            sound = np.tile(tone(1.0, 300.0, 48_000, 0.5)[start : start + 1024], (channels, 1))
            packed = np.ascontiguousarray(sound.T.reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(packed, format='flt', layout=layout)
            frame.sample_rate, frame.pts = 48_000, start
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    recording = Recording.open(path)
    heard = np.concatenate([block.samples for block in recording.samples()])
    assert recording.audio[0].channels == channels
    # every channel holds the same tone, so their mean does
    assert np.corrcoef(heard[2000:14_000], tone(1.0, 300.0, 16_000, 0.5)[2000:14_000])[0, 1] > 0.99
    assert np.abs(heard[2000:14_000]).max() == pytest.approx(0.5, abs=0.05)
    assert recording.decoded.is_complete
