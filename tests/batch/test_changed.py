"""An analysis with people merged and renamed: all that follows from them is made again, and the original stays."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from affekt.analysis import Analysis, AnalysisSettings
from affekt.analysis.assemble import assemble
from affekt.analysis.model_choice import trust_of
from affekt.batch import seconds_together, with_changes
from affekt.batch.changed import OTHER_VERSION
from affekt.errors import RunError, ValueRangeError
from affekt.labels import EKMAN
from affekt.people import CHANGES_FILE, Merge, Rename, write_changes

SETTINGS = AnalysisSettings()


@pytest.fixture(scope='module')
def analysis(observed):
    return assemble(dataclasses.replace(observed, trust=trust_of(SETTINGS)), SETTINGS)


def words_in(analysis):
    """Every text of an analysis that speaks of people."""
    texts = [sentence.text for sentence in analysis.description] + [moment.sentence for moment in analysis.moments]
    proofs = [proof for part in (*analysis.description, *analysis.moments, *analysis.labels) for proof in part.evidence]
    return [*texts, *(proof.person for proof in proofs)]


def test_without_any_change_all_that_follows_is_the_same(analysis):
    again = with_changes(analysis, [])
    assert again.timeline == analysis.timeline
    assert again.people == analysis.people
    assert again.labels == analysis.labels
    assert [dataclasses.replace(m, still_jpeg=None) for m in again.moments] == [
        dataclasses.replace(m, still_jpeg=None) for m in analysis.moments
    ]
    assert again.text == analysis.text
    assert again.source == analysis.source


def test_a_new_name_stands_wherever_the_old_one_stood(analysis):
    changed = with_changes(analysis, [Rename('1', 'Zoë')])
    assert {lane.name for lane in changed.lanes} == {'Zoë', 'person 2', 'voice'}
    assert 'Zoë' in changed.text
    assert not any('person 1' in text.lower() for text in words_in(changed))
    assert set(changed.tables['faces']['person'].to_pylist()) == {'Zoë', 'person 2'}
    assert {x.person for x in changed.utterances} == {'Zoë', 'voice'}
    # the numbers are those of before
    before, after = (a.timeline.select(source='fused', name=EKMAN).column('value') for a in (analysis, changed))
    assert np.sort(after) == pytest.approx(np.sort(before), nan_ok=True)  # nan goes last
    assert "Person 1 is called 'Zoë', as edited by hand." in changed.source.notes


def test_figures_of_another_version_are_not_replaced_in_silence(analysis):
    first, *others = analysis.people
    earlier = dataclasses.replace(analysis, people=(dataclasses.replace(first, valence=(-0.9, -1.0, -0.8)), *others))
    assert OTHER_VERSION in with_changes(earlier, [Rename('1', 'Zoë')]).source.notes
    assert OTHER_VERSION not in with_changes(analysis, [Rename('1', 'Zoë')]).source.notes


def test_who_is_merged_is_fused_from_the_rows_of_both(observed):
    # person 2, sad, is seen while person 1 is away: one person's times and faces are those of both
    faces = observed.faces
    times, people = faces['time_s'].to_numpy(), np.array(faces['person'].to_pylist())
    keep = (people == 'person 1') & (times < 12) | (people == 'person 2') & (times >= 12)
    given = dataclasses.replace(observed, faces=faces.filter(keep), trust=trust_of(SETTINGS))
    apart = assemble(given, SETTINGS)
    merged = with_changes(apart, [Merge('1', '2')])
    assert [person.name for person in merged.people if person.seen_s > 0] == ['person 1']
    one = merged.people[0]
    assert one.seen_s == pytest.approx(sum(person.seen_s for person in apart.people), abs=0.5)
    late = (14.0, 19.0)  # before either speaks again
    sad, alone = (
        each.timeline.select(person=name, source='fused', name='sadness', between=late).column('value')
        for each, name in ((merged, 'person 1'), (apart, 'person 2'))
    )
    assert sad == pytest.approx(alone)
    assert sad.min() > 0.4
    assert one.stretches == 2
    assert one.identity_certainty is None
    assert one.thumbnail_jpeg in {person.thumbnail_jpeg for person in apart.people}


def test_a_voice_becomes_a_persons_own(analysis):
    changed = with_changes(analysis, [Merge('1', 'voice')])
    assert {person.name for person in changed.people} == {'person 1', 'person 2'}
    heard = {person.name: person.heard_s for person in changed.people}
    assert heard['person 1'] == pytest.approx(4 + 5 + 4)
    with pytest.raises(ValueRangeError):
        with_changes(analysis, [Rename('1', 'a voice')])


def test_seconds_together_count_shared_frames(analysis):
    seconds, first_s = seconds_together(analysis, 'person 1', 'person 2')
    assert seconds == pytest.approx(25, abs=0.5)
    assert first_s == pytest.approx(5, abs=0.3)
    assert seconds_together(analysis, 'person 1', 'voice')[0] == 0


def test_what_was_said_is_applied_when_results_are_read_and_can_be_left_aside(analysis, tmp_path):
    analysis.save(tmp_path)
    write_changes(tmp_path, [Merge('person 1', 'person 2'), Rename('person 1', 'A.')])
    assert {person.name for person in Analysis.load(tmp_path).people} == {'A.'}
    assert {p.name for p in Analysis.load(tmp_path, as_analyzed=True).people} == {'person 1', 'person 2'}


def test_what_was_said_does_not_outlive_the_analysis(analysis, tmp_path):
    analysis.save(tmp_path)
    write_changes(tmp_path, [Rename('person 1', 'A.')])
    changed = Analysis.load(tmp_path)
    changed.save(tmp_path)  # the names are in the results now
    assert not (tmp_path / CHANGES_FILE).exists()
    assert Analysis.load(tmp_path).people == changed.people


def test_changes_of_another_analysis_are_one_clear_error(analysis, tmp_path):
    analysis.save(tmp_path)
    write_changes(tmp_path, [Rename('person 7', 'A.')])
    with pytest.raises(RunError, match='person 7'):
        Analysis.load(tmp_path)


def test_a_kept_still_is_shown_by_moments_near_it(analysis):
    kept = {moment.still_jpeg for moment in analysis.moments if moment.still_jpeg}
    shown = {moment.still_jpeg for moment in with_changes(analysis, [Rename('1', 'A.')]).moments}
    assert shown
    assert shown <= kept | {None}
