"""Arrow files of features: what goes in comes out, is not loaded, and says what is wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from affekt.corpora import made_up_corpus
from affekt.errors import AffektError, CorpusError, FileError, ShapeError, TableError, UnknownNameError, ValueRangeError
from affekt.features import Features, Provenance, Store, arrow_files, check_store, require_features, write_features
from affekt.features.store import SUFFIX
from affekt.tables import require_bounded_messages

MADE = Provenance('toy', 'ab' * 32, 2, {'tool': 'test'}, ('left', 'right'), 'made up')


def _features(lengths, seed=0):
    rng = np.random.default_rng(seed)
    for number, length in enumerate(lengths):
        times = None if number % 2 else np.arange(length) / 10
        values = rng.normal(size=(length, 2)).astype(np.float32)
        yield Features(f's{seed}-{number}', values, MADE.columns, times, MADE.hash)


def _file(folder, name='shard-1-of-1'):
    return folder / f'{name}{arrow_files.SUFFIX}'


def test_values_times_names_and_provenance_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow_files, 'ROWS_AT_ONCE', 5)  # several pieces in one file
    held = list(_features([3, 1, 4, 9, 2]))
    assert write_features(_file(tmp_path), held, dataclasses.replace(MADE, missing=(('gone', 'no audio'),))) == 5
    store = Store(tmp_path)
    assert store.names == tuple(one.sample for one in held)
    assert (len(store), store.dimension, store.provenance.facts) == (5, 2, {'tool': 'test'})
    for one in held:
        found = store[one.sample]
        np.testing.assert_array_equal(found.values, one.values)
        assert (found.columns, found.recipe) == (one.columns, one.recipe)
        np.testing.assert_array_equal(found.times, one.times) if one.times is not None else None
        assert (found.times is None) == (one.times is None)
    assert store.missing == {'gone': 'no audio'}
    assert store.lengths(['s0-3', 's0-0']).tolist() == [9, 3]
    assert 'toy' in repr(store)


def test_a_matrix_follows_the_order_asked_for_across_files_and_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow_files, 'ROWS_AT_ONCE', 3)
    for number in (1, 2):
        part = dataclasses.replace(MADE, shard=(number, 2))
        write_features(_file(tmp_path, f'shard-{number}-of-2'), _features([1] * 7, seed=number), part)
    store = Store(tmp_path)
    names = ['s2-6', 's1-0', 's2-0', 's1-6', 's1-0']
    np.testing.assert_array_equal(store.matrix(names), [store.values(name)[0] for name in names])
    assert store.matrix([]).shape == (0, 2)
    drawn = np.random.default_rng(0).permutation(len(store))
    np.testing.assert_array_equal(store.rows(drawn), store.matrix([store.names[at] for at in drawn]))
    for bad in (-1, len(store)):
        with pytest.raises(ValueRangeError, match='from 0 to 13'):
            store.rows(np.array([0, bad]))


def test_a_matrix_of_sequences_is_their_mean_and_a_batch_has_a_mask(tmp_path):
    write_features(_file(tmp_path), _features([3, 1]), MADE)
    store = Store(tmp_path)
    np.testing.assert_allclose(store.matrix(['s0-0'])[0], store.values('s0-0').mean(axis=0), rtol=1e-6)
    values, keep_mask = store.batch(['s0-1', 's0-0'])
    assert keep_mask.tolist() == [[True, False, False], [True, True, True]]
    np.testing.assert_array_equal(values[1], store.values('s0-0'))


def test_values_are_views_of_the_file_and_cannot_be_written(tmp_path):
    write_features(_file(tmp_path), _features([3]), MADE)
    values = Store(tmp_path).values('s0-0')
    assert not values.flags.owndata
    with pytest.raises(ValueError, match='read-only'):
        values[0, 0] = 1.0


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named_with_sample_row_and_column_and_nothing_is_left(tmp_path, bad):
    rows = np.zeros((3, 2), dtype=np.float32)
    rows[2, 1] = bad
    with pytest.raises(ValueRangeError, match=r"in right, row 2 of sample 'a'"):
        write_features(_file(tmp_path), [Features('a', rows, MADE.columns)], MADE)
    assert list(tmp_path.iterdir()) == []


def test_wrong_shapes_and_double_names_are_refused(tmp_path):
    with pytest.raises(ShapeError, match=r"\(1, 3\) for sample 'a'"):
        write_features(_file(tmp_path), [Features('a', np.zeros((1, 3), np.float32))], MADE)
    with pytest.raises(TableError, match="'a' twice"):
        write_features(_file(tmp_path), [Features('a', np.zeros((1, 2), np.float32))] * 2, MADE)
    for values in (np.zeros(2, np.float32), np.zeros((0, 2), np.float32)):
        with pytest.raises(ShapeError, match="'a'"):
            Features('a', values)
    with pytest.raises(ShapeError, match='times'):
        Features('a', np.zeros((2, 2), np.float32), times=np.zeros(3))


def test_a_sample_without_features_is_named_with_the_reason(tmp_path):
    write_features(_file(tmp_path), _features([1]), dataclasses.replace(MADE, missing=(('gone', 'no audio'),)))
    store = Store(tmp_path)
    with pytest.raises(UnknownNameError, match="'gone': no audio"):
        store.values('gone')
    with pytest.raises(UnknownNameError, match='not extracted'):
        store.matrix(['stranger'])


def _compressed(path, batch, *, is_stream=False):
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression='zstd')
    new = pa.ipc.new_stream if is_stream else pa.ipc.new_file
    with pa.OSFile(str(path), 'wb') as file, new(file, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return path


@pytest.mark.parametrize('is_stream', [True, False])
def test_a_file_that_unfolds_to_far_more_than_its_size_is_refused_before_it_does(tmp_path, is_stream):
    import pyarrow as pa

    usual = pa.record_batch({'x': pa.array(np.random.default_rng(0).normal(size=10_000))})
    require_bounded_messages(_compressed(tmp_path / 'usual', usual, is_stream=is_stream))
    for name, values in (('zeros', pa.array(np.zeros(20_000_000))), ('nulls', pa.nulls(2_000_000_000))):
        path = _compressed(tmp_path / name, pa.record_batch({'x': values}), is_stream=is_stream)
        before = pa.total_allocated_bytes()
        with pytest.raises(ValueError, match=r'bytes that stand for 2,?0*,000,000'):
            require_bounded_messages(path)
        assert pa.total_allocated_bytes() == before
    if not is_stream:
        with pytest.raises(TableError, match='bytes that stand for'):
            Store(tmp_path / 'zeros')


def test_damaged_messages_never_end_in_anything_but_an_error(tmp_path):
    write_features(_file(tmp_path), _features([1, 2, 3]), MADE)
    whole, rng = _file(tmp_path).read_bytes(), np.random.default_rng(0)
    for turn in range(200):
        content = bytearray(whole[: int(rng.integers(len(whole)))] if turn % 4 == 0 else whole)
        for at in rng.integers(0, max(len(content), 1), 3):
            content[at : at + 1] = bytes([int(rng.integers(256))])
        (tmp_path / 'damaged').write_bytes(content)
        try:
            require_bounded_messages(tmp_path / 'damaged')
        except ValueError:
            continue


def test_a_file_that_may_not_be_read_is_not_taken_for_a_damaged_one(tmp_path, monkeypatch):
    write_features(_file(tmp_path), _features([1]), MADE)

    def refuse(path):
        raise PermissionError(13, 'Permission denied', str(path))

    monkeypatch.setattr(arrow_files, 'require_bounded_messages', refuse)
    with pytest.raises(TableError, match='allow it to be read'):
        Store(tmp_path)


def test_hidden_files_among_shards_are_left_alone(tmp_path):
    write_features(_file(tmp_path), _features([1]), MADE)
    _file(tmp_path, '._shard-1-of-1').write_bytes(b'what a file manager leaves')
    assert Store(tmp_path).names == ('s0-0',)


@pytest.mark.parametrize('other', [{'columns': ('left', 'other')}, {'dimension': 3, 'columns': ()}])
def test_shards_of_other_columns_are_refused(other, tmp_path):
    write_features(_file(tmp_path, 'a'), _features([1]), dataclasses.replace(MADE, shard=(1, 2)))
    made = dataclasses.replace(MADE, shard=(2, 2), **other)
    rows = np.ones((1, made.dimension), np.float32)
    write_features(_file(tmp_path, 'b'), [Features('b', rows, made.columns)], made)
    with pytest.raises(TableError, match=f'of 2 columns.* of {made.dimension} columns|one recipe'):
        Store(tmp_path)


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    with pytest.raises(TableError, match='without any'):
        Store(tmp_path)
    write_features(_file(tmp_path, 'a'), _features([1]), MADE)
    write_features(_file(tmp_path, 'b'), _features([1], seed=1), dataclasses.replace(MADE, hash='cd' * 32))
    with pytest.raises(TableError, match='one recipe'):
        Store(tmp_path)
    write_features(_file(tmp_path, 'b'), _features([1]), MADE)
    with pytest.raises(TableError, match='s0-0'):
        Store(tmp_path)


def test_a_missing_shard_is_named_and_what_is_there_can_be_opened(tmp_path):
    write_features(_file(tmp_path, 'shard-2-of-3'), _features([1]), dataclasses.replace(MADE, shard=(2, 3)))
    with pytest.raises(TableError, match="'1/3', '3/3'"):
        Store(tmp_path)
    assert len(Store(tmp_path, partial=True)) == 1


def test_damaged_and_foreign_files_are_refused(tmp_path):
    write_features(_file(tmp_path), _features([5]), MADE)
    whole = _file(tmp_path).read_bytes()
    for content in (b'', whole[:-200], b'ARROW1' + bytes(100)):
        _file(tmp_path).write_bytes(content)
        with pytest.raises(TableError, match='features'):
            Store(tmp_path)


def test_flipped_bytes_never_end_the_process(tmp_path, rng):
    write_features(_file(tmp_path), _features([1, 2, 3] * 10), MADE)
    whole, refused = _file(tmp_path).read_bytes(), 0
    for turn in range(300):
        at = int(rng.integers(0, len(whole) - 8))
        damaged = whole[:at] + rng.integers(0, 256, 8, dtype=np.uint8).tobytes() + whole[at + 8 :]
        path = _file(tmp_path, f'damaged-{turn}')
        path.write_bytes(damaged)
        try:
            store = Store(path)
            assert all(store[name].values.shape[1] == 2 for name in store.names)
        except AffektError:
            refused += 1
        path.unlink()
    assert refused > 50


def test_a_check_finds_zeros_constants_missing_samples_and_strangers(tmp_path):
    manifest = made_up_corpus()
    names = manifest.names
    held = [
        Features(name, np.array([[0.0, 1.0]], np.float32) * (at > 0), MADE.columns) for at, name in enumerate(names[:9])
    ]
    write_features(_file(tmp_path), [*held, Features('stranger', np.ones((1, 2), np.float32))], MADE)
    found = check_store(Store(tmp_path), manifest)
    assert found.zero == (names[0],)
    assert found.strangers == ('stranger',)
    assert list(found.missing) == list(names[9:])
    assert not found.is_sound
    with pytest.raises(CorpusError, match=f'{names[9]}: not extracted'):
        require_features(Store(tmp_path), manifest)
    require_features(Store(tmp_path), manifest.keep(lambda row: row.sample in names[:9]))


def test_a_check_counts_columns_that_never_change(tmp_path):
    held = [Features(str(at), np.array([[at, 5.0]], np.float32), MADE.columns) for at in range(4)]
    write_features(_file(tmp_path), held, MADE)
    found = check_store(Store(tmp_path))
    assert (found.constant_columns, found.rows, found.longest, found.is_sound) == (1, 4, 1, True)


def test_a_store_is_written_and_read_without_pandas(tmp_path):
    pytest.importorskip('pandas', reason='pandas is absent')
    code = (
        'import sys; from pathlib import Path; import test_store as here; '
        f'folder = Path({str(tmp_path)!r}); '
        'here.write_features(here._file(folder), here._features([1, 2]), here.MADE); '
        'store = here.Store(folder); store.matrix(store.names), store["s0-1"]; print("pandas" in sys.modules)'
    )
    ran = subprocess.run([sys.executable, '-c', code], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert ran.stdout == 'False\n', ran.stderr  # half a second and 40 MB in every worker


def test_a_pipe_is_refused_and_a_folder_of_recipes_names_them(tmp_path):
    os.mkfifo(tmp_path / 'pipe.features.arrow')
    with pytest.raises(FileError, match='pipe'):
        Store(tmp_path / 'pipe.features.arrow')
    (tmp_path / 'stores').mkdir()
    write_features(
        tmp_path / 'stores' / 'mine' / 'shard-1-of-1.features.arrow',
        [Features('a', np.ones((1, 2), np.float32))], Provenance('mine', 'x', 2, {}),
    )  # fmt: skip
    with pytest.raises(TableError, match=r"stores of several recipes: 'mine'; name one of them, such as .*mine"):
        Store(tmp_path / 'stores')


def test_a_store_states_its_modality_where_every_release_reads_it(tmp_path):
    path = tmp_path / f'mine{SUFFIX}'
    one = [Features('a', np.ones((1, 2), np.float32))]
    write_features(path, one, Provenance('mine', 'x', 2, {'tool': 'test'}, modality='video'))
    store = Store(path)
    assert (store.modality, store.provenance.modality) == ('video', 'video')
    assert store.provenance.facts == {'tool': 'test'}
    header = json.loads(pa.ipc.open_file(path).schema.metadata[b'affekt'])
    assert header['facts'] == {'tool': 'test', 'modality': 'video'}
    assert 'modality' not in header


def test_an_older_store_that_does_not_state_its_modality_has_that_of_its_recipe(tmp_path):
    one = [Features('a', np.ones((1, 2), np.float32))]
    for recipe, modality in (('hash512', 'text'), ('chinese-hubert-large-UTT', 'audio'), ('mine', None)):
        path = tmp_path / f'{recipe}{SUFFIX}'
        write_features(path, one, Provenance(recipe, 'x', 2, {}))
        assert Store(path).provenance.modality is None
        assert Store(path).modality == modality
