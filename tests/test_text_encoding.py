import contextlib
import random

import pytest

from affekt.errors import TableError, UnknownNameError
from affekt.text.transcripts import open_transcript
from affekt.text_encoding import CANDIDATES, decode_text
from affekt.written_languages import LANGUAGES

SPOKEN = {
    'gb18030': ('我今天很高兴', '你为什么哭了'),
    'big5': ('我今天很高興', '你為什麼哭了'),
    'cp932': ('今日はとても嬉しいです', 'どうして泣いているの'),
    'euc_jp': ('今日はとても嬉しいです', 'どうして泣いているの'),
    'euc_kr': ('오늘은 정말 기뻐요', '왜 울고 있어요'),
    'cp1251': ('Я сегодня очень рад', 'Почему ты плачешь?'),
    'koi8_r': ('Я сегодня очень рад', 'Почему ты плачешь?'),
    'cp866': ('Я сегодня очень рад', 'Почему ты плачешь?'),
    'cp1253': ('Είμαι πολύ χαρούμενος σήμερα', 'Γιατί κλαις;'),
    'cp1254': ('Bugün çok mutluyum, ya sen?', 'Neden ağlıyorsun, bir şey mi oldu?'),
    'cp1255': ('אני מאוד שמח היום', 'למה אתה בוכה?'),
    'cp1256': ('أنا سعيد جدا اليوم', 'لماذا تبكي يا صديقي؟'),
    'cp874': ('วันนี้ฉันมีความสุขมาก', 'ทำไมคุณร้องไห้'),
    'cp1250': ('Jestem dziś bardzo szczęśliwy', 'Dlaczego płaczesz?'),
    'cp1252': ('Je suis très heureux aujourd’hui', 'Pourquoi pleures-tu, mon chéri?'),
    'latin-1': ('Ich bin heute sehr fröhlich', 'Warum weinst du? Für mich ist das schön.'),
    'utf-16-le': ('我今天很高兴', '你为什么哭了'),
    'utf-16-be': ('Я сегодня очень рад', 'Почему ты плачешь?'),
}


def subtitles(lines):
    times = ((2 * at, 2 * at + 1) for at in range(len(lines)))
    return ''.join(
        f'{at}\n00:00:{start:02d},150 --> 00:00:{end:02d},420\n{line}\n\n'
        for at, ((start, end), line) in enumerate(zip(times, lines, strict=True), 1)
    )


@pytest.mark.parametrize('encoding', SPOKEN)
def test_two_lines_of_dialogue_are_read_in_the_encoding_that_they_are_in(encoding):
    text = subtitles(SPOKEN[encoding])
    decoded = decode_text(text.encode(encoding), 'a.srt')
    assert decoded.text == text
    assert ' '.join(decoded.notes).startswith('the text of a.srt is not UTF-8 and is read as ') != encoding.startswith(
        'utf'
    )


@pytest.mark.parametrize('encoding', SPOKEN)
def test_lines_of_english_between_do_not_change_the_reading(encoding):
    text = subtitles([*SPOKEN[encoding], *('No matter.', 'Try again. You know that this is what we have.') * 20])
    assert decode_text(text.encode(encoding), 'a.srt').text == text


@pytest.mark.parametrize('encoding', [name for name in SPOKEN if not name.startswith('utf')])
def test_the_same_lines_as_utf_8_or_with_a_mark_are_read_without_a_note(encoding):
    text = subtitles(SPOKEN[encoding])
    for known in ('utf-8', 'utf-8-sig', 'utf-16', 'utf-32'):
        decoded = decode_text(text.encode(known), 'a.srt')
        assert (decoded.text, decoded.notes) == (text, ())


@pytest.mark.parametrize('encoding', SPOKEN)
def test_cut_down_to_a_few_letters_it_is_right_or_refused_never_wrong(encoding):
    draws = random.Random(0)
    for _ in range(12):
        line = draws.choice(SPOKEN[encoding])
        start = draws.randrange(len(line) - 2)
        text = subtitles([line[start : start + draws.randint(3, 6)]])
        with contextlib.suppress(TableError):
            decoded = decode_text(text.encode(encoding), 'a.srt')
            assert decoded.text == text or decoded.encoding == 'utf-8'  # three bytes may happen to be UTF-8


def test_one_letter_that_may_be_many_is_refused_with_the_readings_and_the_way_out():
    with pytest.raises(
        TableError, match=r'a\.csv, which is not UTF-8 and may be .*; name it with --encoding'
    ) as refused:
        decode_text('name,text\na,ø\n'.encode('cp1252'), 'a.csv', todo='name it with --encoding')
    assert 'cp1252 (ø), or ' in str(refused.value)


@pytest.mark.parametrize(
    'lines',
    [
        ('Excuse me.', 'I’m fine, it’s okay.'),
        ('Ich weiß nicht … für dich?', 'Wir hören später davon.'),
        ('Perché no … è così.', 'La città è più bella.'),
    ],
)
def test_an_ellipsis_of_windows_is_no_control_character_of_iso(lines):
    text = subtitles(lines)
    decoded = decode_text(text.encode('cp1252'), 'a.srt')
    assert (decoded.text, decoded.encoding) == (text, 'cp1252')


@pytest.mark.parametrize('two', [b'\xff\xfe', b'\xfe\xff', b'\xc4\xe0', b'\xce\xd2', b'\xed\xe5'])
def test_two_letters_of_another_alphabet_are_refused(two):
    with pytest.raises(TableError, match='not UTF-8'):
        decode_text(b'name,openset\na,' + two + b'\n', 'a.csv')


def test_a_named_encoding_is_taken_at_its_word():
    assert decode_text('ø'.encode('cp1252'), 'a', encoding='cp1252').text == 'ø'
    with pytest.raises(TableError, match='expected text in utf-8'):
        decode_text(b'\xff', 'a', encoding='utf-8')
    for unknown in ('klingon', 'base64', 'rot13', 'zlib', ''):
        with pytest.raises(UnknownNameError, match=f"got '{unknown}'; name one of these"):
            decode_text(b'x', 'a', encoding=unknown)


def test_control_characters_of_windows_text_are_the_marks_that_they_stand_for():
    decoded = decode_text('I\x92m fine\x85 \x93you\x94\x81'.encode(), 'train_sent_emo.csv')
    assert decoded.text == 'I’m fine… “you”\x81'
    assert 'cp1252' in decoded.notes[0]


@pytest.mark.parametrize(
    'raw',
    [b'\x00\x01\x02\x03' * 50, bytes(range(256)) * 4, random.Random(1).randbytes(4000)],
    ids=['zeros', 'all', 'noise'],
)
def test_bytes_that_are_no_text_are_refused(raw):
    with pytest.raises(TableError):
        decode_text(raw, 'a.srt')


def test_utf_8_with_one_broken_character_is_not_read_as_another_language():
    raw = subtitles(['Příliš žluťoučký kůň', 'Pourquoi pleures-tu, chéri?'] * 5).encode()
    with pytest.raises(TableError):
        decode_text(raw[:60] + b'\xff' + raw[60:], 'a.srt')
    with pytest.raises(TableError, match='not UTF-8 at byte'):
        decode_text('name,text\na,größer\nb,'.encode() + b'\xe9t\n', 'a.csv')


def test_every_language_of_an_encoding_is_known():
    assert {language for _, languages in CANDIDATES.values() for language in languages} == set(LANGUAGES)


def test_subtitles_in_gbk_that_were_read_as_windows_latin_are_chinese(shared_data):
    read = open_transcript(shared_data / 'faults' / 'tables' / 'srt_gbk_read_as_latin.srt')
    assert [row.text for row in read.utterances] == ['我很高兴', '你好吗', 'No matter.', 'Try again.']
    assert read.notes == (
        'the text of srt_gbk_read_as_latin.srt is not UTF-8 and is read as GB 18030 (GBK), simplified Chinese',
    )
