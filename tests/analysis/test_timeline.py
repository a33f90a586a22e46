"""The timeline's algebra: checks, selection, clipping, resampling, and the laws that they keep."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.analysis.rows import SCHEMA, weights_as_text
from affekt.analysis.timeline import Timeline, concat
from affekt.errors import RunError, ShapeError, UnknownNameError, ValueRangeError


def row(start_s=0.0, end_s=1.0, name='valence', value=0.5, person='person 1', source='face', **more):
    return {
        'start_s': start_s,
        'end_s': end_s,
        'name': name,
        'value': value,
        'person': person,
        'source': source,
        **more,
    }


# Quarter seconds are exact in binary, so laws can be tested without tolerance for the times.
quarters = st.integers(0, 80).map(lambda k: k / 4)
values = st.integers(-8, 8).map(lambda k: k / 8)


@st.composite
def timelines(draw, gapless=False):
    """Rows in runs per person and name, never overlapping within one run."""
    rows = []
    for person in draw(st.lists(st.sampled_from(['person 1', 'person 2', 'voice']), unique=True, max_size=3)):
        for name in draw(st.lists(st.sampled_from(['valence', 'arousal']), unique=True, max_size=2)):
            cursor = draw(quarters)
            for length in draw(st.lists(st.integers(1, 12), max_size=6)):
                rows.append(row(cursor, cursor + length / 4, name, draw(values), person))
                cursor += length / 4 + (0.0 if gapless else draw(st.integers(0, 4)) / 4)
    return Timeline.from_rows(rows)


def test_rows_come_out_in_time_order_whatever_order_they_went_in():
    made = Timeline.from_rows([row(5, 6), row(1, 2), row(3, 9)])
    assert made.column('start_s').tolist() == [1.0, 3.0, 5.0]


def test_missing_columns_take_their_defaults():
    table = pa.table({'start_s': [0.0], 'end_s': [1.0], 'source': ['face'], 'name': ['valence'], 'value': [0.1]})
    made = Timeline(table)
    assert made.table.schema == SCHEMA
    assert made.table['person'].to_pylist() == ['']
    assert np.isnan(made.column('confidence')).all()


@pytest.mark.parametrize(
    ('wrong', 'error'),
    [
        (row(2.0, 1.0), ValueRangeError),
        (row(float('nan'), 1.0), ValueRangeError),
        (row(0.0, float('inf')), ValueRangeError),
        (row(confidence=1.5), ValueRangeError),
        (row(confidence=-0.1), ValueRangeError),
        (row(coverage=2.0), ValueRangeError),
        (row(source='smell'), UnknownNameError),
        ({**row(), 'colour': 'red'}, ShapeError),
        ({'start_s': 0.0, 'end_s': 1.0}, ShapeError),
    ],
)
def test_rows_that_break_a_rule_raise(wrong, error):
    with pytest.raises(error):
        Timeline.from_rows([wrong])


def test_a_table_with_a_column_of_the_wrong_type_raises():
    with pytest.raises(ShapeError, match='fit SCHEMA'):
        Timeline(pa.table({'start_s': ['now'], 'end_s': [1.0], 'source': ['face'], 'name': ['x'], 'value': [0.0]}))


def test_select_takes_rows_that_match_every_condition():
    made = Timeline.from_rows(
        [row(0, 1), row(1, 2, name='arousal'), row(2, 3, person='person 2'), row(3, 4, source='voice')]
    )
    assert len(made.select(person='person 1', name=['valence', 'arousal'])) == 3
    assert made.select(source='voice').column('start_s').tolist() == [3.0]
    # [1, 3) shares time with the rows at 1-2 and 2-3 only: touching at an end is not sharing.
    assert made.select(between=(1.0, 3.0)).column('start_s').tolist() == [1.0, 2.0]


def test_slice_clips_rows_to_the_window():
    cut = Timeline.from_rows([row(0, 10)]).slice(2.5, 4.0)
    assert (cut.start_s, cut.end_s) == (2.5, 4.0)


def test_slice_backwards_raises():
    with pytest.raises(ValueRangeError, match='end_s >= start_s'):
        Timeline.empty().slice(2.0, 1.0)


@settings(max_examples=30, deadline=None)
@given(made=timelines(), at=quarters)
def test_slices_on_both_sides_of_a_time_put_together_are_the_whole(made, at):
    parts = [made.slice(0.0, at), made.slice(at, 1000.0)]
    assert concat(parts).joined() == made.joined()


@settings(max_examples=25, deadline=None)
@given(made=timelines(), by=st.integers(-40, 40))
def test_shifting_back_undoes_a_shift(made, by):
    assert made.shift(by / 4).shift(-by / 4) == made


@settings(max_examples=30, deadline=None)
@given(made=timelines(), at=quarters)
def test_coverage_of_two_sides_adds_up(made, at):
    assert made.slice(0.0, at).coverage() + made.slice(at, 1000.0).coverage() == pytest.approx(made.coverage())


@settings(max_examples=30, deadline=None)
@given(made=timelines(), until=quarters)
def test_coverage_and_gaps_fill_the_window(made, until):
    holes = sum(end - start for start, end in made.gaps(0.0, until))
    assert holes + made.slice(0.0, until).coverage() == pytest.approx(until)


@settings(max_examples=30, deadline=None)
@given(made=timelines(), step=st.sampled_from([0.25, 0.5, 1.0, 2.5, 7.0]))
def test_resampling_keeps_the_time_weighted_mean_of_every_lane(made, step):
    coarse = made.resample(step)
    for person in made.people:
        for name in ('valence', 'arousal'):
            before, after = (t.select(person=person, name=name).mean() for t in (made, coarse))
            assert after == pytest.approx(before, abs=1e-9, nan_ok=True)


def test_resampling_weights_by_time_inside_a_step():
    # 0.25 s of 1.0 and 0.75 s of 0.0 in one second: 0.25
    coarse = Timeline.from_rows([row(0, 0.25, value=1.0), row(0.25, 1.0, value=0.0)]).resample(1.0)
    assert coarse.column('value').tolist() == [0.25]
    assert coarse.column('coverage').tolist() == [1.0]


def test_resampling_has_no_step_that_a_row_shares_by_rounding_alone():
    # 0.3 / 0.1 is 2.9999999999999996, and 3 * 0.1 exceeds 0.3 by 5.6e-17: the step before the row has no value
    coarse = Timeline.from_rows([row(0.3, 0.4, value=0.5)]).resample(0.1)
    assert coarse.column('start_s').tolist() == pytest.approx([0.3])
    assert coarse.column('coverage').tolist() == pytest.approx([1.0])


def test_resampling_leaves_out_rows_that_abstain():
    coarse = Timeline.from_rows([row(0, 1, value=float('nan'), abstained='unsure'), row(1, 2)]).resample(1.0)
    assert coarse.column('start_s').tolist() == [1.0]


def test_resampling_to_no_step_raises():
    with pytest.raises(ValueRangeError, match='step_s > 0'):
        Timeline.empty().resample(0.0)


def test_gaps_are_what_no_row_covers():
    made = Timeline.from_rows([row(1, 2), row(1.5, 3), row(5, 6)])
    assert made.gaps(0.0, 8.0) == ((0.0, 1.0), (3.0, 5.0), (6.0, 8.0))


@settings(max_examples=20, deadline=None)
@given(made=timelines())
def test_parquet_gives_back_the_same_timeline(made, tmp_path_factory):
    path = tmp_path_factory.mktemp('timeline') / 't.parquet'
    assert Timeline.read_parquet(made.write_parquet(path)) == made


def test_reading_what_is_no_timeline_raises(tmp_path):
    (tmp_path / 'bad.parquet').write_bytes(b'no parquet')
    with pytest.raises(RunError, match='Parquet'):
        Timeline.read_parquet(tmp_path / 'bad.parquet')


def test_the_segmented_index_has_audformats_names_and_types():
    table = Timeline.from_rows([row(1.5, 2.25)]).segmented('a.mp4')
    assert table.column_names[:3] == ['file', 'start', 'end']
    assert table.schema.field('start').type == pa.duration('ns')
    assert table['start'].cast(pa.int64()).to_pylist() == [1_500_000_000]
    assert table['end'].cast(pa.int64()).to_pylist() == [2_250_000_000]


def test_the_empty_timeline_answers_everything():
    empty = Timeline.empty()
    assert (len(empty), empty.coverage(), empty.people, empty.gaps(0, 1)) == (0, 0.0, (), ((0, 1),))
    assert np.isnan(empty.mean())
    assert len(empty.resample(1.0)) == len(empty.joined()) == len(concat([])) == 0
    assert repr(empty) == 'Timeline(0 rows)'


@pytest.mark.parametrize('text', ['face 0.62, voice 0.38', 'voice 0.70, words 0.30', 'face 1.00', 'words 0.00', ''])
def test_weights_are_read_from_text_and_written_as_it_was(text):
    table = pa.table({'start_s': [0.0], 'end_s': [1.0], 'source': ['fused'], 'name': ['valence'], 'value': [0.1]})
    made = Timeline(table.append_column('weights', pa.array([text])))
    assert made == Timeline.from_rows([row(person='', source='fused', value=0.1, weights=text)])
    back = weights_as_text(made.to_arrow())
    assert back['weights'].to_pylist() == [text]
    assert back.column_names.index('weights') == SCHEMA.names.index('weight_face')


@pytest.mark.parametrize('text', ['face', 'face much', 'nose 0.5', 'face 0.5 voice 0.5'])
def test_weights_that_say_something_else_are_refused(text):
    with pytest.raises(ShapeError, match=r'face 0\.62'):
        Timeline.from_rows([row(weights=text)])


@pytest.mark.parametrize('column', [pa.array([['face 1.00']]), pa.array([1.0]), pa.array([None], pa.string())])
def test_a_column_of_weights_of_another_type_is_refused(column):
    table = pa.table({'start_s': [0.0], 'end_s': [1.0], 'source': ['fused'], 'name': ['valence'], 'value': [0.1]})
    with pytest.raises((ShapeError, ValueRangeError)):
        Timeline(table.append_column('weights', column))


def test_weights_lie_between_0_and_1():
    with pytest.raises(ValueRangeError, match='weight_face'):
        Timeline.from_rows([row(weight_face=1.5)])


def test_a_selection_has_series_of_its_own_and_people_told_later_share_them():
    made = Timeline.from_rows([row(), row(1.0, 2.0, value=0.7), row(person='person 2')])
    whole = made.series('person 1', 'face')
    assert whole.valence.tolist() == [0.5, 0.7]
    assert made.knowing(['person 3']).series('person 1', 'face') is whole
    assert made.series(1, 'face') is whole
    with pytest.raises(UnknownNameError, match='person 2'):
        made.series('person 9')
    assert made.slice(1.0, 2.0).series('person 1', 'face').valence.tolist() == [0.7]
    assert made.select(person='person 2').series('person 1', 'face').valence.tolist() == []
