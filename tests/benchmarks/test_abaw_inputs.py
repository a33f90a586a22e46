"""What ABAW is run on: a corpus that is filmed, imported and extracted here, and the command that does all of it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from affekt.benchmarks import abaw_inputs, made_up_inputs, unlabelled_inputs
from affekt.cli import main
from affekt.corpora import AffWild2Settings
from affekt.errors import LeakError, TableError, UnknownNameError

TINY = AffWild2Settings(videos=5, seconds=0.4, rate_hz=10, size=32)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp('made_up')
    made_up_inputs(where, TINY, recipes=('acoustics-frm',))
    return where


def test_a_made_up_corpus_is_imported_with_its_key_apart(folder):
    inputs = made_up_inputs(folder, TINY, recipes=('acoustics-frm',))  # the second time all is there
    partitions = {each.video: each.partition for each in inputs.table}
    assert partitions == {
        'video000': 'train', 'video001': 'train', 'video002_left': 'train', 'video002_right': 'train',
        'video003': 'val', 'video004': 'test',
    }  # fmt: skip
    assert set(inputs.clock.values()) == {10.0}
    test = inputs.table['video004']
    assert (test.frames, test.tasks) == (4, ())  # counted in the video, without labels
    assert inputs.truth['video004'].tasks == ('expression', 'affect', 'units')
    assert inputs.curves['video004'].affect == pytest.approx(inputs.truth['video004'].affect, abs=0.3)
    assert inputs.shared == ('acoustics',)


def test_files_of_a_corpus_are_opened_by_name(folder):
    store = folder / 'features' / 'acoustics-frm'
    inputs = abaw_inputs(folder / 'corpus.parquet', [f'sound={store}'], key=folder / 'corpus' / 'key')
    assert list(inputs.features) == ['sound']
    assert inputs.table.names == made_up_inputs(folder, TINY, recipes=('acoustics-frm',)).table.names
    with pytest.raises(UnknownNameError, match='two of'):
        abaw_inputs(folder / 'corpus.parquet', [str(store), str(store)])
    with pytest.raises(UnknownNameError, match='store'):
        abaw_inputs(folder / 'corpus.parquet', [])


def test_videos_to_guess_for_are_counted_and_those_that_judge_are_refused(folder, tmp_path):
    from affekt.corpora import Manifest

    store = str(folder / 'features' / 'acoustics-frm')
    with pytest.raises(LeakError, match='video003'):
        unlabelled_inputs(folder / 'corpus.parquet', [store])
    whole = Manifest.load(folder / 'corpus.parquet')
    training = whole.where(split='train')
    training.save(tmp_path / 'more.parquet')
    more = unlabelled_inputs(tmp_path / 'more.parquet', [store])
    assert next((each.video, each.frames, each.tasks) for each in more.labels) == ('video000', 4, ())
    assert set(more.clock.values()) == {10.0}


def test_labels_of_another_corpus_are_refused(folder, tmp_path):
    manifest = tmp_path / 'corpus.parquet'
    shutil.copy(folder / 'corpus.parquet', manifest)
    with pytest.raises(TableError):
        abaw_inputs(manifest, [str(folder / 'features' / 'acoustics-frm')])


def test_the_command_trains_scores_and_saves(folder, tmp_path):
    pytest.importorskip('torch')
    out = tmp_path / 'run'
    run = CliRunner().invoke(
        main,
        ['bench', 'abaw', '--corpus', str(folder / 'corpus.parquet'), '--features',
         str(folder / 'features' / 'acoustics-frm'), '--key', str(folder / 'corpus' / 'key'), '--task', 'va',
         '--model', 'convolution', '--window', '4', '--stride', '2', '--epochs', '1', '--hidden', '4',
         '--resamples', '20', '--folds', '2', '--clock', 'acoustics=mean', '--out', str(out)],
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    assert 'Folds, without smoothing' in run.output
    assert 'Valence and arousal' in run.output
    assert max(map(len, run.output.splitlines())) <= max(80, len(str(out)) + 20)
    submission = (out / 'submissions' / 'va-convolution.txt').read_text().splitlines()
    assert submission[0] == 'image_location,valence,arousal'
    assert [line.split(',')[0] for line in submission[1:]] == [f'video004/{n:05d}.jpg' for n in range(1, 5)]
    facts = json.loads((out / 'abaw.json').read_text())
    assert [row['system'] for row in facts['rows']] == ['constant', 'mean', 'per_frame', 'convolution']
    assert np.isfinite(facts['rows'][-1]['scores']['test']['affect_ccc'][0])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ([], '--corpus and --features, or --made-up'),
        (['--made-up'], '--out'),
        (['--made-up', '--out', 'x', '--corpus', 'y'], '--corpus'),
        (['--made-up', '--out', 'x', '--key', 'y'], '--key'),
        (['--corpus', 'x', '--features', 'y', '--task', 'love'], 'love'),
        (['--corpus', 'x', '--features', 'y', '--task', 'va,va'], 'once'),
        (['--corpus', 'x', '--features', 'y', '--model', 'convolutoin'], "did you mean 'convolution'"),
        (['--corpus', 'x', '--features', 'y', '--seed', '-1'], '--seed'),
        (['--corpus', 'x', '--features', 'y', '--clock', 'laerned'], "did you mean 'learned'"),
        (['--corpus', 'x', '--features', 'y', '--clock', 'mean,faces=learned'], 'name the feature'),
        (['--corpus', 'x', '--features', 'y', '--unlabelled', 'z'], '--pseudo-labels'),
        (['--corpus', 'x', '--features', 'y', '--pseudo-labels', '--unlabelled', 'z'], '--unlabelled-features'),
        (['--corpus', 'x', '--features', 'y', '--labelled', '1.5'], 'labelled'),
        (['--corpus', 'x', '--features', 'y', '--loss', 'focal'], "did you mean 'focal='"),
        (['--corpus', 'x', '--features', 'y', '--loss', 'focl=2'], "did you mean 'focal'"),
        (['--corpus', 'x', '--features', 'y', '--loss', 'focal=1,focal=2'], 'each name once'),
        (['--corpus', 'x', '--features', 'y', '--loss', 'focal=much'], 'a number for focal'),
        (['--corpus', 'x', '--features', 'y', '--videos', '40'], '--videos goes with --made-up'),
        (['--corpus', 'x', '--features', 'y', '--portraits', 'z'], '--portraits goes with --made-up'),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    pytest.importorskip('torch')
    run = CliRunner().invoke(main, ['bench', 'abaw', *options])
    assert run.exit_code == 2
    assert message in run.output


@pytest.mark.parametrize('wrong', [
    ['--stride', '301'], ['--rate', 'nan'], ['--device', 'nothing'], ['--clock', 'nobody=learned'],
    ['--carried-over', 'nowhere'], ['--unlabelled', 'none.parquet', '--unlabelled-features', 'x', '--pseudo-labels'],
])  # fmt: skip
def test_a_setting_out_of_range_is_refused_before_anything_is_filmed(wrong, tmp_path):
    pytest.importorskip('torch')
    run = CliRunner().invoke(main, ['bench', 'abaw', '--made-up', '--out', str(tmp_path / 'new'), *wrong])
    assert run.exit_code == 2
    assert wrong[1].partition('=')[0] in run.output
    assert not (tmp_path / 'new').exists()
