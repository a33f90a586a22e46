"""What becomes of words that nobody understood, invented ones, and other languages."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from affekt.analysis.observations import conform
from affekt.analysis.person_series import Readings
from affekt.analysis.utterances import utterance_table, with_languages, word_notes
from affekt.labels import EKMAN, GOEMOTIONS
from affekt.text import Recognition, Utterance, Word


class Reader:
    """Reads anger in everything, and counts what it is given."""

    languages = ('en',)

    def __init__(self, reason: str = '') -> None:
        self.texts: list[str] = []
        self.reason = reason

    def read(self, utterances):
        self.texts += [utterance.text for utterance in utterances]
        return [
            SimpleNamespace(
                labels=dict.fromkeys(GOEMOTIONS, 0.1), ekman=np.eye(7)[0], valence=-0.4, arousal=0.3, dominance=0.0,
                abstains=bool(self.reason), reason=self.reason,
            )
            for _ in utterances
        ]  # fmt: skip


def said(
    text: str, reason: str = '', language: str = 'en', *, at_s: float = 0.0, english_only: bool = True
) -> Utterance:
    recognition = Recognition(-0.3, 0.1, english_only, 0.93 if not english_only else float('nan'))
    return Utterance(at_s, at_s + 1, '', text, (Word(at_s, at_s + 1, text, 0.9),), language, recognition, reason)


MIXED = (
    said('You lied to me.'),
    said('Of the mother knee.', 'not understood', at_s=1.0),
    said('Thanks for watching!', 'phantom', at_s=2.0),
)


def test_what_was_not_understood_is_kept_and_nothing_is_read_from_it():
    reader = Reader()
    table, spoken = utterance_table(MIXED, reader)
    assert reader.texts == ['You lied to me.']
    rows = table.to_pylist()
    assert [row['text'] for row in rows] == ['You lied to me.', 'Of the mother knee.']
    assert [(row['is_understood'], row['reason']) for row in rows] == [(True, ''), (False, 'not understood')]
    assert rows[0]['anger'] == 1.0
    for name in (*EKMAN, 'valence', 'arousal', 'valence_sd', 'goemotions.anger'):
        assert np.isnan(rows[1][name]) if rows[1][name] is not None else True
    assert [x.reason for x in spoken] == ['', 'not understood']
    assert spoken[1].shown == '[not understood] Of the mother knee.'


def test_notes_count_what_was_dropped_and_name_the_other_recognizer():
    table, _ = utterance_table(MIXED, Reader())
    invented, unclear = word_notes(MIXED, table)
    assert '1 utterance that the recognition invented was dropped' in invented
    assert '1 of 2 utterances was not understood' in unclear
    assert '--asr base' in unclear
    several = [said('Zu viel.', 'not understood', 'de', english_only=False)] * 2
    (note,) = word_notes(several, utterance_table(several, Reader())[0])
    assert '--asr' not in note
    assert 'none of 2 utterances was understood' in note


def test_a_language_that_nobody_reads_is_shown_with_its_name_and_probability():
    polish = [said('Jestem bardzo szczęśliwa.', '', 'pl', english_only=False), said('Hello.', '', english_only=False)]
    reader = Reader()
    table, spoken = utterance_table(polish, reader)
    assert reader.texts == ['Hello.']
    assert table['reason'].to_pylist() == ['language', '']
    assert table['language'].to_pylist() == ['pl', 'en']
    assert table['is_understood'].to_pylist() == [True, True]
    assert spoken[0].shown == 'Jestem bardzo szczęśliwa.'
    (note,) = word_notes(polish, table)
    assert '1 of 2 utterances is in Polish (probability 0.93)' in note


class ForeignReader(Reader):
    """The same for Chinese."""

    languages = ('zh',)


def test_chinese_is_read_by_the_foreign_reader_and_shown_without_it():
    given = with_languages([Utterance(0.0, 2.0, '', '我很高兴'), Utterance(2.0, 3.0, '', 'I see.')])
    english, foreign = Reader(), ForeignReader()
    table, _ = utterance_table(given, english, foreign)
    assert (english.texts, foreign.texts) == (['I see.'], ['我很高兴'])
    assert table['language'].to_pylist() == ['zh', '']
    assert table['anger'].to_pylist() == [1.0, 1.0]
    assert 'words in Chinese are read by a model that learned from English' in word_notes(given, table)[0]
    shown, _ = utterance_table(given, Reader())
    assert shown['reason'].to_pylist() == ['language', '']
    assert '1 of 2 utterances is in Chinese' in word_notes(given, shown)[0]
    assert 'is not installed or its licence is left out, so they are shown' in word_notes(given, shown)[0]


@pytest.mark.parametrize(('text', 'language'), [
    ('我很高兴。', 'zh'), ('うれしいです', 'ja'), ('東京に行く', 'ja'), ('기뻐요', 'ko'), ('Я рад', ''), ('Hello', ''),
    ('I ate 饺子 with my whole family', ''), ('Γειά σου', 'el'), ('123 …', ''),
])  # fmt: skip
def test_letters_tell_a_language_where_only_one_writes_with_them(text, language):
    assert with_languages([Utterance(0.0, 1.0, '', text)])[0].language == language


def test_subtitles_in_another_language_are_told_by_their_words():
    given = [Utterance(0.0, 2.0, 'Anna', 'Ich bin heute wirklich sehr traurig.')]
    table, _ = utterance_table(given, Reader('not English'))
    assert table['reason'].to_pylist() == ['language']
    assert 'not in English' in word_notes(given, table)[0]


def test_words_that_say_little_are_unsure_and_no_note_is_due():
    given = [Utterance(0.0, 1.0, '', 'Yeah.')]
    table, spoken = utterance_table(given, Reader('unsure'))
    assert table['reason'].to_pylist() == ['unsure']
    assert spoken[0].reason == ''
    assert np.isnan(table['anger'].to_pylist()[0] if table['anger'].to_pylist()[0] is not None else np.nan)
    assert word_notes(given, table) == []


def test_evidence_quotes_no_words_that_were_not_understood():
    table, _ = utterance_table(MIXED, Reader())
    table = table.set_column(table.column_names.index('person'), 'person', [['person 1'] * 2])
    evidence = Readings({'utterances': table}).evidence('words', 'person 1', 0.0, 5.0, ('anger',))
    assert evidence.quote == 'You lied to me.'


def test_an_older_table_counts_as_understood():
    older, _ = utterance_table(MIXED[:1], None)
    older = older.drop_columns(['is_understood', 'language', 'reason'])
    row = conform(older, 'utterances').to_pylist()[0]
    assert (row['is_understood'], row['language'], row['reason']) == (True, '', '')


@pytest.mark.parametrize('utterances', [(), (MIXED[2],)])
def test_nothing_said_is_an_empty_table(utterances):
    table, spoken = utterance_table(utterances, Reader())
    assert (table.num_rows, spoken) == (0, ())
    assert len(word_notes(utterances, table)) == len(utterances)
