"""Sentences about people, faces, voices and words, on tables made for each."""

from __future__ import annotations

import dataclasses
import re

import pytest

from affekt.analysis.assemble import assemble
from affekt.analysis.observations import Observed
from affekt.analysis.obstacles import FACE_CONDITIONS, about_voice
from affekt.analysis.person_series import Readings
from affekt.analysis.phrases import headline
from affekt.analysis.records import OpenLabel, Person, Source, Spoken
from affekt.analysis.settings import AnalysisSettings
from affekt.cli.views import people_table
from affekt.labels import EKMAN
from affekt.terminal import say

NAN = float('nan')
UNREAD = dict.fromkeys([*EKMAN, 'valence'], NAN)


def described(make, kind='video', duration_s=10.0, faces=(), turns=(), said=(), notes=()):
    """The sentences on a recording with these rows."""
    observed = Observed(
        Source('x', kind, duration_s, '00', analyzed_rate_hz=make.rate, notes=tuple(notes)),
        faces=make.table(faces, 'faces'), turns=make.table(turns, 'turns'), utterances=make.table(said, 'utterances'),
        spoken=tuple(Spoken(row['start_s'], row['end_s'], '', '', row['text']) for row in said),
    )  # fmt: skip
    return [sentence.text for sentence in assemble(observed, AnalysisSettings()).description]


def starting(sentences, start):
    (text,) = [sentence for sentence in sentences if sentence.startswith(start)]
    return text


# ---- the course


def test_a_sad_face_that_turns_happy_is_not_called_content_on_the_whole(make):
    faces = [*make.face_rows('person 1', 0, 8, 'sadness', 0.8), *make.face_rows('person 1', 8, 20, 'happiness', 0.9)]
    text = starting(described(make, duration_s=20.0, faces=faces), 'Person 1')
    assert text.startswith('Person 1 comes across as sad until 0:08 (')
    assert ', happy from 0:08 (' in text
    assert ', judged mainly by the face; the tone goes from ' in text
    assert 'overall' not in text.lower()


def test_the_sentence_on_a_course_has_the_rows_of_each_stretch_as_evidence(make):
    faces = [*make.face_rows('person 1', 0, 8, 'sadness', 0.8), *make.face_rows('person 1', 8, 20, 'happiness', 0.9)]
    source = Source('x', 'video', 20.0, '00', analyzed_rate_hz=make.rate)
    analysis = assemble(Observed(source, faces=make.table(faces, 'faces')), AnalysisSettings())
    sentence = next(s for s in analysis.description if 'comes across as sad' in s.text)
    assert [(part.start_s, part.end_s, max(set(part.readings) & set(EKMAN))) for part in sentence.evidence] == [
        (0.0, 8.0, 'sadness'), (8.0, 20.0, 'happiness'),
    ]  # fmt: skip
    (person,) = analysis.summary()['people']
    assert [(part['label'], part['start_s'], part['end_s']) for part in person['course']] == [
        ('sadness', 0.0, 8.0), ('happiness', 8.0, 20.0),
    ]  # fmt: skip
    assert person['headline'].startswith('person 1 comes across as sad until 0:08 (')
    assert all(0.5 < part['certainty'] <= 1.0 for part in person['course'])


def test_what_is_told_as_unclear_counts_as_unclear(make):
    faces = [
        *make.face_rows('person 1', 0, 8, 'sadness', 0.9), *make.face_rows('person 1', 8, 13, 'fear', 0.45),
        *make.face_rows('person 1', 13, 25, 'happiness', 0.9),
    ]  # fmt: skip
    sentences = described(make, duration_s=25.0, faces=faces)
    assert ', unclear, happy from 0:13' in starting(sentences, 'Person 1')
    assert 'Of the whole, 5 seconds are too unclear for a category.' in sentences


def test_the_terminal_tells_the_course_within_eighty_columns(make, capsys):
    faces = [*make.face_rows('person 1', 0, 8, 'sadness', 0.8), *make.face_rows('person 1', 8, 20, 'happiness', 0.9)]
    source = Source('x', 'video', 20.0, '00', analyzed_rate_hz=make.rate)
    analysis = assemble(Observed(source, faces=make.table(faces, 'faces')), AnalysisSettings())
    say(people_table(analysis))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(re.search(r'  sad until 0:08 \(\d\d %\)  ', line) for line in lines)
    assert any(re.search(r'  happy from 0:08 \(\d\d %\)  ', line) for line in lines)


def test_nobody_is_seen_for_seconds_in_sound(make, capsys):
    turns = make.table([make.turn_row(1, 5, 'happiness')], 'turns')
    say(people_table(assemble(Observed(Source('x', 'audio', 6.0, '00'), turns=turns), AnalysisSettings())))
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith('voice')]
    assert row.split()[:4] == ['voice', '–', '4.0', 's']


def test_seconds_of_one_clause_do_not_run_into_those_of_the_next(make):
    faces = list(make.face_rows('person 1', 0, 5, 'neutral', 0.8))
    turns = [make.turn_row(1, 3, 'neutral'), make.turn_row(7, 9, 'neutral')]
    assert described(make, faces=faces, turns=turns)[0] == (
        'In this video of 10 seconds, person 1 is seen for 5 seconds, and 4 seconds of speech could not be tied to a '
        'visible face.'
    )


def test_who_has_no_sentences_is_counted(make):
    faces = [row for at in range(1, 6) for row in make.face_rows(f'person {at}', 0, 4, 'happiness', 0.9)]
    assert 'Two more people are not described here.' in described(make, duration_s=4.0, faces=faces)
    of_three = [row for row in faces if row['person'] in ('person 1', 'person 2', 'person 3')]
    assert 'not described' not in ' '.join(described(make, duration_s=4.0, faces=of_three))


def test_a_word_in_the_table_that_is_not_sure_is_told_with_perhaps(make, capsys):
    faces = make.face_rows('person 1', 0, 10, 'neutral', 0.55)
    source = Source('x', 'video', 10.0, '00', analyzed_rate_hz=make.rate)
    analysis = assemble(Observed(source, faces=make.table(list(faces), 'faces')), AnalysisSettings())
    label = OpenLabel('tense', 'person 1', 0.5, 0.41, 0.3, 0.2, (), scope='whole')
    say(people_table(dataclasses.replace(analysis, labels=(label,))))
    assert '  perhaps tense (41 %)  ' in capsys.readouterr().out


def test_a_description_of_an_old_run_without_a_course_is_told_by_its_words():
    older = Person('person 1', 10.0, 0.0, None, {}, None, None)
    assert headline(older, ()) == ''
    word = OpenLabel('amused', 'person 1', 0.5, 0.62, 0.3, 0.2, (), scope='whole')
    assert headline(older, [word]) == 'person 1 comes across as amused (62 % sure)'


def test_who_is_unclear_throughout_is_not_told_in_seconds_as_well(make):
    faces = make.face_rows('person 1', 0, 10, 'fear', 0.25)
    text = ' '.join(described(make, faces=list(faces)))
    assert 'The expression of person 1 is too unclear to name an emotion' in text
    assert 'Of the whole' not in text


# ---- the face


@pytest.mark.parametrize(('column', 'words'), FACE_CONDITIONS.items())
def test_what_stands_before_a_face_is_said_with_its_time(make, column, words):
    faces = [row | {column: row['time_s'] >= 6} for row in make.face_rows('person 1', 0, 10, 'neutral')]
    text = f'The face of person 1 {words} for 4 seconds, so the expression is read with less certainty.'
    assert text in described(make, faces=faces)
    always = [row | {column: True} for row in make.face_rows('person 1', 0, 10, 'neutral')]
    assert f'The face of person 1 {words} throughout, so' in ' '.join(described(make, faces=always))


def test_conditions_of_one_face_are_one_sentence(make):
    faces = [
        row | {'is_covered': True, 'is_blurred': row['time_s'] < 3, 'eyes_closed': 0.9 if row['time_s'] > 7.05 else 0.1}
        for row in make.face_rows('person 1', 0, 10, 'neutral')
    ]
    assert (
        'The face of person 1 is partly covered throughout and is blurred for 3 seconds, and the eyes of person 1 are '
        'closed for 2.9 seconds, so the expression is read with less certainty.'
    ) in described(make, faces=faces)


def test_a_picture_says_so_without_time(make):
    faces = [row | {'is_drawn': True} for row in make.face_rows('person 1', 0, 0.05, 'neutral')]
    assert 'The face of person 1 looks drawn or painted, so the expression is read with less certainty.' in described(
        make, kind='image', duration_s=1.0, faces=faces
    )


def test_eyes_that_look_down_are_not_closed(make):
    lowered = {'eyes_closed': 0.6, 'eye_aspect_left': 0.16, 'eye_aspect_right': 0.18}
    faces = [row | lowered for row in make.face_rows('person 1', 0, 10, 'neutral')]
    assert 'closed' not in ' '.join(described(make, faces=faces))
    closed = [row | {'eye_aspect_left': 0.02, 'eye_aspect_right': 0.03} for row in faces]
    assert 'The eyes of person 1 are closed throughout' in ' '.join(described(make, faces=closed))


def test_blinks_and_absent_columns_are_not_told(make):
    blinking = [
        row | {'eyes_closed': 0.9 if row['time_s'] % 2 < 0.25 else 0.1}
        for row in make.face_rows('person 1', 0, 10, 'neutral')
    ]
    for faces in (blinking, [*make.face_rows('person 1', 0, 10, 'neutral')]):
        assert 'with less certainty' not in ' '.join(described(make, faces=faces))


# ---- the voice


def test_arousal_is_told_where_valence_and_category_are_not_known(make):
    turns = [make.turn_row(0, 8, 'anger') | UNREAD | {'arousal': 0.7, 'arousal_sd': 0.25, 'abstains_because': 'unsure'}]
    text = starting(described(make, 'audio', turns=turns), 'The voice')
    assert text.startswith('The voice is too unclear to name an emotion; the tone is lively (arousal +0.7')
    assert 'valence' not in text
    assert 'judged mainly by the tone of voice' in text


def test_an_unfamiliar_voice_is_said_to_be_one(make):
    row = make.turn_row(2, 8, 'anger') | UNREAD | {'abstains_because': 'unfamiliar'}
    assert (
        'From 0:02 to 0:08, the voice is unlike the speech that the model knows, so no emotion is read from it.'
    ) in described(make, 'audio', turns=[row])


def test_a_loud_voice_is_heard_where_no_speech_was_detected(make):
    row = make.turn_row(2, 5, 'anger') | UNREAD | {'is_loud_voice': True}
    sentences = described(make, 'audio', turns=[row])
    assert sentences[0] == 'In this recording of 10 seconds, a loud voice is heard for 3 seconds.'
    assert 'From 0:02 to 0:05, the voice is loud, as in a shout or a cry.' in sentences
    assert not any('nobody' in text.lower() or 'no speech' in text.lower() for text in sentences)


def test_a_person_whose_voice_is_unclear_is_still_described_by_the_face(make):
    faces = [*make.face_rows('person 1', 0, 10, 'happiness', 0.9, talks=True)]
    row = make.turn_row(1, 9, 'anger') | UNREAD | {'abstains_because': 'unsure', 'arousal': 0.2}
    voice = list(make.voice_rows(1, 9))
    source = Source('x', 'video', 10.0, '00', analyzed_rate_hz=make.rate)
    observed = Observed(source, make.table(faces, 'faces'), make.table([row], 'turns'), make.table(voice, 'voice'))
    text = assemble(observed, AnalysisSettings()).text
    assert 'Person 1 comes across as' in text
    assert 'From 0:01 to 0:09, the voice of person 1 is too unclear to name an emotion.' in text


# ---- words


def said(make, *reasons):
    rows = []
    for k, reason in enumerate(reasons):
        row = make.utterance_row(3 * k, 3 * k + 2, 'Guten Morgen.', 'neutral') | {'reason': reason}
        rows.append(row | (UNREAD | {'arousal': NAN} if reason else {}))
    return rows


def test_words_that_were_not_understood_are_said_with_what_may_help(make):
    turns = [make.turn_row(0, 2, 'neutral'), make.turn_row(3, 5, 'neutral')]
    assert (
        'The words were not understood, so no emotion is read from them; --asr base recognizes other languages than '
        'English.'
    ) in described(make, 'audio', turns=turns, said=said(make, 'not understood', 'not understood'))
    assert 'From 0:03 to 0:05, the words were not understood, so no emotion is read from them' in ' '.join(
        described(make, 'audio', turns=turns, said=said(make, '', 'not understood'))
    )


def test_nothing_else_is_recommended_where_the_notes_on_words_do_not(make):
    turns, notes = [make.turn_row(0, 2, 'neutral')], ['1 of 1 utterance was not understood: the audio is too poor.']
    text = ' '.join(described(make, 'audio', turns=turns, said=said(make, 'not understood'), notes=notes))
    assert 'The words were not understood, so no emotion is read from them.' in text
    assert '--asr' not in text


def test_a_voice_that_no_model_reads_is_not_called_unclear(make):
    row = make.turn_row(1, 9, 'anger') | UNREAD | {'arousal': 0.2}
    text = ' '.join(described(make, kind='audio', turns=[row]))
    assert 'The voice is heard, and no model is loaded that reads emotion from it' in text
    assert 'too unclear' not in text


def test_a_voice_that_is_loud_and_unclear_all_the_time_has_one_sentence(make):
    row = make.turn_row(1, 4, 'anger') | UNREAD | {'is_loud_voice': True, 'abstains_because': 'unsure'}
    readings = Readings({'turns': make.table([row | {'person': 'person 1'}], 'turns')})
    (sentence,) = about_voice(readings, Person('person 1', 10.0, 3.0, None, {}, None, None))
    assert sentence.text == (
        'From 0:01 to 0:04, the voice of person 1 is loud, as in a shout or a cry, and is too unclear to name an '
        'emotion.'
    )
    assert [(part.start_s, part.end_s) for part in sentence.evidence] == [(1.0, 4.0)]


def test_a_tone_that_is_lively_alone_is_judged_by_what_tells_arousal(make):
    turns = [make.turn_row(0, 8, 'anger') | UNREAD | {'arousal': 0.8, 'arousal_sd': 0.25, 'abstains_because': 'unsure'}]
    plain = dict.fromkeys(EKMAN, NAN) | {'valence': 0.0, 'valence_sd': 0.3, 'arousal': NAN}
    text = ' '.join(described(make, 'audio', turns=turns, said=[make.utterance_row(0, 8, 'a b', 'anger') | plain]))
    assert re.search(r'the tone is lively \([^()]*\), judged mainly by the tone of voice\.', text)


def test_what_nothing_rests_on_is_one_list(make):
    assert 'No face was found and no speech was heard, so nothing rests on faces, voice or words.' in described(make)


def test_words_of_an_unread_language_are_shown_and_not_read(make):
    text = ' '.join(described(make, 'audio', turns=[make.turn_row(0, 2, 'neutral')], said=said(make, 'language')))
    assert 'The words are of a language that no loaded model reads for emotion, so they are shown and not read.' in text


# ---- who is told of


def test_a_second_of_an_unseen_voice_gets_no_sentence_of_its_own(make):
    faces = [*make.face_rows('person 1', 0, 10, 'happiness', 0.9)]
    sentences = described(make, faces=faces, turns=[make.turn_row(4, 4.4, 'anger')])
    assert not any(text.startswith('The voice') for text in sentences)
    assert '0.4 seconds of speech could not be tied to a visible face' in sentences[0]
    alone = described(make, 'audio', turns=[make.turn_row(4, 4.4, 'anger')])
    assert any(text.startswith('The voice') for text in alone)


def test_steps_that_were_hardly_measured_are_not_counted_as_unclear(make):
    # the first and the last step hold 0.15 and 0.1 s of the turn: too little to name anything, and no unclear seconds
    text = ' '.join(described(make, 'audio', 4.0, turns=[make.turn_row(0.85, 3.1, 'anger', 0.7)]))
    assert 'The voice sounds ' in text
    assert 'too unclear' not in text


@pytest.mark.parametrize('name', ['Anna', 'ben', 'person 1'])
def test_names_keep_their_capital_within_a_sentence(make, name):
    calm = [*make.face_rows(name, 0, 8, 'neutral'), *make.face_rows(name, 12, 20, 'neutral')]
    faces = sorted([*calm, *make.face_rows(name, 8, 12, 'happiness', smile=0.9)], key=lambda row: row['time_s'])
    texts = described(make, duration_s=20.0, faces=faces)
    assert [text for text in texts if text.startswith(f'From 0:08 to 0:12, {name} ')]
