"""Features that others made: every form they come in, and what is wrong with them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.corpora import made_up_corpus
from affekt.errors import ArchiveError, CorpusError, ShapeError, TableError, UnknownNameError, ValueRangeError
from affekt.features import Store, import_features, import_official, modality_of


def _folder(tmp_path, name='toy-large-UTT', **arrays):
    folder = tmp_path / 'features' / name
    folder.mkdir(parents=True)
    for sample, values in arrays.items():
        np.save(folder / f'{sample}.npy', values)
    return folder


def test_utterances_are_squeezed_and_known_by_model_and_level(tmp_path):
    folder = _folder(tmp_path, a=np.arange(3.0), b=np.arange(3.0)[None], c=np.arange(3.0)[None, :, None])
    path, missing = import_official(folder, tmp_path / 'out')
    store = Store(path)
    np.testing.assert_array_equal(store.matrix(['a', 'b', 'c']), np.tile(np.arange(3.0), (3, 1)))
    facts = store.provenance.facts
    assert (facts['model'], facts['level'], missing) == ('toy-large', 'UTT', ())


def test_frames_may_be_one_array_or_a_folder_of_files_in_order(tmp_path):
    folder = _folder(tmp_path, 'manet_FRA', a=np.arange(6.0).reshape(3, 2))
    (folder / 'b').mkdir()
    for frame in (2, 0, 1):
        np.save(folder / 'b' / f'{frame:03d}.npy', np.array([[2.0 * frame, 2.0 * frame + 1]]))
    path, _ = import_official(folder, tmp_path / 'out', rate_hz=25.0)
    store = Store(path)
    np.testing.assert_array_equal(store.values('a'), store.values('b'))
    np.testing.assert_allclose(store['a'].times, [0.02, 0.06, 0.10])


def test_two_files_of_one_sample_are_refused(tmp_path):
    folder = _folder(tmp_path, 'manet_FRA', a=np.arange(6.0).reshape(3, 2))
    (folder / 'a').mkdir()
    np.save(folder / 'a' / '0.npy', np.arange(2.0))
    with pytest.raises(TableError, match="two of 'a'"):
        import_official(folder, tmp_path / 'out', rate_hz=25.0)
    (tmp_path / 'openface').mkdir()
    for ending in ('csv', 'CSV'):
        (tmp_path / 'openface' / f'a.{ending}').write_text('frame,AU01\n1,8\n')
    if len(list((tmp_path / 'openface').iterdir())) > 1:  # a file system that tells case apart
        with pytest.raises(TableError, match="two of 'a'"):
            _imported(tmp_path / 'openface', tmp_path)


def test_frames_that_are_counted_come_in_the_order_of_their_numbers(tmp_path):
    (tmp_path / 'mine-FRA' / 'a').mkdir(parents=True)
    for number in (10, 9, 1, 2):
        np.save(tmp_path / 'mine-FRA' / 'a' / f'frame_{number}.npy', np.full(2, number))
    store, _ = _imported(tmp_path / 'mine-FRA', tmp_path)
    assert store.values('a')[:, 0].tolist() == [1, 2, 9, 10]


def test_wanted_samples_without_a_file_and_empty_arrays_are_named(tmp_path):
    folder = _folder(tmp_path, a=np.ones(3), empty=np.zeros((0, 3)), other=np.ones(3))
    path, missing = import_official(folder, tmp_path / 'out', names=['a', 'empty', 'gone'])
    assert dict(missing) == {'empty': 'an empty array', 'gone': 'no file'}
    assert Store(path).names == ('a',)
    assert Store(path).missing == dict(missing)


def test_damage_is_named(tmp_path):
    folder = _folder(tmp_path, a=np.ones(3), b=np.ones(4))
    with pytest.raises(ShapeError, match=r'b \(4\)'):
        import_official(folder, tmp_path / 'out')
    np.save(folder / 'b.npy', np.array([1.0, np.nan, 1.0]))
    with pytest.raises(ValueRangeError, match="sample 'b'"):
        import_official(folder, tmp_path / 'out')
    np.save(folder / 'b.npy', np.array([{'a': 1}], dtype=object))
    with pytest.raises(TableError, match=r'b\.npy'):
        import_official(folder, tmp_path / 'out')
    (folder / 'b.npy').write_bytes(b'\x93NUMPY')
    with pytest.raises(TableError, match=r'b\.npy'):
        import_official(folder, tmp_path / 'out')
    with pytest.raises(CorpusError, match='one model'):
        import_official(tmp_path, tmp_path / 'out')


def test_three_dimensions_and_frames_of_different_sizes_are_refused(tmp_path):
    folder = _folder(tmp_path, a=np.ones((2, 3, 4)))
    with pytest.raises(ShapeError, match=r'\(2, 3, 4\)'):
        import_official(folder, tmp_path / 'out')
    (folder / 'a.npy').unlink()
    (folder / 'a').mkdir()
    for frame, size in enumerate((3, 4)):
        np.save(folder / 'a' / f'{frame}.npy', np.ones(size))
    with pytest.raises(ShapeError):
        import_official(folder, tmp_path / 'out')


def test_the_hash_follows_the_content(tmp_path):
    folder = _folder(tmp_path, a=np.ones(3))
    first = Store(import_official(folder, tmp_path / 'out')[0]).provenance.hash
    np.save(folder / 'a.npy', np.ones(3) * 2)
    assert Store(import_official(folder, tmp_path / 'out')[0]).provenance.hash != first


def _run(*words):
    return CliRunner().invoke(main, [str(word) for word in words], env={'COLUMNS': '80'})


def test_the_command_line_extracts_imports_and_checks(tmp_path):
    manifest = made_up_corpus()
    manifest.save(tmp_path / 'm.parquet')
    made = _run('features', 'extract', tmp_path / 'm.parquet', '--recipe', 'hash512', '--out', tmp_path / 'out')
    assert made.exit_code == 0
    assert '144 samples' in made.stdout
    assert _run('features', 'check', tmp_path / 'out' / 'hash512', '--manifest', tmp_path / 'm.parquet').exit_code == 0
    arrays = {name: np.ones(4) * at for at, name in enumerate(manifest.names[:3])}
    folder = _folder(tmp_path, **arrays)
    result = _run('features', 'import', folder, '--out', tmp_path / 'out', '--manifest', tmp_path / 'm.parquet')
    assert result.exit_code == 0
    assert 'and 136 more' in result.stdout
    told = json.loads(_run('features', 'check', tmp_path / 'out' / 'toy-large-UTT', '--json').stdout)
    assert (told['samples'], told['dimension'], len(told['missing'])) == (3, 4, 141)


@pytest.mark.parametrize('verb', ['list', 'extract', 'import', 'check'])
def test_help_fits_80_columns(verb):
    assert max(map(len, _run('features', verb, '--help').stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    'words',
    [
        ('extract', 'none.parquet', '--recipe', 'hash512', '--out', 'x'),
        ('import', 'none', '--out', 'x'),
        ('check', 'none'),
    ],
)
def test_bad_input_is_two_lines_and_exit_code_2(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = _run('features', *words)
    assert result.exit_code == 2
    assert len([line for line in result.stderr.splitlines() if not line.endswith('loading …')]) == 2


def test_a_shard_that_is_none_is_refused(tmp_path):
    made_up_corpus().save(tmp_path / 'm.parquet')
    words = ('features', 'extract', tmp_path / 'm.parquet', '--recipe', 'hash512', '--out', tmp_path, '--shard', '5/4')
    assert _run(*words).exit_code == 2


def test_the_example_on_the_page_of_corpora_runs(tmp_path, monkeypatch):
    page = Path(__file__).resolve().parents[2] / 'docs' / 'corpora.md'
    (example,) = re.findall(r'```python\n(.*?)```', page.read_text(), flags=re.S)
    monkeypatch.chdir(tmp_path)
    held = {}
    exec(compile(example, 'corpora.md', 'exec'), held)
    assert held['store'].matrix(held['manifest'].names).shape == (144, 512)


def test_a_name_tells_what_a_store_was_made_of():
    names = {
        'minilm-utt-english': 'text', 'bert-base-chinese-utt-chinese': 'text', 'chinese-hubert-large-UTT': 'audio',
        'chinese-macbert-large-4-FRA': 'text', 'manet_UTT': 'video', 'acoustics-frm': 'audio', 'mine': None,
    }  # fmt: skip
    assert {name: modality_of(name) for name in names} == names


def _imported(given, tmp_path, **more):
    made = import_features(given, tmp_path / 'out', **more)
    return Store(made.path), made


def test_a_column_of_numbers_is_rows_of_one_column_and_in_a_folder_of_utterances_one_row(tmp_path):
    pitch = np.arange(7.0)[:, None]
    store, _ = _imported(_folder(tmp_path, 'pitch-FRA', a=pitch, b=pitch[:3]), tmp_path)
    assert (store.dimension, store.lengths(['a', 'b']).tolist()) == (1, [7, 3])
    np.testing.assert_array_equal(store.values('a'), pitch)
    store, _ = _imported(_folder(tmp_path, 'pitch-UTT', a=pitch, b=pitch), tmp_path)
    assert store.values('a').shape == (1, 7)


def test_sequences_of_one_axis_are_told_how_they_are_taken(tmp_path):
    _, made = _imported(_folder(tmp_path, 'pitch-FRA', a=np.ones(7)), tmp_path)
    assert any('save them as (T, 1)' in note for note in made.notes)
    with pytest.raises(ShapeError, match=r'\(T, 1\) in a folder …-FRA'):
        _imported(_folder(tmp_path, 'loud-FRA', a=np.ones(7), b=np.ones(9)), tmp_path)


@pytest.mark.parametrize(
    ('values', 'error', 'said'),
    [
        ([[1.0, 2.0], [3.0, 1e39]], ValueRangeError, r"1e\+39 in row 1, column 1 of sample 'a' in .*a\.npy"),
        ([[1.0, np.inf]], ValueRangeError, r"inf in row 0, column 1 of sample 'a'"),
        (np.array([1 + 2j]), TableError, 'real and imaginary'),
        (np.array([True]), TableError, 'astype'),
        (np.array(['1.0']), TableError, 'astype'),
        (np.array([{'a': 1}]), TableError, 'one array of numbers for each sample'),
    ],
    ids=['too large', 'infinite', 'complex', 'boolean', 'text', 'objects'],
)
def test_numbers_that_do_not_fit_are_refused_with_file_and_place(values, error, said, tmp_path):
    with pytest.raises(error, match=said):
        _imported(_folder(tmp_path, a=np.asarray(values)), tmp_path)


def test_whole_numbers_that_lose_digits_are_noted(tmp_path):
    _, made = _imported(_folder(tmp_path, a=np.array([1, (1 << 24) + 1])), tmp_path)
    assert any('rounded' in note for note in made.notes)
    _, made = _imported(_folder(tmp_path, 'small-UTT', a=np.array([1, 2], np.int16)), tmp_path)
    assert not made.notes


def test_a_folder_of_recipes_is_not_one_recipe(tmp_path):
    for name in ('hubert-UTT', 'manet_FRA'):
        _folder(tmp_path, name, s1=np.ones(3), s2=np.ones(3))
    with pytest.raises(CorpusError, match=r'import each by itself, such as .*hubert-UTT'):
        _imported(tmp_path / 'features', tmp_path)
    for name in ('x/one', 'x/two'):  # by their content, where names do not tell
        _folder(tmp_path, name, happy_01=np.ones(3), sad_01=np.ones(3))
    with pytest.raises(CorpusError, match='import each by itself'):
        _imported(tmp_path / 'features' / 'x', tmp_path)
    with pytest.raises(CorpusError, match='import each by itself'):
        _imported(tmp_path / 'features' / 'x', tmp_path, names=['happy_01'])
    store, _ = _imported(tmp_path / 'features' / 'x', tmp_path, names=['one', 'two'])
    assert store.lengths(['one', 'two']).tolist() == [2, 2]


def test_names_that_differ_in_endings_spaces_case_or_form_are_found_and_told(tmp_path):
    folder = _folder(tmp_path, **{'a': np.ones(2), 'B ': np.ones(2), 'cafe\u0301': np.ones(2)})
    names = ['clips/a.mp4', 'b', 'caf\u00e9', 'gone']
    store, made = _imported(folder, tmp_path, names=names)
    assert store.names == tuple(names[:3])
    assert dict(made.missing) == {'gone': 'no file'}
    assert len(made.notes) == 3
    assert any('folder or ending' in note for note in made.notes)


def test_names_that_look_the_same_are_refused(tmp_path):
    folder = _folder(tmp_path, **{'a': np.ones(2), 'a ': np.ones(2)})
    with pytest.raises(TableError, match='look the same'):
        _imported(folder, tmp_path)


def test_features_of_another_corpus_are_not_taken_for_these(tmp_path):
    with pytest.raises(CorpusError, match=r"1 others \('a'\), none of 'x'"):
        _imported(_folder(tmp_path, a=np.ones(2)), tmp_path, names=['x'])


def test_a_table_gives_features_and_never_labels(tmp_path):
    (tmp_path / 'mine.csv').write_text('name,emotion,valence,f1,f2\na,happy,0.5,1,2\nb,sad,-0.5,3,4.5\n')
    store, made = _imported(tmp_path / 'mine.csv', tmp_path, modality='audio')
    assert (store.provenance.columns, store.modality, store.path.parent.name) == (('f1', 'f2'), 'audio', 'mine')
    np.testing.assert_array_equal(store.matrix(['b', 'a']), [[3, 4.5], [1, 2]])
    assert any("'emotion', 'valence'" in note for note in made.notes)


@pytest.mark.parametrize(
    'header',
    ['label_id', 'label_ids', 'Labels', 'Emotion Code', 'speakerID', 'valence', 'fold', 'y_true', 'ids', 'faceIndex'],
)
def test_a_column_that_is_known_beforehand_is_no_feature(header, tmp_path):
    (tmp_path / 'mine.csv').write_text(f'name,f1,{header}\na,1,3\nb,2,4\n')
    store, made = _imported(tmp_path / 'mine.csv', tmp_path)
    assert store.provenance.columns == ('f1',)
    assert made.notes == (f'columns that are no features, left out: {header!r}',)


def test_rows_in_time_of_a_table_are_one_sample(tmp_path):
    (tmp_path / 'f.csv').write_text('name,time,f\na,0.1,1\na,0.2,2\nb,0.1,3\n')
    store, _ = _imported(tmp_path / 'f.csv', tmp_path)
    np.testing.assert_array_equal(store['a'].values, [[1], [2]])
    np.testing.assert_allclose(store['a'].times, [0.1, 0.2])


@pytest.mark.parametrize(
    ('text', 'error', 'said'),
    [
        ('name,f\na,1\nb,2\nc,3\na,4\n', TableError, "'a' more than once"),
        ('name,f\na,1\na,1\n', TableError, 'each row the same'),
        ('name,f\na,1\nb,\n', ValueRangeError, "every cell of column 'f'; got nothing in row 3 of f.csv"),
        ('name,f\na,1\nb,x\n', ValueRangeError, "got 'x' in row 3"),
        ('name,f\na,1\nb,nan\n', ValueRangeError, "nan in row 0, column 0 of sample 'b'|finite"),
        ('name,f\n,1\n', TableError, 'name in every row'),
        ('f,g\n1,2\n', TableError, 'names of the samples'),
        ('name,emotion\na,happy\n', TableError, 'columns of numbers'),
        ('name,time,f\na,2,1\na,1,1\n', TableError, 'order of time'),
        ('name,frame,f\na,1,1\na,10,3\na,2,2\n', TableError, 'order of frames'),
        ('name,frame,time,f\na,1,0,1\na,2,,2\n', ValueRangeError, "column 'time'; got nothing in row 3"),
        ('name,time,f\na,0,1\na,nan,2\na,-5,2\n', ValueRangeError, "column 'time'; got 'nan' in row 3"),
    ],
)
def test_tables_that_say_something_else_are_refused_with_the_place(text, error, said, tmp_path):
    (tmp_path / 'f.csv').write_text(text)
    with pytest.raises(error, match=said):
        _imported(tmp_path / 'f.csv', tmp_path)


def test_parquet_and_archives_are_read_by_name(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    rows = pa.table({'id': ['a', 'b'], 'embedding': [[1.0, 2.0], [3.0, 4.0]]})
    parquet.write_table(rows, tmp_path / 'p.parquet')
    np.savez(tmp_path / 'by_name.npz', a=np.array([1.0, 2]), b=np.array([3.0, 4]))
    np.savez(tmp_path / 'beside.npz', names=np.array(['a', 'b']), features=np.array([[1.0, 2], [3, 4]]))
    for name in ('p.parquet', 'by_name.npz', 'beside.npz'):
        store, _ = _imported(tmp_path / name, tmp_path)
        np.testing.assert_array_equal(store.matrix(['a', 'b']), [[1, 2], [3, 4]])
    np.savez(tmp_path / 'labelled.npz', id=np.array([b'a', b'b']), X=np.array([[1.0, 2], [3, 4]]), y=np.array([0, 1]))
    store, made = _imported(tmp_path / 'labelled.npz', tmp_path)
    assert store.names == ('a', 'b')
    assert made.notes == ("arrays that are no features, left out: 'y'",)
    nameless = (
        {'features': np.ones((2, 3))},
        {'arr_0': np.ones(2), 'arr_1': np.ones(2)},
        {'X': np.ones(2), 'y': np.ones(2)},
    )
    for arrays in nameless:
        np.savez(tmp_path / 'nameless.npz', **arrays)
        with pytest.raises(ArchiveError, match='by name, not by order'):
            _imported(tmp_path / 'nameless.npz', tmp_path)
    np.save(tmp_path / 'nameless.npy', np.ones(3))
    with pytest.raises(ArchiveError, match='by name, not by order'):
        _imported(tmp_path / 'nameless.npy', tmp_path)


@pytest.mark.parametrize('header', ['label_ids', 'labels', 'emotions', 'ids', 'index', 'row_idx', 'yTrue', 'classes'])
def test_whole_numbers_of_an_archive_that_tell_labels_or_rows_are_no_features(header, tmp_path):
    features = np.array([[1.0, 2], [3, 4]])
    beside = {header: np.array([0, 1])}
    np.savez(tmp_path / 'a.npz', names=np.array(['a', 'b']), features=features, **beside)
    store, made = _imported(tmp_path / 'a.npz', tmp_path)
    np.testing.assert_array_equal(store.matrix(['a', 'b']), features)
    assert made.notes == (f'arrays that are no features, left out: {header!r}',)
    if header != 'ids':
        np.savez(tmp_path / 'b.npz', features=np.array([1.0, 2]), **beside)
        with pytest.raises(ArchiveError, match='by name, not by order'):
            _imported(tmp_path / 'b.npz', tmp_path)


def test_whole_numbers_under_ids_name_the_samples_where_nothing_else_does(tmp_path):
    np.savez(
        tmp_path / 'a.npz', ids=np.array([7, 9]), features=np.array([[1.0, 2], [3, 4]]), label_ids=np.array([0, 1])
    )
    store, made = _imported(tmp_path / 'a.npz', tmp_path)
    np.testing.assert_array_equal(store.matrix(['9', '7']), [[3, 4], [1, 2]])
    assert made.notes == ("arrays that are no features, left out: 'label_ids'",)


def test_labels_as_texts_are_not_taken_for_names(tmp_path):
    labels = np.array(['happy', 'sad'])
    np.savez(tmp_path / 'a.npz', labels=labels, names=np.array(['a', 'b']), features=np.array([[1.0, 2], [3, 4]]))
    store, _ = _imported(tmp_path / 'a.npz', tmp_path)
    assert store.names == ('a', 'b')
    np.savez(tmp_path / 'b.npz', labels=labels, features=np.array([[1.0, 2], [3, 4]]))
    with pytest.raises(ArchiveError, match='by name, not by order'):
        _imported(tmp_path / 'b.npz', tmp_path)


def test_numbers_whose_header_only_resembles_a_label_stay_features(tmp_path):
    (tmp_path / 'f.csv').write_text('name,emotion_0,class_prob,spectral_index,group_delay\na,1,2,0.5,3\nb,0,1,0.7,4\n')
    store, _ = _imported(tmp_path / 'f.csv', tmp_path)
    assert store.provenance.columns == ('emotion_0', 'class_prob', 'spectral_index', 'group_delay')


def test_a_folder_of_tables_is_one_sample_each(tmp_path):
    (tmp_path / 'openface').mkdir()
    for name, rows in (('a', '1,0.0,5\n2,0.1,6\n'), ('b', '1,0.0,7\n')):
        (tmp_path / 'openface' / f'{name}.csv').write_text('frame,timestamp,AU01\n' + rows)
    store, _ = _imported(tmp_path / 'openface', tmp_path)
    np.testing.assert_array_equal(store.values('a'), [[5], [6]])
    np.testing.assert_allclose(store['a'].times, [0.0, 0.1])
    (tmp_path / 'openface' / 'c.csv').write_text('frame,AU01\n1,8\n')
    _, made = _imported(tmp_path / 'openface', tmp_path / 'again')
    assert any('times left out, since 1 file' in note for note in made.notes)
    (tmp_path / 'openface' / 'c.csv').write_text('frame,timestamp,AU02\n1,0,1\n')
    with pytest.raises(ShapeError, match=r'c\.csv'):
        _imported(tmp_path / 'openface', tmp_path)


def _saved_dataset(folder, columns, file='data-00000-of-00001.arrow'):
    import pyarrow as pa

    folder.mkdir(parents=True)
    table = pa.table(columns)
    with pa.OSFile(str(folder / 'data-00000-of-00001.arrow'), 'wb') as out, pa.ipc.new_stream(out, table.schema) as to:
        to.write_table(table)
    (folder / 'state.json').write_text(json.dumps({'_data_files': [{'filename': file}]}))
    return folder


def test_a_dataset_that_save_to_disk_wrote_is_read(tmp_path):
    frames = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]]]
    store, _ = _imported(_saved_dataset(tmp_path / 'hf', {'id': ['a', 'b'], 'x': frames}), tmp_path)
    np.testing.assert_array_equal(store.values('a'), frames[0])
    for split, name in (('train', 'a'), ('test', 'b')):
        _saved_dataset(tmp_path / 'splits' / split, {'id': [name], 'x': [[1.0, 2.0]], 'label': [1]})
    (tmp_path / 'splits' / 'dataset_dict.json').write_text('{"splits": ["train", "test"]}')
    assert _imported(tmp_path / 'splits', tmp_path)[0].names == ('a', 'b')
    outside = _saved_dataset(tmp_path / 'bad', {'id': ['a'], 'x': [[1.0]]}, file='../hf/data-00000-of-00001.arrow')
    with pytest.raises(TableError, match='names of files in'):
        _imported(outside, tmp_path)


@pytest.mark.parametrize(
    ('columns', 'message'),
    [
        ({'id': ['a', None], 'x': [1.0, 2.0]}, 'a name in every row'),
        ({'id': ['a', 'a '], 'x': [1.0, 1.0]}, "'a' more than once"),
        ({'id': ['a', 'b'], 'x': [['p', 'q'], ['r', 's']]}, 'texts in'),
    ],
)
def test_a_dataset_without_names_or_numbers_is_refused(columns, message, tmp_path):
    with pytest.raises(TableError, match=message):
        _imported(_saved_dataset(tmp_path / 'hf', columns), tmp_path)


def test_texts_that_many_cells_share_are_not_written_out(tmp_path):
    import pyarrow as pa

    names = [f's{at}' for at in range(50_000)]
    shared = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(names), np.int32)), pa.array(['x' * 1_000_000]))
    folder = _saved_dataset(tmp_path / 'hf', {'id': names, 'x': np.arange(50_000.0), 'long': shared})
    store, _ = _imported(folder, tmp_path)  # written out they would take 50 GB
    assert len(store) == 50_000
    inside = pa.ListArray.from_arrays(pa.array([0, len(names)], pa.int32()), shared)
    with pytest.raises(TableError, match="types that are not read: 'long'"):
        _imported(_saved_dataset(tmp_path / 'inside', {'id': ['a'], 'long': inside}), tmp_path)


@pytest.mark.parametrize('content', ['{"_data_files": 3}', '{"_data_files": [3]}', '[]', '{"_data_files": []}'])
def test_settings_of_a_dataset_that_say_something_else_are_refused(content, tmp_path):
    (tmp_path / 'hf').mkdir()
    (tmp_path / 'hf' / 'state.json').write_text(content)
    with pytest.raises((TableError, CorpusError)):
        _imported(tmp_path / 'hf', tmp_path)


@pytest.mark.parametrize('name', ['x.pkl', 'x.pt', 'x.h5', 'x.mat', 'x.safetensors'])
def test_files_that_are_never_opened_say_in_three_lines_how_to_save_them(name, tmp_path):
    (tmp_path / name).write_bytes(b'\x80\x04.')
    result = _run('features', 'import', tmp_path / name, '--out', tmp_path / 'out')
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 5
    assert 'numpy.save(f"mine/{name}.npy"' in lines[-1]
    (tmp_path / 'folder').mkdir()
    (tmp_path / name).rename(tmp_path / 'folder' / name)
    with pytest.raises(TableError, match='never opened'):
        _imported(tmp_path / 'folder', tmp_path)


def test_a_pickle_by_another_name_is_not_opened(tmp_path):
    folder = _folder(tmp_path, a=np.ones(2))
    (folder / 'b.npy').write_bytes(b'\x80\x04}.')
    with pytest.raises(TableError, match='never opened'):
        _imported(folder, tmp_path)


def test_the_modality_is_remembered_and_a_strange_one_refused(tmp_path):
    folder = _folder(tmp_path, 'mine', a=np.ones(2))
    store, made = _imported(folder, tmp_path, modality='video')
    assert (store.modality, made.modality) == ('video', 'video')
    assert Store(import_official(folder, tmp_path / 'other')[0]).modality is None
    with pytest.raises(UnknownNameError):
        _imported(folder, tmp_path, modality='sound')
    assert 'name it with --modality' in _run('features', 'import', folder, '--out', tmp_path / 'third').stdout


def test_a_check_says_how_names_differ(tmp_path):
    manifest = made_up_corpus()
    manifest.save(tmp_path / 'm.parquet')
    arrays = {f'{name}.mp4': np.ones(2) * at for at, name in enumerate(manifest.names)}
    store, _ = _imported(_folder(tmp_path, **arrays), tmp_path)
    result = _run('features', 'check', store.path.parent, '--manifest', tmp_path / 'm.parquet')
    assert result.exit_code == 1
    assert 'names differ in folder or ending; import them again with --manifest' in result.stdout


def test_features_of_something_else_that_is_called_alike_are_not_written_over(tmp_path):
    (tmp_path / 'mine.csv').write_text('name,a\nx,1\ny,2\n')
    np.savez(tmp_path / 'mine.npz', names=np.array(['x', 'y']), features=np.ones((2, 3)))
    first = import_features(tmp_path / 'mine.csv', tmp_path / 'out')
    content = first.path.read_bytes()
    with pytest.raises(CorpusError, match=r'no other features in .*mine'):
        import_features(tmp_path / 'mine.npz', tmp_path / 'out')
    assert first.path.read_bytes() == content
    (tmp_path / 'mine.csv').write_text('name,a\nx,3\ny,4\nz,5\n')
    assert Store(import_features(tmp_path / 'mine.csv', tmp_path / 'out').path).names == ('x', 'y', 'z')
    (tmp_path / 'mine.csv').write_text('name,a\nother,3\n')
    with pytest.raises(CorpusError, match=r'from mine\.csv with other content'):
        import_features(tmp_path / 'mine.csv', tmp_path / 'out')
