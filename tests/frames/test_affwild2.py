"""Releases of Aff-Wild2 in the folders of every year, and what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.errors import CorpusError, TableError
from affekt.frames import ACTION_UNITS, EXPRESSIONS, FrameLabels, FrameTable, read_affwild2, read_multitask

HEADERS = {'VA': 'valence,arousal', 'EXPR': ','.join(EXPRESSIONS), 'AU': ','.join(ACTION_UNITS)}
LINES = {'VA': '0.5,-0.25', 'EXPR': '3', 'AU': ','.join('010101010101')}
ABAW6 = {'VA': 'VA_Estimation_Challenge', 'EXPR': 'EXPR_Recognition_Challenge', 'AU': 'AU_Detection_Challenge'}
ABAW3 = {**ABAW6, 'EXPR': 'EXPR_Classification_Challenge'}
ABAW2 = {'VA': 'VA_Set', 'EXPR': 'EXPR_Set', 'AU': 'AU_Set'}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def release(folder, names=ABAW6, videos=(('Train_Set', 'video1'), ('Validation_Set', 'video2')), frames=3):
    """A release of all three tasks with these videos."""
    for task, name in names.items():
        for part, video in videos:
            write(folder / name / part / f'{video}.txt', '\n'.join([HEADERS[task], *[LINES[task]] * frames, '']))
    return folder


@pytest.mark.parametrize('names', [ABAW6, ABAW3, ABAW2], ids=['ABAW6', 'ABAW3 and 5', 'ABAW1 and 2'])
@pytest.mark.parametrize('above', ['', '6th ABAW Annotations', 'data/annotations'])
def test_the_folders_of_every_year_are_read(tmp_path, names, above):
    release(tmp_path / above, names)
    table = read_affwild2(tmp_path)
    assert [(labels.video, labels.partition, labels.frames) for labels in table] == [
        ('video1', 'train', 3), ('video2', 'val', 3),
    ]  # fmt: skip
    assert table['video1'].affect.tolist() == [[0.5, -0.25]] * 3
    assert table['video1'].expression.tolist() == [3] * 3
    assert table['video1'].units[0].tolist() == [0, 1] * 6
    assert table.notes == ()


def test_partitions_are_known_by_older_names_too(tmp_path):
    release(tmp_path, ABAW2, [('Training_Set', 'video1'), ('Val_Set', 'video2'), ('TestSet', 'video3')])
    assert [labels.partition for labels in read_affwild2(tmp_path)] == ['train', 'val', 'test']


def test_a_file_that_alone_lacks_its_last_line_end_is_said_to_be_perhaps_cut_off(tmp_path):
    release(tmp_path)
    cut = tmp_path / ABAW6['VA'] / 'Train_Set' / 'video1.txt'
    cut.write_text(cut.read_text()[:-3])  # -0.25 is now -0.
    (note,) = read_affwild2(tmp_path).notes
    assert note == f'the last line of 1 file has no line end and may be cut off: {cut.relative_to(tmp_path)}'


def test_a_release_that_leaves_out_all_last_line_ends_is_not_cut_off(tmp_path):
    release(tmp_path)
    for path in tmp_path.rglob('*.txt'):
        path.write_text(path.read_text().rstrip())
    assert read_affwild2(tmp_path).notes == ()


def test_the_first_challenges_name_seven_classes_and_other_units(tmp_path):
    write(tmp_path / 'EXPR_Set/Train_Set/a.txt', ','.join(EXPRESSIONS[:7]) + '\n6\n')
    write(tmp_path / 'AU_Set/Train_Set/a.txt', 'AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25\n' + ','.join('01010101') + '\n')
    table = read_affwild2(tmp_path)
    assert table.expressions == EXPRESSIONS[:7]
    assert table.action_units == ('AU1', 'AU2', 'AU4', 'AU6', 'AU12', 'AU15', 'AU20', 'AU25')
    assert 'no annotations of valence and arousal were found' in table.notes
    assert 'no val annotations of action units were found' in table.notes


def test_a_task_with_fewer_lines_than_another_has_no_label_at_its_end(tmp_path):
    release(tmp_path)
    write(tmp_path / ABAW6['EXPR'] / 'Train_Set/video1.txt', f'{HEADERS["EXPR"]}\n3\n3\n')
    table = read_affwild2(tmp_path)
    assert table['video1'].expression.tolist() == [3, 3, -1]
    assert 'video1 (expression 2, affect 3, units 3)' in table.notes[0]


def test_a_video_that_is_in_one_task_alone_is_none_in_the_others(tmp_path):
    release(tmp_path)
    write(tmp_path / ABAW6['VA'] / 'Validation_Set/alone_left.txt', 'valence,arousal\n0,0\n')
    alone = read_affwild2(tmp_path)['alone_left']
    assert (alone.tasks, alone.recording, alone.side) == (('affect',), 'alone', 'left')


def test_tasks_are_divided_each_by_itself_and_validation_is_never_trained_on(tmp_path):
    release(tmp_path)
    for task, part in (('VA', 'Train_Set'), ('EXPR', 'Validation_Set')):
        write(tmp_path / ABAW6[task] / part / 'both.txt', f'{HEADERS[task]}\n{LINES[task]}\n')
    table = read_affwild2(tmp_path)
    assert table['both'].partition == 'val'
    assert table.part('train').names == ('video1',)
    assert table.only('affect').part('train').names == ('both', 'video1')
    assert table.only('expression').part('val').names == ('both', 'video2')
    assert 'both' in table.notes[0]


def test_test_videos_are_known_by_the_lists_of_names(tmp_path):
    release(tmp_path)
    names = tmp_path / 'testset' / 'names_of_videos_in_each_test_set'
    write(names / 'Valence_Arousal_Estimation_Challenge_test_set_release.txt', 'video8\nvideo9_left\n')
    write(names / 'AU_test_set_release.txt', 'video9_left\r\n\r\n')
    table = read_affwild2(tmp_path)
    assert table.part('test').names == ('video8', 'video9_left')
    assert table['video9_left'].tasks == ()


def test_a_test_video_is_of_the_tasks_whose_lists_name_it(tmp_path):
    release(tmp_path)
    write(tmp_path / 'VA_test_set_release.txt', 'video8\n')
    write(tmp_path / 'EXPR_test_set_release.txt', 'video9\n')
    write(tmp_path / ABAW6['VA'] / 'Train_Set/video9.txt', f'{HEADERS["VA"]}\n{LINES["VA"]}\n')
    read_affwild2(tmp_path).save(tmp_path / 'frames.parquet')
    table = FrameTable.load(tmp_path / 'frames.parquet')
    assert [table['video8'].belongs_to(task) for task in ('affect', 'expression', 'units')] == [True, False, False]
    assert [table['video9'].belongs_to(task) for task in ('affect', 'expression', 'units')] == [True, True, False]
    assert [table['video9'].partition_of(task) for task in ('affect', 'expression')] == ['train', 'test']
    assert FrameLabels('video7', 'test', frames=4).belongs_to('units')  # of which no task is known


def test_a_list_or_a_folder_that_is_not_there_is_named(tmp_path):
    release(tmp_path)
    (tmp_path / 'VA_test_set_release.txt').symlink_to(tmp_path / 'nowhere.txt')
    with pytest.raises(TableError, match=r'VA_test_set_release\.txt: cannot be read: No such file'):
        read_affwild2(tmp_path)
    with pytest.raises(CorpusError, match='nowhere'):
        read_multitask(tmp_path / 'nowhere')


def test_names_of_test_videos_inside_a_task_are_no_annotations(tmp_path):
    release(tmp_path)
    write(tmp_path / ABAW6['VA'] / 'Test_Set' / 'VA_test_set_release.txt', 'video9\n')
    assert read_affwild2(tmp_path).part('test').names == ('video9',)


def test_a_video_in_two_partitions_of_one_task_is_refused(tmp_path):
    release(tmp_path)
    write(tmp_path / ABAW6['VA'] / 'Validation_Set/video1.txt', 'valence,arousal\n0,0\n')
    with pytest.raises(TableError, match=r"Validation_Set/video1.txt: 'video1' is in train already"):
        read_affwild2(tmp_path)


def test_a_test_video_that_is_trained_on_is_refused(tmp_path):
    release(tmp_path)
    write(tmp_path / 'EXPR_test_set_release.txt', 'video1\n')
    with pytest.raises(TableError, match="'video1' is in train already"):
        read_affwild2(tmp_path)


def test_faults_of_all_files_are_said_at_once_with_file_and_line(tmp_path):
    release(tmp_path)
    write(tmp_path / ABAW6['VA'] / 'Train_Set/video1.txt', 'valence,arousal\n0,nan\n0,0\n2,0\n')
    write(tmp_path / ABAW6['EXPR'] / 'Validation_Set/video2.txt', f'{HEADERS["EXPR"]}\n8\n')
    write(tmp_path / ABAW6['AU'] / 'Train_Set/video1.txt', '')
    with pytest.raises(TableError) as raised:
        read_affwild2(tmp_path)
    for fault in (
        "EXPR_Recognition_Challenge/Validation_Set/video2.txt, line 2: class '8'",
        'VA_Estimation_Challenge/Train_Set/video1.txt, line 2: arousal',
        'VA_Estimation_Challenge/Train_Set/video1.txt, line 4: valence',
        'AU_Detection_Challenge/Train_Set/video1.txt: is empty',
        '4 faults',
    ):
        assert fault in str(raised.value)


def test_files_of_two_years_mixed_in_one_task_are_refused(tmp_path):
    release(tmp_path)
    write(tmp_path / ABAW6['EXPR'] / 'Train_Set/old.txt', ','.join(EXPRESSIONS[:7]) + '\n6\n')
    with pytest.raises(TableError, match=r'where .*old\.txt names'):
        read_affwild2(tmp_path)


def test_two_years_side_by_side_are_refused_and_a_deeper_one_is_not_read(tmp_path):
    release(tmp_path / 'key')
    release(tmp_path, videos=[('Train_Set', 'video1'), ('Validation_Set', 'other')])
    table = read_affwild2(tmp_path)
    assert 'video2' not in table
    assert any('not read' in note and 'key/VA_Estimation_Challenge' in note for note in table.notes)
    release(tmp_path / 'years/3rd', ABAW3)
    release(tmp_path / 'years/6th', ABAW6)
    with pytest.raises(CorpusError, match='name the folder of one year'):
        read_affwild2(tmp_path / 'years')


def test_other_files_do_no_harm(tmp_path):
    release(tmp_path)
    write(tmp_path / ABAW6['VA'] / 'Train_Set/._video1.txt', 'a shadow of macOS')
    write(tmp_path / ABAW6['VA'] / 'Train_Set/readme.md', 'about')
    write(tmp_path / ABAW6['VA'] / 'notes.txt', 'about')
    write(tmp_path / 'cropped_aligned/VA_Set/Train_Set/video7.txt', 'not looked at')
    assert read_affwild2(tmp_path).names == ('video1', 'video2')


def test_a_file_with_a_header_alone_is_a_video_without_frames(tmp_path):
    release(tmp_path)
    write(tmp_path / ABAW6['VA'] / 'Train_Set/none.txt', 'valence,arousal\n')
    table = read_affwild2(tmp_path)
    assert table['none'].frames == 0
    assert 'VA_Estimation_Challenge/Train_Set/none.txt has a header and no frame' in table.notes


def test_a_folder_without_annotations_is_refused(tmp_path):
    (tmp_path / 'VA_Set').mkdir()
    with pytest.raises(CorpusError, match='VA_Estimation_Challenge'):
        read_affwild2(tmp_path)
    with pytest.raises(CorpusError, match='MTL_Challenge'):
        read_multitask(tmp_path)


MTL = 'image,valence,arousal,expression,aus\n'


def test_the_multi_task_file_puts_each_picture_in_its_frame(tmp_path):
    write(
        tmp_path / 'MTL_Challenge/train_set.txt',
        MTL + 'a/00003.jpg,0.5,-0.5,3,' + ','.join('010101010101') + '\na/00001.jpg,-5,-5,-1,' + ','.join(['-1'] * 12),
    )
    write(tmp_path / 'MTL_Challenge/validation_set.txt', MTL + 'b/00002.jpg,0,0,0,' + ','.join('0' * 12) + '\n')
    table = read_multitask(tmp_path)
    assert [(labels.video, labels.partition, labels.frames) for labels in table] == [('a', 'train', 3), ('b', 'val', 2)]
    assert table['a'].expression.tolist() == [-1, -1, 3]
    assert np.isnan(table['a'].affect[:, 0]).tolist() == [True, True, False]
    assert table['a'].units[:, 1].tolist() == [-1, -1, 1]


@pytest.mark.parametrize(
    ('line', 'fault'),
    [
        ('a/00001.jpg,0,0,0,' + ','.join('0' * 12), "'a/00001.jpg' stands in line 2 already"),
        ('a/00002.jpg,0,0,8,' + ','.join('0' * 12), "class '8'"),
        ('a/00002.jpg,0,0,0,' + ','.join('0' * 11), '14 values where 15 belong'),
        ('a/00000.jpg,0,0,0,' + ','.join('0' * 12), 'names no frame'),
        ('a\\00002.jpg,0,0,0,' + ','.join('0' * 12), 'names no frame'),
        ('a/2.jpg,0,0,0,' + ','.join('0' * 12), 'names no frame'),
        ('', 'is blank'),
    ],
)
def test_a_bad_line_of_the_multi_task_file_is_named(tmp_path, line, fault):
    good = ',0,0,0,' + ','.join('0' * 12)
    write(tmp_path / 'MTL_Challenge/train_set.txt', f'{MTL}a/00001.jpg{good}\n{line}\na/00009.jpg{good}\n')
    with pytest.raises(TableError) as raised:
        read_multitask(tmp_path)
    assert 'MTL_Challenge/train_set.txt, line 3: ' in str(raised.value)
    assert fault in str(raised.value)


def test_a_video_in_two_partitions_of_the_multi_task_files_is_refused(tmp_path):
    good = 'a/00001.jpg,0,0,0,' + ','.join('0' * 12) + '\n'
    for name in ('train_set.txt', 'validation_set.txt'):
        write(tmp_path / 'MTL_Challenge' / name, MTL + good)
    with pytest.raises(TableError, match="'a' is in train already"):
        read_multitask(tmp_path)


def test_a_line_that_names_a_frame_beyond_all_videos_asks_for_no_memory(tmp_path):
    good = ',0,0,0,' + ','.join('0' * 12)
    rows = [f'video{number}/9999999.jpg{good}' for number in range(6)]
    write(tmp_path / 'MTL_Challenge/train_set.txt', MTL + '\n'.join(rows) + '\n')
    with pytest.raises(TableError, match='at most 50,000,000 frames'):
        read_multitask(tmp_path)
    write(tmp_path / 'MTL_Challenge/train_set.txt', f'{MTL}a/00001.jpg{good}\n')
    frames = ''.join(f'video{number}/9999999.jpg\n' for number in range(6))
    write(tmp_path / 'MTL_Challenge/MTL_test_set_release.txt', f'image\n{frames}')
    with pytest.raises(TableError, match='at most 50,000,000 frames'):
        read_multitask(tmp_path)


@pytest.mark.parametrize(
    ('name', 'part'),
    [('Train_Set', 'train'), ('Training_Set', 'train'), ('TrainSet', 'train'), ('Validation_Set', 'val'),
     ('val', 'val'), ('ValSet', 'val'), ('2_val', 'val'), ('Test_Set', 'test'), ('Valence', None), ('contest', None)],
)  # fmt: skip
def test_a_partition_is_known_by_a_word_of_the_name(tmp_path, name, part):
    write(tmp_path / 'VA_Set' / 'Train_Set' / 'always.txt', 'valence,arousal\n0,0\n')
    write(tmp_path / 'VA_Set' / name / 'video1.txt', 'valence,arousal\n0,0\n')
    table = read_affwild2(tmp_path)
    assert (table['video1'].partition if 'video1' in table else None) == part
