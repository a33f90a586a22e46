"""FLAME from the user's file: values worked by hand on a made-up model of four points, and files that are refused."""

from __future__ import annotations

import io
import pickletools
from types import FunctionType

import numpy as np
import pytest
import scipy.sparse
from made_up_flame import TEMPLATE, arrays, kept

from affekt.errors import UnknownNameError, WeightsError
from affekt.face3d import head_model, pose_matrix, read_flame
from affekt.face3d.flame import EYES_CM, contour_row
from affekt.pickles import _STORED, Ceilings, _Unpickler, read_pickle


@pytest.fixture
def model(tmp_path):
    return read_flame(kept(tmp_path, arrays()))


def test_at_rest_the_points_are_the_template_with_its_eyes_where_other_models_have_them(model):
    # in centimetres; the middle between the eyes is at (0, 2, 5), and goes to EYES_CM
    assert model.vertices() == pytest.approx(100 * TEMPLATE + np.array(EYES_CM) - [0, 2, 5])
    head = head_model()
    balls = [head.mean[np.unique(head.triangles[head.parts == head.part_names.index(f'{side} eye')])]
             for side in ('left', 'right')]  # fmt: skip
    assert np.mean([(ball.min(axis=0) + ball.max(axis=0)) / 2 for ball in balls], axis=0) == pytest.approx(
        EYES_CM, abs=0.02
    )


def test_shapes_and_expressions_are_added(model):
    assert model.shapes == ('shape1', 'shape2', 'shape3')
    assert model.directions == ('expression1',)
    moved = model.vertices({'shape1': 2}, {'expression1': 0.5}) - model.vertices()
    assert moved[1] == pytest.approx([1, -2, 0])
    assert moved[[0, 2, 3]] == pytest.approx(0)
    with pytest.raises(UnknownNameError):
        model.vertices(expression={'jawOpen': 1})


def test_a_jaw_turns_about_its_hinge_with_its_corrective(model):
    # the chin is (0, -10, 10) from the hinge. A right angle about x takes y to z and z to -y; before that the
    # corrective adds 10 cm times (R - I)[1, 1] = cos 90 - 1 = -1 to z, so that (0, -10, 0) turns to (0, 0, -10)
    rest = model.vertices()
    opened = model.vertices(jaw_deg=(90, 0))
    assert opened[1] - rest[0] == pytest.approx([0, 0, -10], abs=1e-9)
    assert opened[[0, 2, 3]] == pytest.approx(rest[[0, 2, 3]])


def test_a_weak_perspective_sees_the_head_turned_about_its_root_in_the_files_own_frame(model):
    # the chin is (0, -0.1, 0.1) metres from the root, which is the file's origin. A right angle about y takes z to x:
    # (0.1, -0.1, 0). With s = 5, a = 0.1 and b = 0.2: x = 5 (0.1 + 0.1), y = -5 (-0.1 + 0.2), depth = 0
    seen = model.projected(model.vertices(), [0, np.pi / 2, 0], [5, 0.1, 0.2])
    assert seen[1] == pytest.approx([1.0, -0.5, 0], abs=1e-9)
    assert seen[0] == pytest.approx([0.5, -1.0, 0], abs=1e-9)
    # unturned the eyes, 5 cm before the root, are nearer: depth = -5 * 0.05
    assert model.projected(model.vertices(), [0, 0, 0], [5, 0, 0])[2, 2] == pytest.approx(-0.25)


def test_a_neck_carries_jaw_and_eyes_along(model):
    # a right angle about y takes z to x and x to -z
    turned = model.vertices(neck=[0, np.pi / 2, 0])
    rest = model.vertices()
    for point in (1, 2, 3):
        x, y, z = rest[point] - rest[0]
        assert turned[point] - turned[0] == pytest.approx([z, y, -x], abs=1e-9)


def test_eyes_turn_about_their_own_middles_and_a_pose_moves_all(model):
    assert model.vertices(gaze_deg=(20, 5)) == pytest.approx(model.vertices())  # each eye here is its middle alone
    posed = model.vertices(pose=pose_matrix(shift_cm=(0, 0, -40)))
    assert posed == pytest.approx(model.vertices() - [0, 0, 40])


def test_landmarks_lie_on_triangles_and_the_contour_goes_with_the_turn(tmp_path):
    contour = np.zeros((79, 1), np.int64)
    contour[1:] = 1
    weights = np.tile([1.0, 0, 0], (79, 1, 1))
    weights[78] = [0, 0, 1]
    embedding = {
        'static_lmk_faces_idx': np.array([0]), 'static_lmk_bary_coords': np.array([[0, 0.5, 0.5]]),
        'dynamic_lmk_faces_idx': contour, 'dynamic_lmk_bary_coords': weights,
    }  # fmt: skip
    np.save(tmp_path / 'landmark_embedding.npy', np.array(embedding, dtype=object), allow_pickle=True)
    model = read_flame(kept(tmp_path, arrays()), tmp_path / 'landmark_embedding.npy')
    rest = model.vertices()
    first, second = model.landmarks(rest)
    assert first == pytest.approx(rest[0])
    assert second == pytest.approx((rest[1] + rest[2]) / 2)
    assert model.landmarks(rest, yaw_deg=60)[0] == pytest.approx(rest[1])  # row 78, the third corner of triangle 1


def test_rows_of_the_contour_are_those_of_the_published_code():
    # 0, 1 … 39 for turns to one side, then -1 … -39 in rows 40 to 78
    assert [contour_row(yaw) for yaw in (0, -1, -39, -60, 1, 39, 60)] == [0, 1, 39, 39, 40, 78, 78]


def test_without_landmarks_there_are_none(model):
    with pytest.raises(WeightsError, match='embedding'):
        model.landmarks(model.vertices())


@pytest.mark.parametrize('protocol', [2, 4])
def test_files_of_either_age_are_read_and_so_are_archives(tmp_path, protocol):
    by_pickle = read_flame(kept(tmp_path, arrays(), protocol)).vertices({'shape1': 1})
    dense = {name: value.toarray() if scipy.sparse.issparse(value) else value for name, value in arrays().items()}
    np.savez(tmp_path / 'flame.npz', **dense)
    assert read_flame(tmp_path / 'flame.npz').vertices({'shape1': 1}) == pytest.approx(by_pickle)


class Chumpy:
    """Stands for an array of chumpy, whose pickle has its name and a dict with 'x'."""

    def __init__(self, x):
        self.x = x


def test_arrays_of_chumpy_are_read_without_chumpy(tmp_path, monkeypatch):
    import sys
    import types

    module = types.ModuleType('chumpy.ch')
    Chumpy.__module__, Chumpy.__qualname__, Chumpy.__name__ = 'chumpy.ch', 'Ch', 'Ch'
    module.Ch = Chumpy
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, 'chumpy', types.ModuleType('chumpy'))
        patched.setitem(sys.modules, 'chumpy.ch', module)
        content = {
            name: Chumpy(value) if name in ('shapedirs', 'v_template') else value for name, value in arrays().items()
        }
        path = kept(tmp_path, content)
    assert b'chumpy.ch' in path.read_bytes()
    assert read_flame(path).vertices()[1] == pytest.approx(100 * TEMPLATE[1] + np.array(EYES_CM) - [0, 2, 5])


class Hostile:
    """Runs a command when it is unpickled by Python."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        import os

        return os.system, (f'touch {self.marker}',)


def test_a_file_that_would_run_something_is_refused_and_runs_nothing(tmp_path):
    marker = tmp_path / 'was_run'
    path = kept(tmp_path, {**arrays(), 'more': Hostile(marker)})
    assert any('system' in str(argument) for _, argument, _ in pickletools.genops(path.read_bytes()))
    with pytest.raises(WeightsError, match='system'):
        read_flame(path)
    assert not marker.exists()


def test_a_file_cannot_change_how_the_next_is_read(tmp_path):
    # BUILD on the function itself, which sets its attributes: (None, {'__defaults__': (0, 0, 0)})
    state = b'N}X\x0c\x00\x00\x00__defaults__K\x00K\x00K\x00\x87s\x86'
    for name in (b'copyreg\n_reconstructor', b'numpy.core.multiarray\nscalar'):
        path = tmp_path / 'defaults.pkl'
        path.write_bytes(b'\x80\x02}c' + name + b'\n' + state + b'b0.')
        assert read_pickle(path) == {}
    first, second = (_Unpickler(io.BytesIO(), Ceilings(path, 0), _STORED)._stand_ins for _ in range(2))
    functions = [name for name, stand_in in first.items() if isinstance(stand_in, FunctionType)]
    assert len(functions) >= 8
    assert [name for name in functions if first[name] is second[name]] == []


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        ({'weights': np.zeros((3, 5))}, 'weights'),
        ({'v_template': np.full((4, 3), np.nan)}, 'v_template'),
        ({'f': np.array([[0, 1, 9]])}, 'triangles'),
        ({'kintree_table': np.zeros((2, 5), np.uint32)}, 'joints'),
        ({'posedirs': np.zeros((4, 3, 9))}, 'posedirs'),
    ],
)
def test_other_arrays_than_those_of_flame_are_refused(tmp_path, changed, message):
    with pytest.raises(WeightsError, match=message):
        read_flame(kept(tmp_path, arrays() | changed))


def test_damaged_and_missing_files_are_refused(tmp_path):
    whole = kept(tmp_path, arrays())
    whole.write_bytes(whole.read_bytes()[:-200])
    with pytest.raises(WeightsError):
        read_flame(whole)
    with pytest.raises(WeightsError, match='No such file'):
        read_flame(tmp_path / 'nowhere.pkl')
    with pytest.raises(WeightsError, match='v_template'):
        read_flame(kept(tmp_path, {}, name='empty.pkl'))
    sparse = arrays()['J_regressor']
    sparse.indices[0] = 77
    with pytest.raises(WeightsError):
        read_flame(kept(tmp_path, arrays() | {'J_regressor': sparse}))
