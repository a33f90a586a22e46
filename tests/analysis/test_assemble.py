"""From tables to the whole analysis, on a made-up recording whose answer is known."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pyarrow as pa
import pytest

from affekt.analysis.analysis import TABLES, Analysis
from affekt.analysis.assemble import assemble, with_liveliness
from affekt.analysis.observations import SCHEMAS, Observed, conform
from affekt.analysis.records import Sentence, Source, Spoken
from affekt.analysis.settings import AnalysisSettings
from affekt.analysis.timeline import Timeline
from affekt.errors import RunError
from affekt.labels import EKMAN
from affekt.voice import COLUMNS


@pytest.fixture(scope='module')
def analysis(observed) -> Analysis:
    return assemble(observed, AnalysisSettings())


def fused(analysis, person, name, at):
    rows = analysis.timeline.select(person=person, source='fused', name=name, between=(at, at + 0.01)).to_arrow()
    return rows.to_pylist()[0] if rows.num_rows else None


def test_turns_go_to_the_mouth_that_moves_and_the_rest_to_the_voice(analysis):
    assert analysis.tables['turns']['person'].to_pylist() == ['person 1', 'person 1', 'voice']
    assert [u.person for u in analysis.utterances] == ['person 1', 'person 1', 'voice']


def test_people_are_ordered_by_time_and_the_unseen_voice_is_none_of_them(analysis):
    assert [(p.name, p.seen_s, p.heard_s) for p in analysis.people] == [
        ('person 1', 40.0, 9.0),
        ('person 2', 25.0, 0.0),
    ]
    assert [(p.name, p.seen_s, p.heard_s) for p in analysis.voices] == [('voice', 0.0, 4.0)]
    assert [lane.name for lane in analysis.lanes] == ['person 1', 'person 2', 'voice']
    assert analysis.people[0].quality['yaw_deg'] == 12.0  # turned away by 12 degrees, to whichever side


def test_a_second_without_measurement_has_no_row(analysis):
    assert fused(analysis, 'person 2', 'sadness', 2.5) is None
    assert fused(analysis, 'person 2', 'sadness', 35.5) is None
    assert fused(analysis, 'voice', 'happiness', 10.5) is None


def test_a_happy_face_with_angry_words_and_voice_is_left_open(analysis):
    row = fused(analysis, 'person 1', 'happiness', 22.5)
    assert row['abstained'] == 'contradiction'
    assert np.isnan(row['value'])
    assert 0.0 < row['weight_face'] < 1.0
    assert row['weight_face'] + row['weight_voice'] + row['weight_words'] == pytest.approx(1.0, abs=0.015)
    assert 'utterances:anger@20.00-25.00' in row['evidence']


def test_each_second_names_its_likeliest_category(analysis):
    for person, at, category in [('person 1', 8.5, 'neutral'), ('person 1', 14.5, 'happiness'),
                                 ('person 2', 20.5, 'sadness'), ('voice', 33.5, 'happiness')]:  # fmt: skip
        shares = {name: fused(analysis, person, name, at)['value'] for name in EKMAN}
        assert max(shares, key=shares.get) == category
        assert sum(shares.values()) == pytest.approx(1.0)


def test_moments_name_the_smile_or_its_peak_the_turn_and_the_contradiction(analysis):
    kinds = {m.kind: m for m in analysis.moments}
    assert any(12 <= m.time_s <= 18 for m in analysis.moments if m.kind in ('peak', 'smile'))
    assert 20 <= kinds['disagreement'].time_s <= 25
    assert 'looks happy while the words read as angry' in kinds['disagreement'].sentence
    assert all(m.evidence and m.still_jpeg for m in analysis.moments)
    assert len(analysis.moments) <= 9


def test_every_sentence_but_limits_rests_on_evidence(analysis):
    assert 3 <= len(analysis.description) <= 10
    for sentence in analysis.description:
        limits = sentence.text.startswith('This describes expression')
        assert limits or sentence.evidence or 'left open' in sentence.text
        assert sentence.text[0].isupper()
        assert sentence.text.endswith('.')


def test_nothing_is_said_about_what_people_feel(analysis):
    assert not re.search(r'\b(feels?|felt|is (happy|sad|angry))\b', analysis.text.replace('what a person feels', ''))


def test_labels_of_the_unseen_voice_take_up_the_words(analysis):
    words = [x.word for x in analysis.labels if x.person == 'voice' and x.scope == 'whole']
    assert 'grateful' in words


def test_labels_never_exceed_the_fused_confidence(analysis):
    for label in analysis.labels:
        rows = analysis.timeline.select(
            person=label.person, source='fused', name='neutral', between=(label.start_s, label.end_s)
        )
        confidence = rows.column('confidence')
        assert label.certainty <= np.nanmean(confidence) + 1e-3


def test_the_same_observations_give_the_same_analysis(observed):
    first, second = (assemble(observed, AnalysisSettings()) for _ in range(2))
    assert first.to_dict() == second.to_dict()
    assert first.timeline == second.timeline


def test_coverage_says_how_much_of_the_recording_each_source_has(analysis):
    # voice 4 + 5 + 4 s of 40; contradiction 5 s of 40
    assert analysis.coverage['voice'] == pytest.approx(13 / 40)
    assert analysis.coverage['contradiction'] == pytest.approx(5 / 40)
    assert analysis.coverage['face'] == 1.0


def test_a_saved_analysis_loads_as_it_was(analysis, tmp_path):
    loaded = Analysis.load(analysis.save(tmp_path / 'run'))
    assert loaded.to_dict() == analysis.to_dict()
    assert loaded.timeline == analysis.timeline
    assert loaded.people == analysis.people
    assert loaded.moments == analysis.moments
    assert loaded.settings == analysis.settings
    for name in TABLES:
        ours, theirs = (held.tables[name] for held in (analysis, loaded))
        assert theirs.schema == ours.schema
        assert str(theirs.to_pydict()) == str(ours.to_pydict())  # as text, for nan equals nan there
    assert not list((tmp_path / 'run').rglob('.*'))


def test_a_folder_without_an_analysis_does_not_load(analysis, tmp_path):
    with pytest.raises(RunError, match=r'analysis\.json'):
        Analysis.load(tmp_path)
    folder = analysis.save(tmp_path / 'run')
    (folder / 'timeline.parquet').unlink()
    with pytest.raises(RunError, match='timeline'):
        Analysis.load(folder)
    (folder / 'analysis.json').write_text('{"format": 99}')
    with pytest.raises(RunError, match='format 1'):
        Analysis.load(folder)


def test_without_frames_no_picture_is_kept(observed, tmp_path):
    analysis = assemble(observed, AnalysisSettings(keep_frames=False))
    assert all(p.thumbnail_jpeg is None for p in analysis.people)
    assert all(m.still_jpeg is None for m in analysis.moments)
    assert not list(analysis.save(tmp_path / 'run').rglob('*.jpg'))


def test_saving_over_an_older_analysis_leaves_none_of_its_pictures(analysis, observed, tmp_path):
    analysis.save(tmp_path / 'run')
    later = assemble(observed, AnalysisSettings(keep_frames=False))
    assert Analysis.load(later.save(tmp_path / 'run')).moments == later.moments


def test_a_face_whose_name_the_transcript_gives_to_another_is_not_taken_for_it(make):
    # the transcript calls 'person 1' who is tracked as person 2; the silent person 1 must not become one with them
    faces = [*make.face_rows('person 1', 0, 10, 'anger'), *make.face_rows('person 2', 0, 10, 'happiness', talks=True)]
    observed = Observed(
        Source('a.mp4', 'video', 10.0, 'ab' * 32, 64, 64, make.rate, make.rate),
        faces=make.table(sorted(faces, key=lambda row: row['time_s']), 'faces'),
        turns=make.table([make.turn_row(1, 5, 'neutral')], 'turns'),
        voice=make.table(make.voice_rows(0, 10), 'voice'),
        utterances=make.table([make.utterance_row(1, 5, 'hello', 'neutral', speaker='person 1')], 'utterances'),
        spoken=(Spoken(1, 5, '', 'person 1', 'hello'),),
        thumbnails={'person 1': b'angry', 'person 2': b'happy'},
    )
    people = {person.name: person for person in assemble(observed, AnalysisSettings()).people}
    looks = {name: max(person.categories, key=person.categories.__getitem__) for name, person in people.items()}
    assert looks == {'person 1': 'happiness', 'person 2': 'anger'}
    assert [people[name].thumbnail_jpeg for name in ('person 1', 'person 2')] == [b'happy', b'angry']


def test_transcript_names_replace_numbers_where_mouths_agree(observed):
    rows = observed.utterances.to_pylist()
    names = ['Ann', 'Ann', 'Bob']
    table = conform(
        observed.utterances.from_pylist([r | {'speaker': n} for r, n in zip(rows, names, strict=True)]), 'utterances'
    )
    analysis = assemble(dataclasses.replace(observed, utterances=table), AnalysisSettings())
    assert {p.name for p in analysis.people} == {'Ann', 'person 2', 'Bob'}
    assert analysis.tables['turns']['person'].to_pylist() == ['Ann', 'Ann', 'Bob']
    assert next(p for p in analysis.people if p.name == 'Ann').thumbnail_jpeg is not None


@pytest.mark.parametrize(
    ('kind', 'said'), [('video', 'nobody is seen or heard'), ('audio', 'nobody is heard'), ('image', 'no face')]
)
def test_nothing_measured_gives_no_rows_no_labels_and_says_so(kind, said):
    analysis = assemble(Observed(Source('x', kind, 3.0, '00')), AnalysisSettings())
    assert (len(analysis.timeline), analysis.people, analysis.labels, analysis.moments) == (0, (), (), ())
    assert said in analysis.text
    assert 'neutral' not in analysis.text
    assert analysis.coverage['fused'] == 0.0


def test_a_recording_of_no_length_is_not_divided_by():
    analysis = assemble(Observed(Source('x', 'audio', 0.0, '00')), AnalysisSettings())
    assert analysis.coverage == {}
    assert analysis.description


def test_a_face_whose_expression_was_not_read_has_readings_but_no_category(make):
    rows = [row | dict.fromkeys(EKMAN, float('nan')) | {'valence': float('nan'), 'arousal': float('nan')}
            for row in make.face_rows('person 1', 0, 3, 'neutral')]  # fmt: skip
    source = Source('x', 'video', 3.0, '00', analyzed_rate_hz=make.rate)
    analysis = assemble(Observed(source, faces=make.table(rows, 'faces')), AnalysisSettings())
    assert [p.name for p in analysis.people] == ['person 1']
    assert len(analysis.timeline) == 0
    assert analysis.people[0].categories == {}
    assert analysis.people[0].valence is None


def test_another_describer_can_take_over(observed):
    analysis = assemble(
        observed, AnalysisSettings(), lambda findings: (Sentence(f'{len(findings.people)} people.', ()),)
    )
    assert analysis.text == '3 people.'


def test_the_summary_is_plain_and_short(analysis):
    summary = analysis.summary()
    assert [p['name'] for p in summary['people']] == ['person 1', 'person 2']
    assert [v['name'] for v in summary['voices']] == ['voice']
    assert summary['description'] == [s.text for s in analysis.description]
    assert 'thumbnail_jpeg' not in summary['people'][0]
    assert repr(analysis).startswith("Analysis('made-up.mp4', video, 40.0 s, 2 people")


def test_conformed_tables_have_the_least_columns_first(make):
    for name, schema in SCHEMAS.items():
        assert conform(schema.empty_table(), name).schema == schema
    faces = make.table(make.face_rows('p', 0, 1, 'fear'), 'faces')
    assert faces.column_names[: len(SCHEMAS['faces'])] == SCHEMAS['faces'].names
    assert 'jaw_open' in faces.column_names


def test_the_fused_series_kept_beside_the_timeline_is_what_its_rows_say(analysis):
    for person in analysis.timeline.people:
        kept, read = analysis.timeline.series(person), Timeline(analysis.timeline.table).series(person)
        assert len(kept) > 1
        for part in dataclasses.fields(kept):
            np.testing.assert_array_equal(getattr(kept, part.name), getattr(read, part.name))


def test_a_turn_is_lively_against_the_same_persons_other_turns_only():
    calm, lively = dict.fromkeys(COLUMNS, 3.0), dict.fromkeys(COLUMNS, 3.0) | {'loudness_lufs': 12.0}
    rows = [calm, calm, lively, calm]
    people = ['A', 'A', 'A', 'B']
    turns = pa.table(
        {name: [row[name] for row in rows] for name in COLUMNS} | {'liveliness': [np.nan] * 4, 'person': people}
    )
    read = with_liveliness(turns)['liveliness'].to_numpy()
    assert read[2] > 0.1 > read[0]
    assert np.isnan(read[3])
    without = turns.select(['liveliness', 'person'])
    assert with_liveliness(without) is without
