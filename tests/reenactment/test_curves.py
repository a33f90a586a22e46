"""Motion from tables and from analyses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from affekt.analysis.observations import SCHEMAS, conform
from affekt.errors import RunError, TableError, UnknownNameError
from affekt.face3d import face_gains, face_model
from affekt.faces import BLENDSHAPES, euler_angles_deg
from affekt.reenactment import (
    RECIPES,
    ByTimeline,
    frame_of_amounts,
    motion_of_curves,
    motion_of_series,
    motion_of_timeline,
)
from tests.own_data.conftest import analysis_of, rows, shares_of


def written(folder, text):
    path = folder / 'curve.csv'
    path.write_text(text)
    return path


def test_a_table_moves_directions_head_and_gaze(tmp_path):
    path = written(tmp_path, 'time_s,jawOpen,Yaw_Deg,gaze_yaw_deg,comment\n0,0,0,0,a\n0.5,0.6,10,15,b\n1,0,0,0,c\n')
    motion = motion_of_curves(path, rate_hz=20)
    frames = list(motion)
    assert motion.count == len(frames) == 21
    assert frames[0].is_neutral
    middle = frames[10]
    jaw = frame_of_amounts(0, RECIPES['surprise'].amounts(0)).offsets
    assert middle.time_s == pytest.approx(0.5)
    assert middle.offsets[152, 1] < jaw[152, 1] - 1
    pose = np.eye(4)
    pose[:3, :3] = middle.rotation
    assert euler_angles_deg(pose) == pytest.approx([10, 0, 0])
    # 15 degrees to the person's left, of 21.6 and 21.7 at which the irises have gone 0.220 and 0.236 widths
    assert middle.gaze[:, 0] == pytest.approx([0.1528, 0.1631], abs=1e-3)
    assert motion.notes == ['columns of curve.csv that move nothing: comment']


def test_curves_do_not_overshoot_between_their_rows(tmp_path):
    path = written(tmp_path, 'time_s;surprise\n0;0\n1;0\n1,2;1\n2;1\n')
    jaw = [-frame.offsets[152, 1] for frame in motion_of_curves(path, rate_hz=50)]
    full = -frame_of_amounts(0, RECIPES['surprise'].amounts()).offsets[152, 1]
    assert max(jaw) == pytest.approx(full)
    assert min(jaw) == 0
    assert np.all(np.diff(jaw) >= -1e-6)


def test_scores_become_amounts_by_their_gains(tmp_path):
    path = written(tmp_path, 'time_s,jawOpen\n0,0.3\n1,0.3\n')
    plain, by_gain = (next(iter(motion_of_curves(path, are_scores=scores))) for scores in (False, True))
    assert by_gain.offsets[152, 1] == pytest.approx(face_gains()['jawOpen'].gain * plain.offsets[152, 1], rel=1e-4)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('jawOpen\n0\n1\n', 'time_s'),
        ('time_s,jaw_Opne\n0,0\n1,1\n', 'jawOpen'),
        ('time_s,jawOpen,mouthSmileLft\n0,0,0\n1,1,1\n', 'mouthSmileLeft'),
        ('time_s,jawOpen\n0,0\n1,wide\n', 'row 3 of curve.csv, column jawOpen'),
        ('time_s,jawOpen\n0,0\n1,7\n', '7 is not in -1 to 2'),
        ('time_s,jawOpen\n0,0\n1,7\n', 'with 1 faulty cell'),
        ('time_s,nosuch\n0,0\n1,1\n', 'add a column such as jawOpen or surprise'),
        ('time_s,anger\n0,0\n1,-1\n', 'column anger: -1'),
        ('time_s,yaw_deg\n0,0\n1,180\n', 'column yaw_deg'),
        ('time_s,jawOpen\n0,0\n1,0\n1,0\n', 'row 4 of curve.csv, column time_s'),
        ('time_s,jawOpen\n0,nan\n1,0\n', 'row 2'),
        ('time_s,jawOpen\n0,0\n', 'two rows'),
        ('time_s\n0\n1\n', 'jawOpen'),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_row_and_column(tmp_path, text, message):
    with pytest.raises(TableError, match=message):
        motion_of_curves(written(tmp_path, text))


def test_an_unknown_series_is_refused():
    with pytest.raises(UnknownNameError, match='jawOpen'):
        motion_of_series([0, 1], {'jawopen': [0, 1]})


def faces(times_s, **curves):
    """A table of faces with all columns that move, of one person."""
    names = (*BLENDSHAPES[1:], 'yaw_deg', 'pitch_deg', 'roll_deg', 'gaze_yaw_deg', 'gaze_pitch_deg')
    columns = {name: curves.get(name, np.zeros(len(times_s))) for name in names}
    return conform(pa.table({'time_s': times_s, 'person': ['person 1'] * len(times_s), **columns}), 'faces')


def kept(folder, table=None):
    """An analysis of four seconds, happy in the second one, on disk."""
    calm, happy = shares_of('neutral', 0.94), shares_of('happiness', 0.94)
    shown = [row for at, each in enumerate((calm, happy, calm, calm))
             for row in rows('person 1', 'fused', at, at + 1, each, 0.1, 0.1)]  # fmt: skip
    made = analysis_of(shown, ('person 1',))
    tables = {name: conform(SCHEMAS[name].empty_table(), name) for name in SCHEMAS} | (
        {'faces': table} if table else {}
    )
    return dataclasses.replace(made, tables=tables).save(folder)


def test_a_folder_that_holds_no_analysis_is_named_once(tmp_path):
    with pytest.raises(RunError, match=r'got \S+analysis\.json: No such file or directory; name a folder'):
        motion_of_timeline(tmp_path)


def test_an_analysis_without_a_face_moves_by_its_emotions(tmp_path):
    motion = motion_of_timeline(kept(tmp_path / 'run'), rate_hz=10)
    corner = [frame.offsets[291, 1] for frame in motion]
    # as long as the four seconds that were read, and at its widest in the middle of the second one
    assert len(corner) == motion.count == 41
    assert np.argmax(corner) == 15
    assert corner[:6] == [corner[0]] * 6  # half a second of what the first second says
    full = frame_of_amounts(0, RECIPES['happiness'].amounts(0.94)).offsets[291, 1]
    assert corner[15] == pytest.approx(full, rel=0.05)
    assert motion.notes[0].startswith('person 1 moves the portrait by the emotions')
    with pytest.raises(RunError, match='none was read'):
        motion_of_timeline(tmp_path / 'run', source='face')


def test_an_analysis_with_a_face_moves_by_what_the_face_did(tmp_path):
    times = np.array([0, 0.5, 1, 1.5, 4, 4.5])
    table = faces(times, jawOpen=np.array([0.2, 0.5, 0.5, 0.2, 0.5, 0.5]), yaw_deg=np.array([5.0, 5, 15, 5, 5, 5]))
    run = kept(tmp_path / 'run', table)
    frames = list(motion_of_timeline(run, rate_hz=10))
    assert frames[0].is_neutral  # the calmest moment, and the median of the head
    jaw = face_gains()['jawOpen'].gain * 0.3
    assert frames[5].offsets[17, 1] == pytest.approx(jaw * face_model().direction('jawOpen')[17, 1], rel=1e-3)
    pose = np.eye(4)
    pose[:3, :3] = frames[10].rotation
    assert euler_angles_deg(pose)[0] == pytest.approx(10)
    # nobody is seen from 1.5 to 4 s: at rest
    assert np.abs(frames[25].offsets).max() < 1e-6


def test_a_run_folder_of_one_recording_is_taken_and_one_of_several_is_not(tmp_path):
    kept(tmp_path / 'run' / 'first-0a')
    kept(tmp_path / 'run' / '.second-0b.part')  # of a killed analysis
    assert motion_of_timeline(tmp_path / 'run', rate_hz=10).count == 41
    assert ByTimeline(tmp_path / 'run').as_json() == ByTimeline(tmp_path / 'run' / 'first-0a').as_json()
    kept(tmp_path / 'run' / 'second-0b')
    with pytest.raises(RunError, match=r'one recording; got .*run with 2 of them; name the folder of one.*first-0a'):
        motion_of_timeline(tmp_path / 'run')


def test_nobody_and_nothing_of_an_analysis_are_refused(tmp_path):
    run = kept(tmp_path / 'run')
    with pytest.raises(UnknownNameError):
        motion_of_timeline(run, person='nobody at all')
    with pytest.raises(UnknownNameError):
        motion_of_timeline(run, source='voice')


def test_a_folder_that_is_no_analysis_is_refused(tmp_path):
    with pytest.raises(RunError):
        motion_of_timeline(tmp_path)
