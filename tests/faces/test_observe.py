from __future__ import annotations

import io
import threading
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from affekt.errors import RunError, ShapeError, UnknownNameError, ValueRangeError
from affekt.faces import (
    READINGS,
    FaceLandmarker,
    FaceTracker,
    Track,
    align_face,
    five_points,
    in_source_pixels,
    observe_faces,
    readings,
)  # fmt: skip
from affekt.faces.rows import NUMBERS, ROW_SCHEMA
from affekt.labels import EKMAN


@dataclass
class Shot:
    time_s: float
    image: np.ndarray


class Constant:
    """An expression model that finds anger in everyone and counts how often it is asked."""

    def __init__(self):
        self.batches = []

    def probabilities(self, crops, blendshapes=None, *, both_views=True):
        self.batches.append(len(crops))
        shares = np.zeros((len(crops), 7))
        shares[:, EKMAN.index('anger')] = 1.0
        return shares


@pytest.fixture(scope='module')
def landmarker(shared_data):
    return FaceLandmarker(shared_data / 'media' / 'face_landmarker.task')


@pytest.fixture(scope='module')
def photograph(shared_data):
    return np.asarray(Image.open(shared_data / 'test_media' / 'single_face.jpg').convert('RGB'))


@pytest.fixture(scope='module')
def shots(photograph):
    """20 frames at 10 per second; the face is gone in frames 8 to 11."""
    empty = np.full_like(photograph, 70)
    return [Shot(k / 10, empty if 8 <= k < 12 else np.roll(photograph, 2 * k, axis=1)) for k in range(20)]


@pytest.fixture(scope='module')
def observed(shots, landmarker, tmp_path_factory):
    spill = tmp_path_factory.mktemp('faces') / 'landmarks.parquet'
    return observe_faces(shots, landmarker=landmarker, expression=Constant(), spill=spill)


def test_a_frame_without_a_face_has_no_row(observed):
    assert observed.frames == 20
    assert observed.frames_without == 4
    assert observed.table.num_rows == 16
    assert not set(observed.table['time_s'].to_pylist()) & {0.8, 0.9, 1.0, 1.1}


def test_seconds_with_a_face_count_each_frame_until_the_next(observed):
    # frames 0-7 and 12-19 of 0.1 s each
    assert observed.seconds_with == pytest.approx(1.6)


def test_the_person_is_named_and_has_a_square_thumbnail(observed):
    (person,) = observed.people
    assert person.name == 'person 1'
    assert (person.first_s, person.last_s, person.frames) == (0.0, 1.9, 16)
    assert Image.open(io.BytesIO(person.thumbnail_jpeg)).size == (160, 160)
    assert set(observed.table['person'].to_pylist()) == {'person 1'}


def test_every_reading_is_a_column_within_its_range(observed):
    for reading in READINGS:
        values = observed.table[reading.name].to_numpy()
        assert ((values >= reading.low) & (values <= reading.high)).all(), reading.name


def test_categories_come_from_the_expression_model(observed):
    assert observed.table['anger'].to_numpy() == pytest.approx(1.0)
    assert observed.table['neutral'].to_numpy() == pytest.approx(0.0)
    assert (observed.table['valence'].to_numpy() <= 1).all()


def test_without_an_expression_model_categories_are_missing_not_neutral(shots, landmarker):
    table = observe_faces(shots[:2], landmarker=landmarker, keep_thumbnails=False).table
    for name in (*EKMAN, 'valence', 'arousal'):
        assert np.isnan(table[name].to_numpy()).all()


def test_expression_is_evaluated_once_per_row_in_batches(shots, landmarker):
    model = Constant()
    table = observe_faces(shots * 1, landmarker=landmarker, expression=model).table
    assert sum(model.batches) == table.num_rows
    assert max(model.batches) > 1


def test_no_picture_is_kept_where_none_may_be(shots, landmarker):
    observed = observe_faces(shots[:2], landmarker=landmarker, keep_thumbnails=False)
    assert observed.people[0].thumbnail_jpeg is None
    assert np.isnan(observed.people[0].thumbnail_s)


def test_the_track_of_a_person_holds_all_landmarks(observed):
    track = observed.track('person 1')
    assert track.landmarks.shape == (16, 478, 3)
    assert track.poses.shape == (16, 4, 4)
    assert track.times_s == pytest.approx(observed.table['time_s'].to_numpy())
    assert repr(track) == ("Track('person 1', 0.00-1.90 s, landmarks (16, 478, 3), blendshapes (16, 52))")


def test_a_track_of_nobody_or_without_landmarks_is_refused(observed, shots, landmarker):
    with pytest.raises(UnknownNameError, match='person 1'):
        observed.track('person 9')
    with pytest.raises(RunError, match='spill'):
        observe_faces(shots[:1], landmarker=landmarker).track('person 1')


def test_an_interrupted_run_leaves_no_file(shots, landmarker, tmp_path):
    def broken():
        yield shots[0]
        raise RuntimeError('decoder gone')

    with pytest.raises(RuntimeError, match='decoder gone'):
        observe_faces(broken(), landmarker=landmarker, spill=tmp_path / 'landmarks.parquet')
    assert list(tmp_path.iterdir()) == []


def test_rows_are_those_of_the_frames_read_one_after_the_other(shots, landmarker, observed):
    tracker = FaceTracker(landmarker)
    table = observed.table.to_pylist()
    for shot in shots:
        for face in tracker.update(shot.time_s, shot.image):
            row = table.pop(0)
            values = readings(face, align_face(shot.image, five_points(face.landmarks)))
            assert row['time_s'] == shot.time_s
            np.testing.assert_array_equal([row[reading.name] for reading in READINGS], values)
    assert not table


def test_consecutive_frames_are_read_in_one_view_in_turn_and_lone_frames_in_both(photograph, landmarker):
    class Noted(Constant):
        def __init__(self):
            super().__init__()
            self.read = []

        def probabilities(self, crops, blendshapes=None, *, both_views=True):
            self.read += [(crop, both_views) for crop in crops]
            return super().probabilities(crops, blendshapes)

    still = [Shot(time_s, photograph) for time_s in (0.0, 0.08, 0.16, 1.0)]
    model = Noted()
    observe_faces(still, landmarker=landmarker, expression=model)
    seen = {both: [crop for crop, read_both in model.read if read_both == both] for both in (True, False)}
    assert len(seen[True]) == 2  # the first frame and the one that comes alone
    mirrored, upright = seen[False]
    direct, turned = (np.abs(np.asarray(crop, float) - upright).mean() for crop in (mirrored, mirrored[:, ::-1]))
    assert turned < 1 < direct
    model = Noted()
    observe_faces(still, landmarker=landmarker, expression=model, both_views=True)
    assert [both for _, both in model.read] == [True] * 4


def test_what_goes_wrong_in_any_thread_reaches_the_caller_and_ends_all(shots, landmarker):
    class Broken:
        def probabilities(self, crops, blendshapes=None, *, both_views=True):
            raise RuntimeError('no expression')

    def unreadable():
        yield from shots[:3]
        raise OSError('no more frames')

    with pytest.raises(OSError, match='no more frames'):
        observe_faces(unreadable(), landmarker=landmarker)
    with pytest.raises(RuntimeError, match='no expression'):
        observe_faces(shots, landmarker=landmarker, expression=Broken())
    assert not [thread for thread in threading.enumerate() if thread.name == 'affekt-ahead']


def test_frames_below_16_pixels_count_as_without_a_face(landmarker):
    tiny = [Shot(k / 10, np.zeros((1, 1, 3), np.uint8)) for k in range(3)]
    observed = observe_faces(tiny, landmarker=landmarker)
    assert (observed.frames, observed.frames_without, observed.frames_too_small) == (3, 3, 3)
    assert observed.table.num_rows == 0
    assert observed.table['happiness'].to_pylist() == []


def test_no_frames_give_an_empty_table(landmarker):
    observed = observe_faces([], landmarker=landmarker)
    assert (observed.frames, observed.people, observed.seconds_with) == (0, (), 0.0)


def test_progress_is_told_the_time_of_each_frame(landmarker):
    told = []
    blank = [Shot(k / 10, np.full((40, 40, 3), 90, np.uint8)) for k in range(3)]
    observe_faces(blank, landmarker=landmarker, progress=told.append)
    assert told == pytest.approx([0.0, 0.1, 0.2])


def test_a_track_with_arrays_of_different_length_is_refused():
    arrays = {
        'boxes': np.zeros((2, 4), np.float32),
        'landmarks': np.zeros((2, 478, 3), np.float32),
        'blendshapes': np.zeros((2, 52), np.float32),
        'poses': np.zeros((2, 4, 4), np.float32),
        'presence': np.zeros(2, np.float32),
    }
    assert len(Track('a', np.array([0.0, 0.1]), **arrays)) == 2
    with pytest.raises(ShapeError, match='boxes'):
        Track('a', np.array([0.0, 0.1, 0.2]), **arrays)
    with pytest.raises(ValueRangeError, match='ascending'):
        Track('a', np.array([0.1, 0.1]), **arrays)


def test_a_face_that_stands_still_is_completed_once(shots, landmarker, monkeypatch):
    completed, count = landmarker.completed, []
    monkeypatch.setattr(landmarker, 'completed', lambda *given: count.append(1) or completed(*given))
    still = [Shot(k / 20, shots[0].image) for k in range(4)]
    table = observe_faces(still, landmarker=landmarker, still_levels=1.0).table
    measured = table['is_measured'].to_pylist()
    assert not all(measured)
    assert len(count) == sum(measured)


def test_columns_in_pixels_are_those_of_the_source_where_frames_were_read_smaller():
    rows = {name: pa.array([2.0, 3.0], ROW_SCHEMA.field(name).type) for name in NUMBERS}
    rows |= {'time_s': pa.array([0.0, 1.0]), 'person': pa.array(['0', '1'])}
    others = {name: pa.array([False, False]) for name in ROW_SCHEMA.names if name not in rows}
    table = pa.table(rows | others).select(ROW_SCHEMA.names).cast(ROW_SCHEMA)
    scaled = in_source_pixels(table, 2.5)
    changed = [name for name in table.column_names if not scaled[name].equals(table[name])]
    assert changed == ['box_x', 'box_y', 'box_width', 'box_height', 'face_size_px']
    assert scaled['box_x'].to_pylist() == [5.0, 7.5]
    assert scaled.schema.types == table.schema.types
    assert in_source_pixels(table.slice(0, 0), 2.5).num_rows == 0
