"""What a file stores and its clock does not play is said; files as encoders write them get no such remark."""

from __future__ import annotations

import struct

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
    assert any('2,000,000,000 pictures per second' in sentence for sentence in _read(film))
