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
from affekt.npz import read_array, read_npz


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


@pytest.mark.filterwarnings('ignore:Duplicate name')
def test_two_arrays_of_one_name_are_refused(tmp_path):
    path = _saved(tmp_path, a=np.arange(3))
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('a.npy', archive.read('a.npy'))
    with pytest.raises(ArchiveError, match="two named 'a'"):
        read_npz(path)


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


def _of_pickle(path, content, shape=()):
    """An archive whose one array of objects is this pickle."""
    header = repr({'descr': '|O', 'fortran_order': False, 'shape': shape}).encode()
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('a.npy', b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header + content)
    return path


def _shared(levels, wrapped):
    value = ['happy'] * 2
    for _ in range(levels):
        value = wrapped(value)
    return value


@pytest.mark.parametrize(
    'wrapped', [lambda v: [v, v], lambda v: (v, v), lambda v: {'a': v, 'b': v}], ids=['lists', 'tuples', 'dicts']
)
def test_a_value_mentioned_twice_at_each_of_forty_levels_is_refused_at_once(tmp_path, wrapped):
    path = _saved(tmp_path, a=np.array({'x': _shared(40, wrapped)}, dtype=object))
    with pytest.raises(ArchiveError, match='stand for more than'):
        read_npz(path)


def test_a_value_that_is_mentioned_often_is_the_same_value_and_not_a_copy(tmp_path):
    labels = ['happy', 'sad']
    corpus = read_npz(_saved(tmp_path, a=np.array({str(n): labels for n in range(100)}, dtype=object)))['a']
    assert corpus['0'] == labels
    assert all(value is corpus['0'] for value in corpus.values())


def test_a_list_that_holds_itself_is_refused(tmp_path):
    loop = []
    loop.append(loop)
    with pytest.raises(ArchiveError, match='holds itself'):
        read_npz(_saved(tmp_path, a=np.array({'x': loop}, dtype=object)))


def test_the_number_of_a_memo_is_checked_before_a_table_is_made_for_it(tmp_path):
    with pytest.raises(ArchiveError, match='memo 134217728'):
        read_npz(_of_pickle(tmp_path / 'x.npz', b'\x80\x02]r\x00\x00\x00\x08.'))


def test_tuples_in_tuples_do_not_reach_the_hash_that_overflows(tmp_path):
    with pytest.raises(ArchiveError, match='nested too deeply'):
        read_npz(_of_pickle(tmp_path / 'x.npz', b'\x80\x02})' + b'\x85' * 200_000 + b'Ns.'))


def test_room_for_bytes_is_not_made_before_they_are_seen(tmp_path):
    with pytest.raises(ArchiveError, match='bytearray8'):
        read_npz(_of_pickle(tmp_path / 'x.npz', b'\x80\x05\x96' + (1 << 33).to_bytes(8, 'little') + b'.'))


def test_copies_of_a_shared_text_are_counted(tmp_path):
    text = b'X' + (1 << 20).to_bytes(4, 'little') + b'a' * (1 << 20)
    copies = b''.join(b'h\x00h\x01R' for _ in range(2000))
    content = b'\x80\x02](c_codecs\nencode\nq\x00' + text + b'\x85q\x01' + copies + b'e.'
    with pytest.raises(ArchiveError, match='ask for more than'):
        read_npz(_of_pickle(tmp_path / 'x.npz', content))


def test_an_archive_that_unfolds_a_thousandfold_is_refused_before_it_is_unfolded(tmp_path):
    np.savez_compressed(tmp_path / 'x.npz', a=np.zeros(200 << 20, np.uint8))
    with pytest.raises(ArchiveError, match='ask for more than'):
        read_npz(tmp_path / 'x.npz')


@pytest.mark.parametrize('shape', [(1 << 40, 0), (0, 1 << 40)])
def test_an_empty_array_with_an_endless_axis_is_refused(tmp_path, shape):
    header = repr({'descr': '<f4', 'fortran_order': False, 'shape': shape}).encode()
    (tmp_path / 'x.npy').write_bytes(b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header)
    for read in (read_npz, read_array):
        with pytest.raises(ArchiveError, match='endless'):
            read(tmp_path / 'x.npy')


def test_other_ways_of_compression_are_refused(tmp_path):
    content = io.BytesIO()
    np.save(content, np.arange(3))
    with zipfile.ZipFile(tmp_path / 'x.npz', 'w', zipfile.ZIP_BZIP2) as archive:
        archive.writestr('a.npy', content.getvalue())
    with pytest.raises(ArchiveError, match='another way'):
        read_npz(tmp_path / 'x.npz')


def test_lists_of_one_length_and_arrays_stay_elements_of_an_array_of_objects(tmp_path):
    both = np.empty(2, dtype=object)
    both[0], both[1] = ['happy', 'sad'], np.arange(2)
    read = read_npz(_saved(tmp_path, both=both))['both']
    assert read[0] == ['happy', 'sad']
    assert read[1].tolist() == [0, 1]


def test_a_folder_or_a_device_is_no_archive(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    for path in (tmp_path, tmp_path / 'pipe'):
        with pytest.raises(ArchiveError, match='check the path'):
            read_npz(path)


@pytest.mark.parametrize('mapped', [False, True])
def test_an_array_of_numbers_is_read_whole_or_refused(tmp_path, mapped):
    path = tmp_path / 'x.npy'
    np.save(path, np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    assert read_array(path, mapped=mapped).tolist() == [[0, 1, 2], [3, 4, 5]]
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ArchiveError, match='40 of 48 bytes'):
        read_array(path, mapped=mapped)
    np.save(path, np.array([{}], dtype=object))
    with pytest.raises(ArchiveError, match='Python objects'):
        read_array(path, mapped=mapped)


@pytest.mark.parametrize('name', ['dag40.npz', 'memo27.npz'])
def test_archives_of_a_few_bytes_do_not_take_gigabytes(shared_data, name):
    with pytest.raises(ArchiveError):
        read_npz(shared_data / 'faults' / 'npz' / name)
