"""Whole files get no sentence of loss, whatever their writer's habits; a false alarm is as bad as silence."""

from __future__ import annotations

import struct

import av
import numpy as np
import pytest

from affekt.containers.losses import NO_LENGTH
from affekt.media import Recording
from affekt.media.synthetic import numbered_images, tone
from affekt.media.writing import MediaWriter, PictureStyle, SoundStyle, write_audio

SOUND = tone(2.0, loudness=0.3)
PLAIN = (np.sin(np.arange(16_000) / 5) * 9000).astype('<i2').tobytes()
FORMAT = struct.pack('<HHIIHH', 1, 1, 16_000, 32_000, 2, 16)


def read(content: bytes) -> Recording:
    recording = Recording.open(content)
    for _ in recording.frames():
        pass
    for _ in recording.samples():
        pass
    return recording


def require_whole(content: bytes, *remarks: str) -> Recording:
    recording = read(content)
    assert recording.decoded.sentences == remarks
    assert recording.decoded.lost_s == 0
    assert recording.decoded.unread_bytes == 0
    return recording


def id3v1() -> bytes:
    return b'TAG' + b'a title'.ljust(125, b'\0')


def ape(has_header: bool) -> bytes:
    entry = b'\x05\0\0\0\0\0\0\0Title\0Hello'

    def frame(flags: int) -> bytes:
        return b'APETAGEX' + struct.pack('<IIII', 2000, len(entry) + 32, 1, flags) + bytes(8)

    return (frame(0xA0000000) if has_header else b'') + entry + frame(0x80000000 if has_header else 0)


def lyrics() -> bytes:
    words = b'LYRICSBEGININD0000200'
    return words + b'%06dLYRICS200' % len(words)


TAGS = {
    'ID3v1': id3v1(),
    'APE': ape(True),
    'APE without a header': ape(False),
    'APE and ID3v1': ape(True) + id3v1(),
    'lyrics and ID3v1': lyrics() + id3v1(),
    'zeros': bytes(100),
}


@pytest.mark.parametrize('suffix', ['.mp3', '.flac'])
@pytest.mark.parametrize('tag', TAGS)
def test_tags_behind_the_sound_are_no_damage(tmp_path, suffix, tag):
    content = write_audio(tmp_path / f'a{suffix}', SOUND, 16_000).read_bytes()
    require_whole(content + TAGS[tag])


def test_a_cover_in_a_tag_behind_the_sound_adds_no_seconds(tmp_path):
    content = write_audio(tmp_path / 'a.mp3', SOUND, 16_000).read_bytes()
    cover = struct.pack('<II', 40_000, 2) + b'Cover Art (Front)\0' + b'\x11' * 40_000
    footer = b'APETAGEX' + struct.pack('<IIII', 2000, len(cover) + 32, 1, 0) + bytes(8)
    assert require_whole(content + cover + footer).duration_s == pytest.approx(2.0, abs=0.1)


def test_large_last_frames_of_flac_end_where_the_file_does(tmp_path):
    # a checksum of 16 bits comes out as 0 by chance once in 65,536 bytes: in 16 frames of 18 kB about four times
    rng = np.random.default_rng(5)
    for number in range(16):
        noise = rng.uniform(-0.9, 0.9, 9000).astype(np.float32)
        require_whole(write_audio(tmp_path / f'{number}.flac', noise, 48_000).read_bytes())


@pytest.mark.parametrize('size', [0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFDB, 0xFFFFFFFF])
def test_a_wav_from_a_pipe_states_no_length(size):
    riff = min(size + 36, 0xFFFFFFFF)
    content = b'RIFF' + struct.pack('<I', riff) + b'WAVEfmt ' + struct.pack('<I', 16) + FORMAT
    recording = require_whole(content + b'data' + struct.pack('<I', size) + PLAIN, NO_LENGTH)
    assert sum(len(block.samples) for block in recording.samples()) == 16_000


def test_a_chunk_right_behind_an_odd_one_is_no_loss():
    octets = bytes(128 + round(50 * np.sin(i / 3)) for i in range(8001))
    chunks = b'WAVEfmt ' + struct.pack('<IHHIIHH', 16, 1, 1, 8000, 8000, 1, 8)
    chunks += b'data' + struct.pack('<I', len(octets)) + octets
    chunks += b'LIST' + struct.pack('<I', 4) + b'INFO'
    require_whole(b'RIFF' + struct.pack('<I', len(chunks)) + chunks)


def write_film(path, options: dict[str, str]) -> bytes:
    """A film of three seconds with pictures that refer to later ones, as encoders write them."""
    style = PictureStyle(options={'g': '10', 'bf': '2'})
    with MediaWriter(path, 20, style, (SoundStyle(),), container_options=options) as writer:
        for image in numbered_images(60, 96, 72):
            writer.add_picture(image)
        writer.add_sound(tone(3.0, loudness=0.3))
    return path.read_bytes()


def boxes(content: bytes) -> list[tuple[bytes, bytes]]:
    """(name, whole box) of the outermost boxes."""
    found, start = [], 0
    while start < len(content):
        size = int.from_bytes(content[start : start + 4], 'big')
        found.append((content[start + 4 : start + 8], content[start : start + size]))
        start += size
    return found


@pytest.mark.parametrize('flags', ['frag_keyframe+empty_moov', 'dash+frag_keyframe', 'cmaf+frag_keyframe'])
def test_sound_that_begins_with_the_delay_of_the_pictures_has_no_hole(tmp_path, flags):
    # without an edit list the writer moves the first sound to 0 and lets it last until the second
    recording = read(write_film(tmp_path / 'a.mp4', {'movflags': flags}))
    assert not recording.decoded.audio.notes
    assert not recording.decoded.video.notes
    assert recording.duration_s == pytest.approx(3.0, abs=0.15)


@pytest.mark.parametrize('flags', ['dash+frag_keyframe', 'cmaf+frag_keyframe'])
def test_a_segment_of_a_longer_stream_lasts_as_long_as_itself(tmp_path, flags):
    parts = boxes(write_film(tmp_path / 'a.mp4', {'movflags': flags}))
    second = [number for number, (name, _) in enumerate(parts) if name == b'moof'][3]
    while parts[second - 1][0] == b'sidx':
        second -= 1
    header = [whole for name, whole in parts if name in (b'ftyp', b'moov')]
    segments = [whole for name, whole in parts[second:] if name != b'mfra']
    recording = read(b''.join(header + segments))
    assert recording.duration_s == pytest.approx(1.5, abs=0.25)
    assert not recording.decoded.video.notes
    assert not recording.decoded.audio.notes
    assert recording.decoded.lost_s == 0


def test_segments_of_a_broadcast_may_be_joined_and_a_hole_in_them_is_still_said(tmp_path):
    path = tmp_path / 'whole.mp4'
    write_film(path, {})
    with (
        av.open(str(path)) as source,
        av.open(
            str(tmp_path / '%d.ts'), 'w', format='segment', options={'segment_time': '1', 'segment_format': 'mpegts'}
        ) as target,
    ):
        copies = [target.add_stream_from_template(stream) for stream in source.streams]
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    segments = [path.read_bytes() for path in sorted(tmp_path.glob('*.ts'))]
    assert len(segments) == 3
    require_whole(b''.join(segments), NO_LENGTH)
    middle = segments[1][: 188 * 20] + segments[1][188 * 30 :]
    damage = read(segments[0] + middle + segments[2]).decoded.file_damage
    assert all('missing: at least' in sentence for sentence in damage)
    assert damage


def test_a_second_animated_png_joined_by_cat_is_said_with_its_bytes(tmp_path):
    path = tmp_path / 'a.apng'
    with av.open(str(path), 'w', format='apng') as file:
        stream = file.add_stream('apng', rate=5)
        stream.width, stream.height, stream.pix_fmt = 96, 72, 'rgb24'
        for image in numbered_images(4, 96, 72):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, 'rgb24')))
        file.mux(stream.encode(None))
    content = path.read_bytes()
    assert not read(content).decoded.file_damage
    report = read(content * 2).decoded
    assert report.file_damage == (f'{len(content):,} bytes after the end of the PNG are not read',)
    assert report.unread_bytes == len(content)
