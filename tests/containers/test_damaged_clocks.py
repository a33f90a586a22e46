"""What a file stores and its clock does not play is said; files as encoders write them get no such remark."""

from __future__ import annotations

import struct
import time

import av
import numpy as np
import pytest

from affekt.errors import MediaError
from affekt.media import Recording
from affekt.media.synthetic import numbered_images, tone
from affekt.media.writing import write_audio, write_video


def _read(path) -> tuple[str, ...]:
    recording = Recording.open(path)
    if recording.video:
        assert len(list(recording.frames())) > 0
    if recording.audio:
        assert len(list(recording.samples())) > 0
    return recording.decoded.sentences


def _film(path, container: str, codec: str, sound: str = ''):
    """Twenty pictures at 10 Hz, and two seconds of sound where a codec is named."""
    with av.open(str(path), 'w', format=container) as target:
        pictures = target.add_stream(codec, rate=10)
        pictures.width, pictures.height, pictures.pix_fmt = 96, 72, 'yuv420p'
        voice = target.add_stream(sound, rate=16_000, layout='mono') if sound else None
        for image in numbered_images(20, 96, 72):
            target.mux(pictures.encode(av.VideoFrame.from_ndarray(image, format='rgb24')))
        target.mux(pictures.encode())
        if voice is not None:
            frame = av.AudioFrame.from_ndarray((tone(2.0) * 32767).astype(np.int16)[None], format='s16', layout='mono')
            frame.sample_rate = 16_000
            target.mux([*voice.encode(frame), *voice.encode()])
    return path


def test_an_edit_list_that_plays_a_part_says_how_much(tmp_path):
    whole = write_audio(tmp_path / 'whole.m4a', tone(2.0), 16_000)  # its edit list hides the encoder's lead-in
    assert _read(whole) == ()
    content = bytearray(whole.read_bytes())
    place = content.index(b'mvhd') + 4 + 12  # version and flags 4, creation 4, modification 4, then ticks per second
    (ticks,) = struct.unpack_from('>I', content, place)
    struct.pack_into('>I', content, place, 40 * ticks)  # 2 s of the film's clock are now 0.05 s
    damaged = tmp_path / 'damaged.m4a'
    damaged.write_bytes(content)
    said = ' '.join(_read(damaged))
    assert 'the edit list of track 1 plays 0.05 of the 2.' in said
    assert Recording.open(damaged).decoded.is_complete  # it may be meant so: a remark, no damage


def test_a_rate_that_no_camera_has_is_said(tmp_path):
    film = write_video(tmp_path / 'a.avi', numbered_images(20), 10)
    content = bytearray(film.read_bytes())
    # the stream's header: four letters, kind, codec, flags, priority, language, frames before, scale, rate
    place = content.index(b'vids') + 20
    struct.pack_into('<II', content, place, 1, 2_000_000_000)
    film.write_bytes(content)
    assert any('2,000,000,000 frames per second' in sentence for sentence in _read(film))


def test_a_pause_of_hours_in_a_small_file_is_a_damaged_timestamp(tmp_path):
    film = _film(tmp_path / 'a.ts', 'mpegts', 'libx264', 'mp2')
    content = bytearray(film.read_bytes())
    for start in range(0, len(content), 188):
        header = content.find(b'\x00\x00\x01\xc0', start, start + 188)  # the first bytes of a sound packet
        if header >= 0:
            # five bytes of 33 bits and three marks: two hours and a half later
            _put_time(content, header + 9, _time_at(content, header + 9) + 9000 * 90_000)
    film.write_bytes(content)
    recording = Recording.open(film)
    longest = sum(len(block.samples) for block in recording.samples(16_000)) / 16_000
    assert longest < 700
    assert 'impossible timestamp' in ' '.join(recording.decoded.sentences)


def _time_at(content: bytearray, at: int) -> int:
    first, second, third, fourth, fifth = content[at : at + 5]
    return (first >> 1 & 7) << 30 | second << 22 | third >> 1 << 15 | fourth << 7 | fifth >> 1


def _put_time(content: bytearray, at: int, ticks: int) -> None:
    content[at] = content[at] & 0xF1 | (ticks >> 30 & 7) << 1
    content[at + 1 : at + 3] = ((ticks >> 15 & 0x7FFF) << 1 | 1).to_bytes(2, 'big')
    content[at + 3 : at + 5] = ((ticks & 0x7FFF) << 1 | 1).to_bytes(2, 'big')


def test_a_block_of_a_track_that_is_not_described_is_said(tmp_path):
    film = write_video(tmp_path / 'a.webm', numbered_images(20, 96, 72), 10)
    content = bytearray(film.read_bytes())
    place = content.rfind(b'\xa3', 0, len(content) - 20)
    while content[place + 2] != 0x81 and content[place + 3] != 0x81:  # a length of one byte or two, then track 1
        place = content.rfind(b'\xa3', 0, place)
    content[place + (2 if content[place + 2] == 0x81 else 3)] = 0xF5
    film.write_bytes(content)
    assert any('track 117' in sentence for sentence in _read(film))


def test_a_picture_behind_an_avi_is_said(tmp_path):
    film = write_video(tmp_path / 'a.avi', numbered_images(20, 96, 72), 10)
    picture = b'RIFF' + struct.pack('<I', 4 + 8 + 20) + b'WEBPVP8 ' + struct.pack('<I', 20) + bytes(20)
    film.write_bytes(film.read_bytes() + picture)
    assert any('40 bytes' in sentence and 'follow the end' in sentence for sentence in _read(film))


def test_a_piece_that_does_not_fit_its_picture_is_said(tmp_path):
    film = _film(tmp_path / 'a.wmv', 'asf', 'wmv2')
    content = bytearray(film.read_bytes())
    # in the last packet: stream 1 with a key flag or without, number of the object, then where in it the piece begins
    place = max(content.rfind(bytes((key | 1, 19, 0, 0, 0, 0, 8))) for key in (0, 0x80))
    assert place > 0
    content[place + 4] = 3
    film.write_bytes(content)
    assert any('begins at 196,608 of its object' in sentence for sentence in _read(film))


def test_sound_of_a_few_samples_per_second_is_no_sound(tmp_path):
    sound = write_audio(tmp_path / 'a.wav', tone(2.0), 16_000)
    content = bytearray(sound.read_bytes())
    struct.pack_into('<II', content, 24, 7, 14)  # samples and bytes per second: two seconds would last an hour
    sound.write_bytes(content)
    with pytest.raises(MediaError, match='expected video or audio'):
        Recording.open(sound)


def test_an_edit_that_plays_to_the_end_leaves_nothing_out(tmp_path):
    content = bytearray(write_audio(tmp_path / 'a.m4a', tone(2.0), 16_000).read_bytes())
    at = content.index(b'elst') + 4
    assert content[at + 7] == 1  # one edit, whose length of 0 means the rest; its start stays
    content[at + 8 : at + 12] = bytes(4)
    assert not any('edit list' in line for line in Recording.open(bytes(content)).decoded.sentences)


def test_small_blocks_of_sound_are_the_large_ones_cut(tmp_path):
    path = write_audio(tmp_path / 'a.wav', tone(3.0), 16_000)
    whole = np.concatenate([block.samples for block in Recording.open(path).samples(block_s=10)])
    started = time.process_time()
    small = list(Recording.open(path).samples(block_s=0.001))
    assert time.process_time() - started < 2
    assert [block.start_s for block in small[:3]] == [0.0, 0.001, 0.002]
    assert {len(block.samples) for block in small} == {16}
    np.testing.assert_array_equal(np.concatenate([block.samples for block in small]), whole)
    odd = list(Recording.open(path).samples(block_s=0.7))
    assert [len(block.samples) for block in odd] == [11_200] * 4 + [3_200]


def test_an_rf64_that_states_no_size_ends_where_the_file_does(tmp_path):
    plain = write_audio(tmp_path / 'a.wav', tone(1.0), 16_000).read_bytes()
    at = plain.find(b'data')
    sizes = struct.pack('<QQQI', 0, len(plain) - at - 8, 16_000, 0)
    long = b'RF64\xff\xff\xff\xffWAVEds64' + struct.pack('<I', len(sizes)) + sizes + plain[12 : at + 4]
    recording = Recording.open(long + b'\xff\xff\xff\xff' + plain[at + 8 :])
    assert sum(len(block.samples) for block in recording.samples()) == 16_000
    assert recording.decoded.sentences == ()
