"""A few bytes that ask for gigabytes or minutes are refused before FFmpeg takes them; large honest files are not."""

from __future__ import annotations

import struct
import time

import numpy as np
import pytest

from affekt.containers import Limits
from affekt.containers.flac_frames import remainders
from affekt.containers.sample_tables import FEW_SAMPLES, check_sample_count
from affekt.containers.source import Source
from affekt.errors import LimitError
from affekt.media import Recording
from affekt.media.synthetic import numbered_images, tone
from affekt.media.writing import PictureStyle, SoundStyle, write_audio, write_video

MANY = 60_000_000


def box(name: bytes, *contents: bytes) -> bytes:
    content = b''.join(contents)
    return struct.pack('>I', len(content) + 8) + name + content


def with_box(content: bytes, name: bytes, payload: bytes) -> bytes:
    """The file with the content of its first box of that name replaced; the sizes around it follow."""
    start = content.find(name) - 4
    old = int.from_bytes(content[start : start + 4], 'big')
    new = box(name, payload)
    changed = bytearray(content[:start] + new + content[start + old :])
    for parent in (b'moov', b'trak', b'mdia', b'minf', b'stbl', b'edts', b'udta'):
        at = content.rfind(parent, 0, start) - 4
        size = int.from_bytes(content[at : at + 4], 'big')
        if at >= 0 and at + size >= start + old:
            changed[at : at + 4] = (size + len(new) - old).to_bytes(4, 'big')
    return bytes(changed)


@pytest.fixture(scope='module')
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp('ceilings') / 'film.mp4'
    return write_video(path, numbered_images(10, 96, 72), 20, tone(0.5)).read_bytes()


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    """A film whose sound is plain samples, which a table lists one by one and FFmpeg keeps by the thousand."""
    path = tmp_path_factory.mktemp('ceilings') / 'plain.mov'
    style = PictureStyle('mpeg4')
    return write_video(
        path, numbered_images(10, 96, 72), 20, tone(0.5), picture=style, sound=SoundStyle(codec='pcm_s16le')
    ).read_bytes()


def test_a_table_of_sixty_million_samples_of_one_size_is_refused(film):
    with pytest.raises(LimitError, match='samples in the tables'):
        Recording.open(with_box(film, b'stsz', struct.pack('>III', 0, 1, MANY)))


@pytest.mark.parametrize('version', [0, 1])
def test_a_track_number_to_which_ffmpeg_would_count_for_seconds_is_refused_in_fragmented_files(version):
    number_at = 20 if version else 12
    header = bytes([version]).ljust(number_at, b'\0') + struct.pack('>I', 2**31) + bytes(68)
    track = box(b'trak', box(b'tkhd', header))
    check_sample_count(Source(box(b'moov', track), Limits()), Limits())  # FFmpeg opens it at once
    with pytest.raises(LimitError, match='2,147,483,648'):
        check_sample_count(Source(box(b'moov', track, box(b'mvex')), Limits()), Limits())


def test_a_fragment_that_lists_sixty_million_samples_is_refused(film):
    run = box(b'trun', struct.pack('>II', 0, MANY))
    fragment = box(b'moof', box(b'mfhd', bytes(8)), box(b'traf', box(b'tfhd', struct.pack('>II', 0, 1)), run))
    with pytest.raises(LimitError, match='60,0'):
        Recording.open(film + fragment)


def test_edits_that_repeat_a_track_without_end_are_refused(film):
    table = with_box(film, b'stsz', struct.pack('>III', 0, 1, 900_000))
    edits = struct.pack('>II', 0, 10_000) + struct.pack('>IiI', 500, 0, 0x10000) * 10_000
    with pytest.raises(LimitError, match='samples in the tables'):
        Recording.open(with_box(table, b'elst', edits))


def test_chunks_of_plain_sound_that_hold_more_than_the_file_are_refused(plain):
    at = plain.find(b'stsc')
    huge = bytearray(plain)
    huge[at + 16 : at + 20] = (0x7FFFFFFF).to_bytes(4, 'big')
    with pytest.raises(LimitError, match='samples in the tables'):
        Recording.open(bytes(huge))


def test_hours_of_plain_sound_are_no_reason_to_refuse(plain):
    # three hours at 48 kHz are 518 million samples, which one row of a table lists
    at = plain.find(b'stsz')
    long = bytearray(plain)
    long[at + 12 : at + 16] = (518_000_000).to_bytes(4, 'big')
    check_sample_count(Source(bytes(long), Limits()), Limits())


def test_a_million_samples_may_be_listed_by_a_file_that_was_cut_short(film):
    table = with_box(film, b'stsz', struct.pack('>III', 0, 1, FEW_SAMPLES - 1000))
    check_sample_count(Source(table, Limits()), Limits())


def id3(count: int) -> bytes:
    frames = b''.join(b'TXXX' + struct.pack('>I', 11) + bytes(3) + b'%08d\0v' % number for number in range(count))
    size = bytes(len(frames) >> shift & 127 for shift in (21, 14, 7, 0))
    return b'ID3\x03\0\0' + size + frames


@pytest.mark.parametrize('name', ['a.mp3', 'a.flac'])
def test_megabytes_of_id3_tags_cost_no_minute(tmp_path, name):
    sound = write_audio(tmp_path / name, tone(1.0), 16_000).read_bytes()
    started = time.process_time()
    recording = Recording.open(id3(100_000) + id3(100_000) + sound)
    heard = np.concatenate([block.samples for block in recording.samples()])
    assert len(heard) == 16_000
    assert recording.decoded.sentences == ()
    assert time.process_time() - started < 5


def comments(count: int) -> bytes:
    texts = [b'k%07d=v' % number for number in range(count)]
    return struct.pack('<II', 0, count) + b''.join(struct.pack('<I', len(text)) + text for text in texts)


def flac_of_comments(sound: bytes) -> bytes:
    block = comments(20_000)
    return sound[:4] + b'\0' + sound[5:42] + b'\x04' + len(block).to_bytes(3, 'big') + block + sound[42:]


def wav_of_information(sound: bytes) -> bytes:
    entries = b''.join(b'I%03d' % (number % 1000) + struct.pack('<I', 2) + b'v\0' for number in range(20_000))
    chunk = b'INFO' + entries
    return sound[:12] + b'LIST' + struct.pack('<I', len(chunk)) + chunk + sound[12:]


def wav_with_id3(sound: bytes) -> bytes:
    tag = id3(20_000)
    return sound + b'id3 ' + struct.pack('<I', len(tag)) + tag


@pytest.mark.parametrize(
    ('name', 'crowded'), [('a.flac', flac_of_comments), ('a.wav', wav_of_information), ('a.wav', wav_with_id3)]
)
def test_twenty_thousand_tags_are_refused(tmp_path, name, crowded):
    sound = write_audio(tmp_path / name, tone(0.5), 16_000).read_bytes()
    with pytest.raises(LimitError, match='5,000 tags'):
        Recording.open(crowded(sound))


def test_twenty_thousand_tags_of_an_mp4_are_refused(film):
    tags = b''.join(box(b'\xa9' + number.to_bytes(3, 'big'), b'\0\1\0\0v') for number in range(20_000))
    with pytest.raises(LimitError, match='5,000 tags'):
        Recording.open(with_box(film, b'udta', tags))


def test_empty_pages_of_ogg_write_no_sentence_each(tmp_path):
    sound = write_audio(tmp_path / 'a.ogg', tone(0.5), 16_000).read_bytes()
    page = b'OggS\0\0' + bytes(8) + b'abcd' + bytes(4) + b'\xff' * 4 + b'\0'
    report = Recording.open(sound + page * 20_000)
    list(report.samples())
    sentences = report.decoded.sentences
    assert len(sentences) < 20
    assert any('more like these' in sentence for sentence in sentences)


@pytest.mark.parametrize('bit', [0, 3, 7])
@pytest.mark.parametrize('share', [0.5, 0.7, 0.95])
def test_a_flac_frame_whose_checksum_fails_is_said_and_not_played(tmp_path, share, bit):
    sound = tone(2.0, loudness=0.3)
    content = bytearray(write_audio(tmp_path / 'a.flac', sound, 16_000).read_bytes())
    start = content.find(b'\xff\xf8', 42)  # behind the padding of the metadata
    content[start + int((len(content) - start) * share)] ^= 1 << bit
    recording = Recording.open(bytes(content))
    heard = np.concatenate([block.samples for block in recording.samples()])
    assert recording.decoded.lost_s > 0.05
    if share < 0.9:  # the last frame has its own sentence
        assert 'the checksum of the frame at byte' in recording.decoded.file_damage[0]
        # a frame of 1,152 samples lasts 0.072 s
        assert recording.decoded.unread_s == pytest.approx(1152 / 16_000)
    # what is heard is either right or silence
    wrong = np.abs(heard[: len(sound)] - sound[: len(heard)]) > 1e-3
    assert np.abs(heard[: len(sound)][wrong]).max(initial=0) < 1e-3


def test_the_checksum_of_flac_equals_its_plain_definition():
    contents = [bytes(range(1, 60)), b'\x01', bytes(range(200, 90, -1))]
    plain = []
    for content in contents:
        register = 0
        for octet in content:
            register ^= octet << 8
            for _ in range(8):
                register = (register << 1 ^ (0x8005 if register & 0x8000 else 0)) & 0xFFFF
        plain.append(register)
    assert remainders(contents).tolist() == plain
