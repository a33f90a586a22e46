"""Folders of .npy features: every form they come in, and what is wrong with them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.corpora import made_up_corpus
from affekt.errors import CorpusError, ShapeError, TableError, ValueRangeError
from affekt.features import Store, import_official, modality_of


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
    assert len(result.stderr.splitlines()) == 2


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
