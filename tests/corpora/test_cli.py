"""The verbs of corpora: what they print, in 80 columns, and their exit codes."""

from __future__ import annotations

import json

import layouts
import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.corpora import CORPORA, made_up_corpus


def _run(*words):
    return CliRunner().invoke(main, [str(word) for word in words], env={'COLUMNS': '80'})


def test_the_list_names_every_corpus_within_80_columns():
    result = _run('corpus', 'list')
    assert all(name in result.stdout for name in CORPORA)
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert set(json.loads(_run('corpus', 'list', '--json').stdout)) == set(CORPORA)


def test_an_import_says_what_is_missing_and_what_can_run(tmp_path):
    layouts.meld(tmp_path / 'release')
    result = _run('corpus', 'import', 'meld', tmp_path / 'release', '--out', tmp_path / 'm.parquet')
    assert result.exit_code == 0
    assert 'dev_sent_emo.csv is missing' in result.stdout
    assert 'cannot run' in result.stdout
    facts = json.loads(_run('corpus', 'check', tmp_path / 'm.parquet', '--json').stdout)
    assert facts['can_run'] == ['text', 'video']
    assert facts['missing_of_published'] == {'train': 9987, 'val': 1109, 'test': 2608}


def test_an_import_says_what_reading_the_table_took_for_granted(tmp_path):
    (tmp_path / 'samples.csv').write_text(',sample,category\n0,a,happy\n1,b,sad\n')
    words = ('corpus', 'import', 'folder', tmp_path, '--out', tmp_path / 'm.parquet')
    note = 'the first column of samples.csv, which counts the rows and has no name, is left out'
    assert note in ' '.join(_run(*words).stderr.split())
    assert note in json.loads(_run(*words, '--json').stdout)['notes']


def test_a_check_ends_with_1_on_a_leak_and_0_when_it_is_accepted(tmp_path):
    layouts.meld(tmp_path / 'release')
    _run('corpus', 'import', 'meld', tmp_path / 'release', '--out', tmp_path / 'm.parquet')
    result = _run('corpus', 'check', tmp_path / 'm.parquet')
    assert result.exit_code == 1
    assert 'Ross' in result.stdout or 'Monica' in result.stdout
    assert _run('corpus', 'check', tmp_path / 'm.parquet', '--accept', 'speaker', '--accept', 'window').exit_code == 0


def test_a_check_finds_files_that_are_gone(tmp_path):
    made_up_corpus(media=tmp_path / 'sound').save(tmp_path / 'm.parquet')
    assert _run('corpus', 'check', tmp_path / 'm.parquet').exit_code == 0
    sound = tmp_path / 'sound'
    (sound / 'pair01_d1_t0.wav').unlink()
    (sound / 'pair01_d1_t1.wav').write_bytes(b'')
    (sound / 'pair01_d1_t2.wav').write_text('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 44100\n')
    result = _run('corpus', 'check', tmp_path / 'm.parquet')
    assert result.exit_code == 1
    assert '3 files are missing, empty or not fetched by Git LFS' in result.stdout


@pytest.mark.parametrize('by', ['split', 'fold'])
def test_the_made_up_corpus_is_shown_and_checked(tmp_path, by):
    made_up_corpus().save(tmp_path / 'm.parquet')
    shown = _run('corpus', 'show', tmp_path / 'm.parquet').stdout
    assert 'made up, 144 samples' in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert _run('corpus', 'check', tmp_path / 'm.parquet', '--by', by).exit_code == 0


@pytest.mark.parametrize(
    'words', [('import', 'meld', '.', '--out', 'x'), ('import', 'x', '.', '--out', 'x'), ('show', 'x')]
)
def test_bad_input_is_two_lines_and_exit_code_2(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = _run('corpus', *words)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize('verb', ['list', 'import', 'check', 'folds', 'show'])
def test_help_fits_80_columns(verb):
    assert max(map(len, _run('corpus', verb, '--help').stdout.splitlines())) <= 80


def test_folds_are_written_into_a_manifest_and_pass_the_check(tmp_path):
    made_up_corpus().save(tmp_path / 'm.parquet')
    words = ('corpus', 'folds', tmp_path / 'm.parquet', '--count', '4', '--by', 'speaker', '--by', 'dialogue')
    result = _run(*words, '--out', tmp_path / 'f.parquet', '--json')
    assert json.loads(result.stdout)['sizes'] == [36] * 4
    assert _run('corpus', 'check', tmp_path / 'f.parquet', '--by', 'fold').exit_code == 0
    assert 'independent by speaker and dialogue' in _run('corpus', 'check', tmp_path / 'f.parquet').stdout
