"""Weights beside an ONNX file: each that could be read is named, wherever the file names it, and none outside."""

from __future__ import annotations

import os

import numpy as np
import pytest

from affekt.encoders.onnx_side_files import DEEPEST, external_names, weights_beside
from affekt.errors import WeightsError

onnx = pytest.importorskip('onnx', reason='onnx is absent (pip install affekt[torch])')


def tensor(name, location, *, keys=('location',)):
    """A tensor whose values lie in another file."""
    made = onnx.TensorProto(name=name, data_type=1, dims=[2])
    for key in keys:
        made.external_data.add(key=key, value=location if key == 'location' else '0')
    made.data_location = onnx.TensorProto.EXTERNAL
    return made


def model(*tensors, nodes=(), **more):
    graph = onnx.GraphProto(name='g', initializer=tensors, node=nodes)
    return onnx.ModelProto(ir_version=8, graph=graph, **more)


def saved(path, made):
    path.write_bytes(made.SerializeToString())
    return path


def test_names_of_any_length_and_order_of_entries_are_read(tmp_path):
    long = 'weights-' + 'x' * 150 + '.bin'
    path = saved(tmp_path / 'a.onnx', model(tensor('w', long, keys=('offset', 'location')), tensor('v', 'ü.bin')))
    assert external_names(path) == {long, 'ü.bin'}
    (tmp_path / long).write_bytes(b'1')
    (tmp_path / 'ü.bin').write_bytes(b'2')
    assert list(weights_beside(path)) == [long, 'ü.bin']


def test_tensors_in_nodes_branches_functions_and_sparse_ones_count(tmp_path):
    constant = onnx.NodeProto(op_type='Constant')
    constant.attribute.add(name='value', t=tensor('c', 'constant.bin'))
    branch = onnx.NodeProto(op_type='If')
    branch.attribute.add(name='then_branch', g=onnx.GraphProto(initializer=[tensor('d', 'branch.bin')]))
    function = onnx.FunctionProto(name='f', node=[constant])
    made = model(nodes=[branch], functions=[function])
    made.graph.sparse_initializer.add(values=tensor('s', 'sparse.bin'))
    assert external_names(saved(tmp_path / 'a.onnx', made)) == {'constant.bin', 'branch.bin', 'sparse.bin'}


def test_a_tensor_whose_values_are_in_the_file_names_nothing(tmp_path):
    inside = tensor('w', 'left-over.bin')
    inside.data_location = onnx.TensorProto.DEFAULT
    text = onnx.StringStringEntryProto(key='location', value='in-a-note.bin')
    made = model(inside, metadata_props=[text])
    assert external_names(saved(tmp_path / 'a.onnx', made)) == set()


@pytest.mark.parametrize('name', ['../w.bin', '/etc/hostname', 'a/../../w.bin', 'C:\\w.bin', '..\\w.bin'])
def test_weights_outside_the_folder_are_refused_by_name(name, tmp_path):
    (tmp_path / 'w.bin').write_bytes(b'1')
    (tmp_path / 'net').mkdir()
    with pytest.raises(WeightsError, match='in its own folder'):
        weights_beside(saved(tmp_path / 'net' / 'a.onnx', model(tensor('w', name))))


@pytest.mark.parametrize(
    'content',
    [b'', b'\xff' * 40, b'PK\x03\x04 no network', b'\x3a\xff\xff\xff\xff\x0f', b'\x08\xff', b'\x3b'],
    ids=['empty', 'endless number', 'zip', 'field beyond the end', 'cut number', 'unknown field'],
)  # fmt: skip
def test_what_is_no_onnx_file_is_one_error(content, tmp_path):
    (tmp_path / 'a.onnx').write_bytes(content)
    with pytest.raises(WeightsError, match=r'a\.onnx'):
        external_names(tmp_path / 'a.onnx')


def test_messages_inside_each_other_end_somewhere(tmp_path):
    content = b''
    for _ in range(DEEPEST):  # graph, node, attribute and again a graph
        for field in (0x32, 0x2A, 0x0A):
            size = len(content)
            content = bytes([field, size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + content
    (tmp_path / 'a.onnx').write_bytes(b'\x3a' + bytes([len(content) & 0x7F | 0x80, len(content) >> 7]) + content)
    with pytest.raises(WeightsError, match='deep'):
        external_names(tmp_path / 'a.onnx')


def test_a_pipe_or_a_folder_is_refused_before_it_is_opened(tmp_path):
    os.mkfifo(tmp_path / 'pipe.onnx')
    for path in (tmp_path / 'pipe.onnx', tmp_path):
        with pytest.raises(WeightsError, match='no file'):
            external_names(path)


def test_values_in_another_file_change_the_hashes(tmp_path):
    path = saved(tmp_path / 'a.onnx', model(tensor('w', 'w.bin')))
    (tmp_path / 'w.bin').write_bytes(np.ones(2, np.float32).tobytes())
    before = weights_beside(path)
    (tmp_path / 'w.bin').write_bytes(np.zeros(2, np.float32).tobytes())
    assert weights_beside(path) != before
