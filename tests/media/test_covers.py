"""Covers cost nothing: they are not decoded, however many and large they are."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import av
import pytest
from PIL import Image

from affekt.media import Recording
from affekt.media.joining import with_sound
from affekt.media.synthetic import numbered_images, tone
from affekt.media.writing import write_audio, write_video

SIDE = 5990
COVERS = 20
MEASURE = """
import re, sys
from affekt.media import Recording
recording = Recording.open(sys.argv[1])
print(sum(len(block.samples) for block in recording.samples(16000)), sum(1 for _ in recording.frames()))
# the peak of this program alone: what getrusage says also holds the peak of the process that started it
print(int(re.search(r'VmHWM:\\s+([0-9]+)', open('/proc/self/status').read())[1]) // 1024)
"""


def blank_png():
    """A picture of 36 million pixels in some kilobytes."""
    rows = zlib.compress(bytes(SIDE * (1 + 4 * SIDE)), 9)
    chunks = [(b'IHDR', struct.pack('>IIBBBBB', SIDE, SIDE, 8, 6, 0, 0, 0)), (b'IDAT', rows), (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data)) for name, data in chunks
    )


def box(name, *content):
    body = b''.join(content)
    return struct.pack('>I4s', 8 + len(body), name) + body


def in_flac(sound, cover):
    """After the first block of metadata, one of type 6 for each cover."""
    picture = struct.pack('>II', 3, 9) + b'image/png' + struct.pack('>IIIII', 0, SIDE, SIDE, 32, 0)
    picture += struct.pack('>I', len(cover)) + cover
    block = b'\x06' + struct.pack('>I', len(picture))[1:] + picture
    return sound[:4] + bytes([sound[4] & 0x7F]) + sound[5:42] + block * COVERS + sound[42:]


def in_iso_media(film, cover, count=COVERS, *, is_first=False):
    """`covr` atoms in the user data of the movie, which lies before the coded data: their places (stco) move on.

    The streams of user data that come before the tracks are listed first.
    """
    at = film.find(b'moov') - 4
    covers = box(b'covr', *[box(b'data', struct.pack('>II', 14, 0), cover)] * count)
    named = box(b'hdlr', bytes(8), b'mdirappl', bytes(9))
    added = box(b'udta', box(b'meta', bytes(4), named, box(b'ilst', covers)))
    size = int.from_bytes(film[at : at + 4], 'big')
    movie = bytearray(struct.pack('>I', size + len(added)) + film[at + 4 : at + size])
    table = movie.find(b'stco') + 8
    entries = int.from_bytes(movie[table : table + 4], 'big')
    for place in range(table + 4, table + 4 + 4 * entries, 4):
        offset = int.from_bytes(movie[place : place + 4], 'big')
        movie[place : place + 4] = struct.pack('>I', offset + len(added))
    head, tracks = bytes(movie[:8]), bytes(movie[8:])
    return film[:at] + head + (added + tracks if is_first else tracks + added) + film[at + size :]


@pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='this system does not say what a process peaked at')
@pytest.mark.parametrize('name', ['a.flac', 'a.m4a', 'a.mov'])
def test_twenty_blank_covers_of_36_million_pixels_take_no_memory(tmp_path, name):
    path = tmp_path / name
    if name.endswith('.mov'):
        write_video(path, numbered_images(3, 96, 72), 10)
    else:
        write_audio(path, tone(0.5), 16_000)
    plain = path.read_bytes()
    cover = blank_png()
    path.write_bytes((in_flac if name.endswith('.flac') else in_iso_media)(plain, cover))
    printed = subprocess.run([sys.executable, '-c', MEASURE, str(path)], capture_output=True, text=True, check=True)
    samples, frames, megabytes = (int(number) for number in printed.stdout.split())
    assert (samples > 7900, frames) == ((False, 3) if name.endswith('.mov') else (True, 0))
    assert megabytes < 250


def test_new_sound_goes_to_the_video_and_not_to_a_cover_before_it(tmp_path):
    plain = write_video(tmp_path / 'plain.mov', numbered_images(3, 96, 72), 10).read_bytes()
    cover = io.BytesIO()
    Image.new('RGB', (32, 32)).save(cover, 'png')
    path = tmp_path / 'covered.mov'
    path.write_bytes(in_iso_media(plain, cover.getvalue(), 1, is_first=True))
    with av.open(str(path)) as container:
        assert [stream.codec_context.name for stream in container.streams.video] == ['png', 'h264']
    joined = with_sound(path, tone(0.3), 16_000, tmp_path / 'joined.mp4')
    recording = Recording.open(joined)
    assert (recording.video.codec, recording.audio[0].codec) == ('h264', 'aac')
    assert len(list(recording.frames())) == 3


def test_a_track_whose_header_states_too_small_a_picture_is_still_read(tmp_path):
    content = bytearray(write_video(tmp_path / 'a.mp4', numbered_images(3, 640, 480), 10).read_bytes())
    at = content.find(b'avc1')
    content[at + 28 : at + 32] = struct.pack('>HH', 64, 48)
    assert [frame.image.shape for frame in Recording.open(bytes(content)).frames()] == [(480, 640, 3)] * 3
