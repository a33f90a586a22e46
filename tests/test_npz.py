"""NumPy archives from strangers: what they hold is read, what they ask for is not run."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.errors import ArchiveError
from affekt.npz import read_npz


def _saved(tmp_path, **arrays):
    path = tmp_path / 'held.npz'
    np.savez(path, **arrays)
    return path


def test_arrays_and_plain_objects_come_back_as_they_were(tmp_path):
    labels = {'a': {'emo': 3, 'val': np.float64(-1.5)}, 'b': {'emo': np.int64(0), 'val': -10}}
    path = _saved(
        tmp_path,
        names=np.array(['x', 'yy']),
        values=np.arange(6.0).reshape(2, 3),
        corpus=np.array(labels, dtype=object),
        lists=np.array([['happy'], ['sad', 'angry'], []], dtype=object),
    )
    held = read_npz(path)
    assert held['names'].tolist() == ['x', 'yy']
    assert held['values'].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert held['corpus'] == {'a': {'emo': 3, 'val': -1.5}, 'b': {'emo': 0, 'val': -10}}
    assert held['lists'].tolist() == [['happy'], ['sad', 'angry'], []]


def test_an_array_within_an_object_is_an_array(tmp_path):
    held = read_npz(_saved(tmp_path, both=np.array({'a': np.arange(3)}, dtype=object)))
    assert held['both']['a'].tolist() == [0, 1, 2]


def test_order_of_memory_does_not_matter(tmp_path):
    values = np.asfortranarray(np.arange(6).reshape(2, 3))
    assert read_npz(_saved(tmp_path, values=values))['values'].tolist() == [[0, 1, 2], [3, 4, 5]]


class _Hostile:
    def __init__(self, call, argument):
        self.call, self.argument = call, argument

    def __reduce__(self):
        return self.call, (self.argument,)


@pytest.mark.parametrize('call', [os.system, eval, exec, open, __import__])
def test_a_file_that_asks_for_more_is_refused_and_nothing_runs(tmp_path, call):
    mark = tmp_path / 'ran'
    argument = f'touch {mark}' if call is os.system else f'open({str(mark)!r}, "w")'
    path = _saved(tmp_path, bad=np.array(_Hostile(call, argument), dtype=object))
    with pytest.raises(ArchiveError, match='asks for'):
        read_npz(path)
    assert not mark.exists()


def test_numpy_itself_cannot_be_used_to_run_or_to_allocate(tmp_path):
    huge = b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I1000000000000\ntS"b"\ntR.'
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    content = b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header + huge
    path = tmp_path / 'huge.npz'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('a.npy', content)
    with pytest.raises(ArchiveError):
        read_npz(path)


def test_a_declared_size_beyond_the_content_is_refused(tmp_path):
    path = tmp_path / 'short.npy'
    np.save(path, np.arange(100))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ArchiveError, match='of 800 bytes'):
        read_npz(path)


def test_missing_empty_and_foreign_files_are_one_clear_error(tmp_path):
    with pytest.raises(ArchiveError, match='No such file'):
        read_npz(tmp_path / 'none.npz')
    for content in (b'', b'PK\x03\x04', b'\x93NUMPY', b'name,label\n'):
        (tmp_path / 'x.npz').write_bytes(content)
        with pytest.raises(ArchiveError):
            read_npz(tmp_path / 'x.npz')


def _archive() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array({'x': ['happy', 1, 2.5, None, True]}, dtype=object), b=np.arange(4))
    return buffer.getvalue()


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.integers(0, 10_000))
def test_damage_is_refused_or_harmless(tmp_path_factory, at, byte, cut):
    content = bytearray(_archive())
    content[at % len(content)] = byte
    path = tmp_path_factory.mktemp('damaged') / 'x.npz'
    path.write_bytes(bytes(content)[: len(content) - cut % 200])
    held = None
    with contextlib.suppress(ArchiveError):
        held = read_npz(path)
    assert held is None or all(isinstance(name, str) for name in held)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_pickle_is_refused_or_plain(tmp_path_factory, tail):
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    path = tmp_path_factory.mktemp('pickle') / 'x.npy'
    path.write_bytes(b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header + pickle.PROTO + b'\x04' + tail)
    with pytest.raises(ArchiveError):
        read_npz(path)


def test_the_label_files_of_the_corpora_are_read(shared_data):
    held = read_npz(shared_data / 'merbench' / 'meld-process' / 'label.npz')
    assert {key: len(value) for key, value in held.items()} == {
        'train_corpus': 9989, 'val_corpus': 1109, 'test_corpus': 2610,
    }  # fmt: skip
    assert held['test_corpus']['test_dia0_utt0'] == {'emo': 6, 'val': -10}
