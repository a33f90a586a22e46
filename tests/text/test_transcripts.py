"""Transcripts of every kind, well-formed, sloppy and hostile."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.errors import TranscriptError
from affekt.text import Utterance, Word, open_transcript, read_transcript
from affekt.text import transcripts as module

SRT = """1
00:00:01,000 --> 00:00:02,500
{\\an8}<i>Where</i> are you?

2
00:00:03,000 --> 00:00:05,000
- I am here &amp; ready.
- Good.
"""


@pytest.fixture
def write(tmp_path: Path):
    def _write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return _write


def spans(path: Path, duration_s: float | None = None) -> list[tuple[float, float, str, str]]:
    return [(row.start_s, row.end_s, row.speaker, row.text) for row in read_transcript(path, duration_s)]


def test_srt_gives_times_and_words_without_markup(write):
    rows = spans(write('a.srt', SRT))
    assert rows[0] == (1.0, 2.5, '', 'Where are you?')
    assert [row[3] for row in rows[1:]] == ['I am here & ready.', 'Good.']
    assert (rows[1][0], rows[2][1]) == (3.0, 5.0)


def test_a_dialogue_in_one_cue_shares_its_time_by_characters(write):
    # 'Yes?' has 4 characters and 'Twelve chars' 12: of 4 seconds the first takes 1
    path = write('a.srt', '1\n00:00:10,000 --> 00:00:14,000\n- Yes?\n- Twelve chars\n')
    assert spans(path) == [(10.0, 11.0, '', 'Yes?'), (11.0, 14.0, '', 'Twelve chars')]


def test_srt_without_numbers_blank_lines_or_commas_is_read(write):
    path = write('a.srt', '00:01.5 --> 00:02.25\nOne\n2\n0:03.0 --> 0:04.0\nTwo\n')
    assert spans(path) == [(1.5, 2.25, '', 'One'), (3.0, 4.0, '', 'Two')]


def test_a_number_that_is_spoken_is_kept(write):
    path = write('a.srt', '1\n00:00:01,000 --> 00:00:02,000\nHow many?\n42\n\n2\n00:00:03,000 --> 00:00:04,000\n7\n')
    assert [row[3] for row in spans(path)] == ['How many? 42', '7']


def test_vtt_skips_comments_and_styles_and_takes_voices(write):
    text = (
        'WEBVTT - a title\n\nNOTE not spoken\nstill not\n\nSTYLE\n::cue { color: red }\n\nintro\n'
        '00:01.000 --> 00:04.000 align:start\n<v.loud Anna>Two <c.x>words</c></v>\n<v Ben>And</v>\n\n'
        '00:00:05.000 --> 00:00:06.000\n<00:00:05.500>Bye\n'
    )
    rows = spans(write('a.vtt', text))
    assert [(row[2], row[3]) for row in rows] == [('Anna', 'Two words'), ('Ben', 'And'), ('', 'Bye')]
    assert rows[0][0] == 1.0
    assert rows[1][1] == 4.0


def test_capital_names_are_speakers_and_single_mixed_ones_are_not(write):
    text = SRT.replace('{\\an8}<i>Where</i>', 'MARY ANN: Where').replace(
        '- I am here &amp; ready.\n- Good.', 'Listen: go.'
    )
    assert [(row[2], row[3]) for row in spans(write('a.srt', text))] == [
        ('MARY ANN', 'Where are you?'),
        ('', 'Listen: go.'),
    ]


def test_mixed_names_that_come_back_are_speakers(write):
    path = write('a.txt', 'Anna: Hello.\nBen: Hi.\nAnna: Bye.\nBen: Bye.')
    assert [(row[2], row[3]) for row in spans(path, 8.0)] == [
        ('Anna', 'Hello.'), ('Ben', 'Hi.'), ('Anna', 'Bye.'), ('Ben', 'Bye.'),
    ]  # fmt: skip


def test_sounds_and_music_alone_are_left_out_with_a_note(write):
    path = write(
        'a.srt', SRT + '\n3\n00:00:06,000 --> 00:00:07,000\n[DOOR SLAMS]\n\n4\n00:00:07,000 --> 00:00:08,000\n♪♪\n'
    )
    read = open_transcript(path)
    assert len(read.utterances) == 3
    assert '2 entries without words were left out' in read.notes


LONG_TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 3
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "Anna"
        xmin = 0
        xmax = 3
        intervals: size = 2
        intervals [1]:
            xmin = 0.5
            xmax = 2
            text = "She said ""no"" 2 times"
        intervals [2]:
            xmin = 2
            xmax = 3
            text = ""
    item [2]:
        class = "IntervalTier"
        name = "Anna - words"
        xmin = 0
        xmax = 3
        intervals: size = 2
        intervals [1]:
            xmin = 0.5
            xmax = 1
            text = "She"
        intervals [2]:
            xmin = 1
            xmax = 2
            text = "said"
    item [3]:
        class = "TextTier"
        name = "marks"
        xmin = 0
        xmax = 3
        points: size = 1
        points [1]:
            number = 1.0
            mark = "x"
"""
SHORT_TEXTGRID = (
    '"ooTextFile"\n"TextGrid"\n0\n3\n<exists>\n1\n"IntervalTier"\n"words"\n0\n3\n3\n'
    '0\n0.5\n"a"\n0.6\n1\n"b"\n1.5\n2\n"c"\n'
)


def test_a_textgrid_gives_utterances_with_their_words(write):
    read = open_transcript(write('a.TextGrid', LONG_TEXTGRID))
    assert read.utterances == (
        Utterance(
            0.5,
            2.0,
            'Anna',
            'She said "no" 2 times',
            (Word(0.5, 1.0, 'She', math.nan), Word(1.0, 2.0, 'said', math.nan)),
        ),
    )
    assert read.notes == ('1 tier of points was left out: points have no duration',)


def test_a_short_textgrid_of_words_is_joined_at_pauses(write):
    # b ends at 1.0 and c begins at 1.5: not less than half a second, so two utterances
    assert spans(write('a.TextGrid', SHORT_TEXTGRID)) == [(0.0, 1.0, '', 'a b'), (1.5, 2.0, '', 'c')]


def test_textgrids_written_by_praatio_read_the_same(tmp_path):
    praatio = pytest.importorskip('praatio.textgrid')
    grid = praatio.Textgrid(0, 10)
    grid.addTier(praatio.IntervalTier('Anna', [(1, 2, 'one "x"'), (4.25, 5, 'two')], 0, 10))
    grid.addTier(praatio.IntervalTier('Ben', [(2, 3, 'three')], 0, 10))
    for kind in ('long_textgrid', 'short_textgrid'):
        path = tmp_path / f'{kind}.TextGrid'
        grid.save(str(path), kind, includeBlankSpaces=True)
        assert spans(path) == [(1.0, 2.0, 'Anna', 'one "x"'), (2.0, 3.0, 'Ben', 'three'), (4.25, 5.0, 'Anna', 'two')]


def test_elan_files_written_by_pympi_read_the_same(tmp_path):
    pympi = pytest.importorskip('pympi.Elan')
    elan = pympi.Eaf(author='test')
    elan.remove_tier('default')
    elan.add_tier('utterance', part='Anna')
    elan.add_tier('K-Ben')
    elan.add_annotation('utterance', 500, 1500, 'Hello & welcome')
    elan.add_annotation('K-Ben', 1000, 2000, 'Hi')
    path = tmp_path / 'a.eaf'
    elan.to_file(str(path))
    assert spans(path) == [(0.5, 1.5, 'Anna', 'Hello & welcome'), (1.0, 2.0, 'K-Ben', 'Hi')]


EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="a" TIME_VALUE="1000"/><TIME_SLOT TIME_SLOT_ID="b"/>
<TIME_SLOT TIME_SLOT_ID="c" TIME_VALUE="2000"/></TIME_ORDER>
<TIER TIER_ID="t" PARTICIPANT="Anna"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="1" TIME_SLOT_REF1="a"
TIME_SLOT_REF2="b"><ANNOTATION_VALUE>one</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="gloss" PARENT_REF="t"></TIER></ANNOTATION_DOCUMENT>"""


def test_an_elan_slot_without_a_time_lies_between_its_neighbours(write):
    read = open_transcript(write('a.eaf', EAF))
    assert [(row.start_s, row.end_s, row.speaker) for row in read.utterances] == [(1.0, 1.5, 'Anna')]
    assert '1 dependent ELAN tier (translations, glosses) was left out' in read.notes[0]


BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<ANNOTATION_DOCUMENT>&b;</ANNOTATION_DOCUMENT>"""


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-16'])
def test_xml_that_declares_entities_is_refused_before_it_is_parsed(write, encoding):
    with pytest.raises(TranscriptError, match='document type or entities'):
        read_transcript(write('a.eaf', BOMB.encode(encoding)))


@pytest.mark.parametrize(
    'broken', ['<ANNOTATION_DOCUMENT>', '<html/>', EAF.replace('TIME_VALUE="2000"', 'TIME_VALUE="x"')]
)
def test_broken_elan_files_are_named_as_such(write, broken):
    with pytest.raises(TranscriptError, match=r'ELAN|milliseconds'):
        read_transcript(write('a.eaf', broken))


def test_tiers_within_tiers_are_not_read_once_for_each_level(write):
    # 20,000 levels took minutes while every tier was searched to its depth
    nested = '<TIER TIER_ID="n">' * 20_000 + '</TIER>' * 20_000
    read = open_transcript(write('a.eaf', EAF.replace('</ANNOTATION_DOCUMENT>', f'{nested}</ANNOTATION_DOCUMENT>')))
    assert [row.text for row in read.utterances] == ['one']


def test_a_textgrid_of_endless_numbers_is_refused(write):
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n1\n<exists>\n'
    with pytest.raises(TranscriptError, match=r'finite number at item \d+ of the TextGrid; got 1e999'):
        read_transcript(write('a.TextGrid', f'{head}1e999\n'))


def test_plain_text_with_marks_lasts_to_the_next_mark(write):
    text = '[00:01] Anna: Hello.\nand more\n[0:04.5] Ben: Hi.\n[00:06 - 00:07] Anna: Bye.\n(01:00:00) Ben: Late.'
    rows = spans(write('a.txt', text), 3605.0)
    assert rows == [
        (1.0, 4.5, 'Anna', 'Hello. and more'),
        (4.5, 6.0, 'Ben', 'Hi.'),
        (6.0, 7.0, 'Anna', 'Bye.'),
        (3600.0, 3605.0, 'Ben', 'Late.'),
    ]


def test_plain_text_without_marks_shares_the_duration_and_says_so(write):
    # 4 and 12 characters of 8 seconds: 2 and 6
    read = open_transcript(write('a.txt', 'Yes?\nTwelve chars\n'), 8.0)
    assert [(row.start_s, row.end_s) for row in read.utterances] == [(0.0, 2.0), (2.0, 8.0)]
    assert 'estimated' in read.notes[0]


def test_plain_text_without_marks_or_duration_has_nan_times(write):
    read = open_transcript(write('a.txt', 'First one. Second one!'))
    assert [row.text for row in read.utterances] == ['First one.', 'Second one!']
    assert not any(row.is_timed for row in read.utterances)


@pytest.mark.parametrize('separator', [',', ';', '\t'])
def test_tables_are_read_whatever_their_separator_and_order(write, separator):
    text = '\n'.join(
        separator.join(row)
        for row in [('Speaker', 'START', 'End_Time', 'Text'), ('A', '0:01', '2.5', 'Hi'), ('B', '3', '4', 'Yo')]
    )
    assert spans(write('a.csv', text)) == [(1.0, 2.5, 'A', 'Hi'), (3.0, 4.0, 'B', 'Yo')]


WHISPER = {
    'text': 'x',
    'segments': [
        {
            'start': 0.5, 'end': 1.5, 'text': ' Hello there', 'speaker': 'SPEAKER_00',
            'words': [{'word': ' Hello', 'start': 0.5, 'end': 0.9, 'probability': 0.8}, {'word': '42'}],
        }
    ],
}  # fmt: skip


def test_whisper_json_gives_words_with_confidence(write):
    read = open_transcript(write('a.json', json.dumps(WHISPER)))
    assert read.utterances == (Utterance(0.5, 1.5, 'SPEAKER_00', 'Hello there', (Word(0.5, 0.9, 'Hello', 0.8),)),)
    assert '1 word without times' in read.notes[0]


@pytest.mark.parametrize(
    'text',
    [
        '{"transcription": [{"offsets": {"from": 500, "to": 1500}, "text": " Hi"}]}',
        '[{"start_ms": 500, "end_ms": 1500, "text": "Hi"}]',
        '{"start": 0.5, "duration": 1.0, "text": "Hi"}\n{"start": 2, "end": 3, "text": "Yo"}',
        '{"chunks": [{"timestamp": [0.5, 1.5], "text": "Hi"}]}',
    ],
)
def test_other_json_forms_are_read(write, text):
    assert spans(write('a.json', text))[0] == (0.5, 1.5, '', 'Hi')


@pytest.mark.parametrize(
    ('content', 'encoding'),
    [
        ('\ufeff' + SRT, 'utf-8-sig'),
        (SRT.encode('utf-16'), 'utf-16'),
        (SRT.encode('utf-16-le'), 'utf-16-le'),
        (SRT.replace('Good', 'Café').encode('latin-1'), 'cp1252'),
        (SRT.replace('\n', '\r\n'), 'utf-8'),
    ],
)
def test_encodings_are_told_apart_and_guesses_are_noted(write, content, encoding):
    read = open_transcript(write('a.srt', content))
    assert read.encoding == encoding
    assert read.utterances[0].text == 'Where are you?'
    assert bool(read.notes) == (encoding == 'cp1252')
    if encoding == 'cp1252':
        assert read.utterances[2].text == 'Café.'


def test_contents_win_over_a_wrong_name(write):
    assert open_transcript(write('a.srt', 'WEBVTT\n\n00:01.000 --> 00:02.000\nHi\n')).kind == 'vtt'
    assert open_transcript(write('a', SRT)).kind == 'srt'
    assert open_transcript(write('b.txt', SHORT_TEXTGRID)).kind == 'textgrid'


def cue(start: str, end: str, text: str = 'x') -> str:
    return f'{start} --> {end}\n{text}\n\n'


def test_unordered_cues_are_sorted_and_overlapping_ones_kept(write):
    read = open_transcript(write('a.srt', cue('00:05,0', '00:09,0', 'b') + cue('00:01,0', '00:06,0', 'a')))
    assert [row.text for row in read.utterances] == ['a', 'b']
    assert 'out of order' in read.notes[0]


def test_what_lies_beyond_the_recording_is_cut_or_left_out_with_notes(write):
    path = write('a.srt', cue('00:01,0', '00:09,0') + cue('00:12,0', '00:13,0'))
    read = open_transcript(path, 5.0)
    assert [(row.start_s, row.end_s) for row in read.utterances] == [(1.0, 5.0)]
    assert len(read.notes) == 2
    with pytest.raises(TranscriptError, match='transcript of this recording'):
        read_transcript(path, 0.5)


@pytest.mark.parametrize(
    ('name', 'content', 'says'),
    [
        ('a.srt', cue('00:05,0', '00:01,0'), 'start <= end'),
        ('a.srt', '00:xx --> 00:02\nx', 'line 1'),
        ('a.srt', 'no times here', 'came none|got none'),
        ('a.csv', 'start,end,text\n-1,2,x', '0 <= start'),
        ('a.csv', 'start,end,text\nnan,2,x', 'a time in seconds'),
        ('a.csv', 'start,end,text\n1e999,2,x', 'a time in seconds'),
        ('a.csv', 'from,words\n1,x', 'a start and an end'),
        ('a.csv', 'a,b\n1,2', 'a text under one of'),
        ('a.json', '{"segments": [1, 2]}', 'list of utterances'),
        ('a.json', '{"a": ', 'JSON'),
        ('a.json', '[' * 100_000, 'JSON'),
        ('a.TextGrid', LONG_TEXTGRID[:500], 'the end of the file'),
        ('a.txt', '', 'empty'),
        ('a.txt', ' \n\n', 'empty'),
        ('a.txt', b'\x00\x01\x02\x03' * 500, 'binary'),
        ('a.docx', b'PK\x03\x04' + bytes(range(256)) * 20, 'binary'),
        ('a.srt', cue('00:01,0', '00:02,0', '[MUSIC]'), 'at least one utterance'),
    ],
)
def test_what_cannot_be_read_is_one_clear_error(write, name, content, says):
    with pytest.raises(TranscriptError, match=says):
        read_transcript(write(name, content), 60.0)


def test_missing_files_folders_and_huge_files_are_errors(tmp_path, write, monkeypatch):
    with pytest.raises(TranscriptError, match=r'nowhere\.srt'):
        read_transcript(tmp_path / 'nowhere.srt')
    with pytest.raises(TranscriptError, match='readable'):
        read_transcript(tmp_path)
    monkeypatch.setattr(module, 'MAX_BYTES', 10)
    with pytest.raises(TranscriptError, match='at most'):
        read_transcript(write('a.srt', SRT))


NAMES = st.sampled_from(['a.srt', 'a.vtt', 'a.TextGrid', 'a.eaf', 'a.csv', 'a.json', 'a.txt', 'a.bin'])
SEEDS = st.sampled_from([SRT, LONG_TEXTGRID, SHORT_TEXTGRID, EAF, BOMB, json.dumps(WHISPER), 'start,end,text\n1,2,x'])


@given(NAMES, SEEDS, st.lists(st.tuples(st.integers(0, 900), st.binary(max_size=4)), max_size=6), st.integers(0, 1500))
@settings(max_examples=150, deadline=None)
def test_damaged_files_give_utterances_in_order_or_a_transcript_error(tmp_path_factory, name, seed, changes, length):
    raw = bytearray(seed.encode()[:length])
    for at, piece in changes:
        raw[at : at + len(piece)] = piece
    path = tmp_path_factory.mktemp('damaged') / name
    path.write_bytes(raw)
    try:
        rows = read_transcript(path, 100.0)
    except TranscriptError:
        return
    assert rows
    assert all(0.0 <= row.start_s <= row.end_s <= 100.0 for row in rows)
    assert [row.start_s for row in rows] == sorted(row.start_s for row in rows)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**5)), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_times_written_as_subtitles_come_back_to_the_millisecond(tmp_path_factory, spans_ms):
    def clock(ms: int) -> str:
        return f'{ms // 3600000:02d}:{ms // 60000 % 60:02d}:{ms // 1000 % 60:02d},{ms % 1000:03d}'

    text = ''.join(f'{n}\n{clock(a)} --> {clock(a + b)}\nw{n}\n\n' for n, (a, b) in enumerate(spans_ms, 1))
    path = tmp_path_factory.mktemp('times') / 'a.srt'
    path.write_text(text)
    rows = read_transcript(path)
    assert sorted((round(r.start_s * 1000), round(r.end_s * 1000)) for r in rows) == sorted(
        (a, a + b) for a, b in spans_ms
    )


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        ('start,end,text,text\n0,1,Hello,there\n', "columns 3 and 4 are both 'text'"),
        ('start;end;text\n0,5;1,2;Hello; there\n', '4 cells in row 2'),
    ],
)
def test_a_table_in_which_words_would_get_lost_is_refused(tmp_path, content, said):
    (tmp_path / 'a.csv').write_text(content)
    with pytest.raises(TranscriptError, match=said):
        read_transcript(tmp_path / 'a.csv')


def test_a_table_of_semicolons_may_have_decimal_commas(tmp_path):
    (tmp_path / 'a.csv').write_text('start;end;text\n0,5;1,25;Hello, you\n')
    (utterance,) = read_transcript(tmp_path / 'a.csv')
    assert (utterance.start_s, utterance.end_s, utterance.text) == (0.5, 1.25, 'Hello, you')


ASS = (
    '[Script Info]\nTitle: x\n\n[V4+ Styles]\nFormat: Name, Fontname\nStyle: Default,Arial\n\n[Events]\n'
    'Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n'
    'Comment: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,left out\n'
    'Dialogue: 0,0:00:01.50,0:00:02.25,Default,Anna,0,0,0,,{\\an8}Well, hello\\Nthere.\n'
    'Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,Bye.\n'
)


def test_an_end_that_nobody_estimated_is_not_called_estimated(write):
    read = open_transcript(write('a.txt', '[00:01] Hello.\n[00:20] Late.\n'), 10.0)
    assert [utterance.text for utterance in read.utterances] == ['Hello.']
    assert not [note for note in read.notes if 'estimated' in note]
    assert any('estimated' in note for note in open_transcript(write('a.txt', '[00:01] Hello.\n')).notes)


@pytest.mark.parametrize('name', ['a.ass', 'a.ssa', 'a.txt'])
def test_substation_alpha_gives_its_dialogue_with_names(write, name):
    read = open_transcript(write(name, ASS))
    assert read.kind == 'ass'
    assert [(row.start_s, row.end_s, row.speaker, row.text) for row in read.utterances] == [
        (1.5, 2.25, 'Anna', 'Well, hello there.'),
        (3.0, 4.0, '', 'Bye.'),
    ]


@pytest.mark.parametrize('line', ['Dialogue: 0,soon,0:00:02.00,D,,0,0,0,,x', 'Dialogue: 0', 'Comment: 0'])
def test_substation_alpha_without_times_or_dialogue_is_refused(write, line):
    with pytest.raises(TranscriptError):
        open_transcript(write('a.ass', f'[Script Info]\n[Events]\n{line}\n'))


def test_a_transcript_in_a_named_encoding_is_read_in_it(write):
    path = write('a.txt', 'ø'.encode('cp1252'))
    assert open_transcript(path, 3.0, encoding='cp1252').utterances[0].text == 'ø'
    with pytest.raises(TranscriptError, match='name it with --encoding'):
        open_transcript(path, 3.0)
