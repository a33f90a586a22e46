"""Aff-Wild2 as a manifest with a table of frames beside it, held against videos and face pictures."""

from __future__ import annotations

import json

import layouts
import numpy as np
import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.corpora import Manifest, check_frames, copy_frames, frames_path, import_corpus, import_with_frames
from affekt.errors import CorpusError
from affekt.frames import FrameTable
from affekt.media import write_video


def _run(*words):
    return CliRunner().invoke(main, [str(word) for word in words], env={'COLUMNS': '80'})


def video(folder, name, frames):
    """A small video of so many pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    write_video(folder / f'{name}.mp4', [np.zeros((32, 32, 3), np.uint8)] * frames, 25)


def test_two_people_of_one_video_are_two_rows_of_one_file(tmp_path):
    layouts.affwild2(tmp_path)
    video(tmp_path / 'batch1', 'film1', 4)
    video(tmp_path / 'batch2', 'film2', 4)
    manifest = import_corpus('affwild2', tmp_path)
    rows = {row.sample: (row.video, row.recording, row.split, row.frames) for row in manifest.samples}
    assert rows == {
        'film1_left': ('batch1/film1.mp4', 'film1', 'train', None),
        'film1_right': ('batch1/film1.mp4', 'film1', 'train', None),
        'film2': ('batch2/film2.mp4', 'film2', 'val', 'cropped_aligned/film2'),
    }
    assert manifest.facts.version == 'annotations of ABAW4, 6 or later'
    assert len(manifest.facts.sources) == 9


def test_a_video_that_is_called_left_itself_is_taken_before_the_one_that_holds_both(tmp_path):
    layouts.affwild2(tmp_path)
    for name in ('film1', 'film1_left'):
        video(tmp_path / 'videos', name, 4)
    rows = {row.sample: row.video for row in import_corpus('affwild2', tmp_path).samples}
    assert rows['film1_left'] == 'videos/film1_left.mp4'
    assert rows['film1_right'] == 'videos/film1.mp4'


def test_lines_are_held_against_pictures_of_the_video(tmp_path):
    layouts.affwild2(tmp_path)
    video(tmp_path / 'videos', 'film1', 3)
    video(tmp_path / 'videos', 'film2', 6)
    checked = check_frames(*import_with_frames('affwild2', tmp_path))
    assert checked.longer == ('film1_left (4 lines, 3 frames)', 'film1_right (4 lines, 3 frames)')
    assert checked.shorter == ('film2 (4 lines, 6 frames)',)
    assert checked.labelled == {'expression': 12, 'affect': 12, 'units': 12}


def test_face_pictures_that_are_missing_or_have_no_line_are_counted(tmp_path):
    layouts.affwild2(tmp_path)
    for frame in (5, 6):
        layouts.write(tmp_path / 'cropped_aligned' / 'film2' / f'{frame:05d}.jpg')
    layouts.write(tmp_path / 'cropped_aligned' / 'film2' / 'thumbs.db')
    checked = check_frames(*import_with_frames('affwild2', tmp_path))
    assert checked.uncropped == 1
    assert checked.unlabelled_crops == ('film2 (2 after frame 4)',)


def test_the_frames_of_a_test_video_without_labels_are_those_of_its_file_or_its_crops(tmp_path):
    layouts.affwild2(tmp_path)
    layouts.write(tmp_path / 'VA_test_set_release.txt', 'film3\nfilm4_left\nfilm5\n')
    video(tmp_path / 'videos', 'film3', 6)
    for frame in (2, 5):
        layouts.write(tmp_path / 'cropped_aligned' / 'film4_left' / f'{frame:05d}.jpg')
    manifest, frames = import_with_frames('affwild2', tmp_path)
    assert [(each.video, each.frames) for each in frames.part('test')] == [
        ('film3', 6),
        ('film4_left', 5),
        ('film5', 0),
    ]
    assert any('2 test videos' in note for note in manifest.facts.notes)
    assert any('1 test video without' in note and 'film5' in note for note in manifest.facts.notes)
    assert check_frames(manifest, frames).longer == ()


def test_rows_and_frames_that_do_not_belong_together_are_named(tmp_path):
    layouts.affwild2(tmp_path)
    manifest, frames = import_with_frames('affwild2', tmp_path)
    assert check_frames(manifest.where(split='train'), frames).unknown == ('film2',)
    assert check_frames(manifest, frames.part('val')).unknown == ('film1_left', 'film1_right')


def test_an_import_writes_the_frames_beside_the_manifest_and_a_check_reads_them(tmp_path):
    layouts.affwild2(tmp_path / 'release')
    video(tmp_path / 'release/videos', 'film1', 4)
    video(tmp_path / 'release/videos', 'film2', 4)
    out = tmp_path / 'm.parquet'
    imported = _run('corpus', 'import', 'affwild2', tmp_path / 'release', '--out', out)
    assert imported.exit_code == 0
    assert '12 frames of 3 videos' in imported.stdout
    assert FrameTable.load(frames_path(out)).names == Manifest.load(out).names
    assert _run('corpus', 'check', out).exit_code == 0
    shown = _run('corpus', 'show', out)
    assert ['Happiness', '8', '4'] in [line.split() for line in shown.stdout.splitlines()]
    assert max(map(len, shown.stdout.splitlines())) <= 80
    stated = json.loads(_run('corpus', 'show', out, '--json').stdout)
    assert stated['frames']['AU2'] == {'train': 8, 'val': 4, 'test': 0}
    assert json.loads(_run('corpus', 'check', out, '--json').stdout)['unlabelled'] == 0


def test_a_manifest_that_is_made_from_another_keeps_its_labels_by_frame(tmp_path):
    layouts.affwild2(tmp_path / 'release')
    out, divided = tmp_path / 'm.parquet', tmp_path / 'folds.parquet'
    _run('corpus', 'import', 'affwild2', tmp_path / 'release', '--out', out)
    for target in (divided, out):
        made = _run('corpus', 'folds', out, '--by', 'recording', '--count', 2, '--out', target)
        assert made.exit_code == 0
    assert FrameTable.load(frames_path(divided)).names == FrameTable.load(frames_path(out)).names
    assert copy_frames(tmp_path / 'none.parquet', tmp_path / 'other.parquet') is None


def test_labels_of_frames_that_the_video_does_not_have_fail_the_check(tmp_path):
    layouts.affwild2(tmp_path / 'release')
    video(tmp_path / 'release/videos', 'film1', 4)
    video(tmp_path / 'release/videos', 'film2', 3)
    out = tmp_path / 'm.parquet'
    _run('corpus', 'import', 'affwild2', tmp_path / 'release', '--out', out)
    checked = _run('corpus', 'check', out)
    assert checked.exit_code == 1
    assert 'film2 (4 lines, 3 frames)' in checked.stdout


def test_a_recording_on_both_sides_of_the_split_fails_the_check_unless_it_is_accepted(tmp_path):
    layouts.affwild2(tmp_path / 'release')
    units = tmp_path / 'release/6th ABAW Annotations/AU_Detection_Challenge'
    (units / 'Train_Set/film1_right.txt').rename(units / 'Validation_Set/film1_right.txt')
    for name in ('film1', 'film2'):
        video(tmp_path / 'release/videos', name, 4)
    out = tmp_path / 'm.parquet'
    _run('corpus', 'import', 'affwild2', tmp_path / 'release', '--out', out)
    checked = _run('corpus', 'check', out)
    assert checked.exit_code == 1
    said = ' '.join(checked.stdout.split())
    assert 'both sides of the split: film1_left (train) and film1_right (val), for action units' in said
    assert 'bench abaw --leave-out-shared' in said
    stated = json.loads(_run('corpus', 'check', out, '--json').stdout)
    assert stated['frames']['shared'] == ['film1_left (train) and film1_right (val), for action units']
    assert _run('corpus', 'check', out, '--accept', 'recording').exit_code == 0
    _run('corpus', 'folds', out, '--by', 'recording', '--count', 2, '--out', out)
    assert _run('corpus', 'check', out, '--by', 'fold').exit_code == 0


def test_a_damaged_frame_table_is_an_error_and_not_passed_over(tmp_path):
    layouts.affwild2(tmp_path / 'release')
    out = tmp_path / 'm.parquet'
    _run('corpus', 'import', 'affwild2', tmp_path / 'release', '--out', out)
    frames_path(out).write_bytes(b'PAR1')
    assert _run('corpus', 'check', out).exit_code == 2


def test_a_bad_line_stops_the_import_with_its_file_and_line(tmp_path):
    layouts.affwild2(tmp_path)
    bad = tmp_path / '6th ABAW Annotations/EXPR_Recognition_Challenge/Train_Set/film1_left.txt'
    bad.write_text(bad.read_text().replace('4', '9', 1))
    result = _run('corpus', 'import', 'affwild2', tmp_path, '--out', tmp_path / 'm.parquet')
    assert result.exit_code == 2
    assert 'Train_Set/film1_left.txt, line 2' in ' '.join(result.output.split())
    assert not (tmp_path / 'm.parquet').exists()


def test_the_other_layouts_are_told_apart(tmp_path):
    layouts.affwild2(tmp_path / 'three')
    layouts.affwild2_mtl(tmp_path / 'mtl')
    (tmp_path / 'three/6th ABAW Annotations/EXPR_Recognition_Challenge').rename(
        tmp_path / 'three/6th ABAW Annotations/EXPR_Classification_Challenge'
    )
    assert import_corpus('affwild2', tmp_path / 'three').facts.version == 'annotations of ABAW3 or 5'
    manifest, frames = import_with_frames('affwild2-mtl', tmp_path / 'mtl')
    assert (manifest.names, frames.frames) == (('film1',), 3)
    with pytest.raises(CorpusError):
        import_corpus('affwild2', tmp_path / 'mtl')


def test_folders_of_the_whole_names_and_the_folder_of_the_file_itself_are_found(tmp_path):
    layouts.affwild2(tmp_path / 'three')
    (tmp_path / 'three/6th ABAW Annotations/VA_Estimation_Challenge').rename(
        tmp_path / 'three/6th ABAW Annotations/Valence_Arousal_Estimation_Challenge'
    )
    assert import_with_frames('affwild2', tmp_path / 'three')[1]['film2'].affect is not None
    layouts.affwild2_mtl(tmp_path)
    assert import_corpus('affwild2-mtl', tmp_path / 'MTL_Challenge').names == ('film1',)


def test_the_official_layout_is_imported(shared_data):
    manifest, frames = import_with_frames('affwild2', shared_data / 'affwild2')
    assert len(manifest) == len(frames) == 6
    assert frames.part('val').names == ('122-60-1920x1080-1', 'video2')
    assert frames['10-60-1280x720_left'].recording == '10-60-1280x720'
    assert import_with_frames('affwild2-mtl', shared_data / 'affwild2')[1].names == ('video59',)
