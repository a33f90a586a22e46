"""Subtitles inside a recording: no line is lost without a word, whatever its encoding."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from affekt.analysis.settings import AnalysisSettings
from affekt.analysis.utterances import given_words
from affekt.errors import UnknownNameError
from affekt.media import Recording

RUSSIAN = ['Привет, как дела, друг, и ты, и он, и она, и мы, и вы, и все?', 'No matter.', 'Я сегодня очень рад']


def write_with_subtitles(path: Path, codec: str, lines: list[bytes]) -> Path:
    """A recording with one line of subtitles each half second, as the bytes that are given."""
    with av.open(str(path), 'w') as target:
        video = target.add_stream('mpeg4', rate=4)
        video.width = video.height = 64
        video.pix_fmt = 'yuv420p'
        stream = target.add_mux_stream(codec)
        for _ in range(8):
            target.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), 'rgb24')))
        target.mux(video.encode(None))
        for at, line in enumerate(lines):
            packet = av.Packet(len(line).to_bytes(2, 'big') + line if codec == 'mov_text' else line)
            packet.time_base, packet.duration = Fraction(1, 1000), 400
            packet.pts = packet.dts = 500 * at
            packet.stream = stream
            target.mux(packet)
    return path


@pytest.mark.parametrize(('codec', 'ending'), [('subrip', 'mkv'), ('webvtt', 'mkv'), ('mov_text', 'mp4')])
def test_lines_in_an_old_encoding_are_recognised_all_together_with_a_note(tmp_path, codec, ending):
    path = write_with_subtitles(tmp_path / f'a.{ending}', codec, [line.encode('cp1251') for line in RUSSIAN])
    found = Recording.open(path).open_subtitles()
    assert [line.text for line in found.lines] == RUSSIAN
    assert [line.start_s for line in found.lines] == pytest.approx([0.0, 0.5, 1.0])
    assert found.notes == ('the text of the subtitles inside the file is not UTF-8 and is read as cp1251, Russian',)


def test_lines_of_no_certain_encoding_are_left_out_by_number_and_read_in_the_one_that_is_named(tmp_path):
    path = write_with_subtitles(tmp_path / 'a.mkv', 'subrip', ['да'.encode('cp1251'), b'Yes.', 'ты'.encode('cp1251')])
    found = Recording.open(path).open_subtitles()
    assert [line.text for line in found.lines] == ['Yes.']
    assert len(found.notes) == 1
    assert found.notes[0].startswith('2 lines of the subtitles inside the file are left out: not UTF-8')
    named = Recording.open(path).open_subtitles('cp1251')
    assert [line.text for line in named.lines] == ['да', 'Yes.', 'ты']
    with pytest.raises(UnknownNameError):
        Recording.open(path).open_subtitles('klingon')


def test_one_broken_character_among_utf_8_loses_its_line_alone_with_a_note(tmp_path):
    lines = [*(line.encode() for line in RUSSIAN), b'how\xff are you']
    path = write_with_subtitles(tmp_path / 'a.mkv', 'subrip', lines)
    found = Recording.open(path).open_subtitles()
    assert [line.text for line in found.lines] == RUSSIAN
    assert found.notes[0].startswith('1 line of the subtitles inside the file is left out')


def test_utf_16_as_mov_text_allows_it_is_read(tmp_path):
    path = write_with_subtitles(tmp_path / 'a.mp4', 'mov_text', [line.encode('utf-16') for line in RUSSIAN])
    assert [line.text for line in Recording.open(path).subtitles()] == RUSSIAN


def test_a_report_says_how_subtitles_were_read_and_how_many_were_left_out(tmp_path):
    russian = write_with_subtitles(tmp_path / 'a.mkv', 'subrip', [line.encode('cp1251') for line in RUSSIAN])
    short = write_with_subtitles(tmp_path / 'b.mkv', 'subrip', ['да'.encode('cp1251')])
    settings = AnalysisSettings(subtitles=True)
    utterances, notes = given_words(Recording.open(russian), settings, 2.0)
    assert [row.text for row in utterances] == RUSSIAN
    assert notes[0] == 'words are those of the subtitles inside the file'
    assert 'cp1251' in notes[1]
    utterances, notes = given_words(Recording.open(short), settings, 2.0)
    assert utterances is None
    assert '1 line of the subtitles inside the file is left out' in notes[0]
    assert notes[-1] == 'words come from recognition'
