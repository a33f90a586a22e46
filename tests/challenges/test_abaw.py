"""Tracks that answer for every frame: submissions written, read back and scored, and every fault with its line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from affekt.challenges import (
    FRAME_TRACKS,
    check_frame_submission,
    frames_to_answer,
    read_frame_submission,
    read_frame_truth,
    score_frames,
    write_answers,
    write_frame_submission,
)
from affekt.cli import main
from affekt.errors import TableError, UnknownNameError
from affekt.frames import (
    ACTION_UNITS,
    EXPRESSIONS,
    ROW_FORMS,
    FrameLabels,
    FrameList,
    FrameTable,
    write_annotation,
)

VIDEOS = (('a', 'train', 4), ('b_left', 'val', 7), ('b_right', 'val', 5), ('c', 'val', 3))


def table(rng, videos=VIDEOS, lacking=0.0):
    """Labels of all tasks for every frame, or all but a share."""
    each = []
    for video, partition, frames in videos:
        gone = rng.uniform(size=frames) < lacking
        affect = rng.uniform(-1, 1, (frames, 2)).astype(np.float32)
        affect[gone] = np.nan
        expression, units = rng.integers(0, 8, frames), rng.integers(0, 2, (frames, 12))
        expression[gone], units[gone] = -1, -1
        each.append(FrameLabels(video, partition, expression, affect, units))
    return FrameTable(tuple(each))


@pytest.fixture
def wanted(tmp_path, rng):
    """The frames of the validation part, as a list in a file."""
    path = tmp_path / 'frames.txt'
    frames = [
        f'{video}/{frame:05d}.jpg' for video, part, count in VIDEOS if part == 'val' for frame in range(1, count + 1)
    ]
    path.write_text('image_location,\n' + '\n'.join(frames) + '\n')
    return frames_to_answer('abaw6-va', path)


@pytest.mark.parametrize('name', FRAME_TRACKS)
def test_what_is_written_is_in_order_and_read_back(tmp_path, rng, wanted, name):
    prediction, path = table(rng), tmp_path / 'answers.txt'
    written = write_frame_submission(name, prediction, path, wanted)
    checked = check_frame_submission(name, path, wanted)
    assert (written.rows, written.videos, checked.follows_frames) == (15, 3, True)
    assert written.counts == checked.counts
    back = read_frame_submission(name, path)
    assert set(back.names) == {'b_left', 'b_right', 'c'}
    for labels in back:
        for task in FRAME_TRACKS[name].tasks:
            assert np.array_equal(getattr(labels, task), getattr(prediction[labels.video], task))


def test_the_four_forms_are_the_published_ones(tmp_path):
    labels = FrameLabels('v', 'test', [4], [[0.5, -0.25]], [[0, 1] * 6])
    lines = {}
    for name in FRAME_TRACKS:
        write_frame_submission(name, FrameTable((labels,)), tmp_path / f'{name}.txt')
        lines[name] = (tmp_path / f'{name}.txt').read_text()
    units, named = ','.join('010101010101'), 'AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26'
    assert lines == {
        'abaw6-va': 'image_location,valence,arousal\nv/00001.jpg,0.5,-0.25\n',
        'abaw6-expr': 'image_location,Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other\nv/00001.jpg,4\n',
        'abaw6-au': f'image_location,{named}\nv/00001.jpg,{units}\n',
        'abaw6-mtl': f'image,valence,arousal,expression,aus\nv/00001.jpg,0.5,-0.25,4,{units}\n',
    }


def test_a_prediction_that_lacks_a_frame_is_not_filled_in(tmp_path, rng, wanted):
    prediction = table(rng, VIDEOS[1:3])
    short = FrameLabels('b_left', 'val', prediction['b_left'].expression[:6])
    with pytest.raises(TableError) as raised:
        write_frame_submission('abaw6-expr', FrameTable((short, prediction['b_right'])), tmp_path / 'x.txt', wanted)
    assert 'b_left: 1 of 7 frames is without a prediction: 7' in str(raised.value)
    assert 'c: all 3 frames are without a prediction' in str(raised.value)
    assert not (tmp_path / 'x.txt').exists()


def test_a_video_without_a_frame_to_answer_needs_no_prediction(tmp_path, rng, wanted):
    pictures = tmp_path / 'cropped_aligned'
    for video, _, count in VIDEOS[1:]:
        for frame in range(1, count + 1):
            (pictures / video).mkdir(parents=True, exist_ok=True)
            (pictures / video / f'{frame:05d}.jpg').write_bytes(b'')
    (pictures / 'without_a_face').mkdir()
    frames = frames_to_answer('abaw6-va', pictures)
    facts = write_frame_submission('abaw6-va', table(rng), tmp_path / 'x.txt', frames)
    assert (facts.rows, facts.videos) == (len(wanted), len(VIDEOS) - 1)
    assert check_frame_submission('abaw6-va', tmp_path / 'x.txt', frames).videos == facts.videos


@pytest.mark.parametrize('video', ['a,b', 'batch1/a', 'a\\b', 'a\nb', ' a', ''])
def test_a_name_that_could_not_be_read_back_is_not_written(tmp_path, video):
    with pytest.raises(TableError, match='no name that a submission can hold'):
        write_frame_submission('abaw6-expr', FrameTable((FrameLabels(video, 'test', [1]),)), tmp_path / 'x.txt')
    assert not (tmp_path / 'x.txt').exists()


def test_answers_of_other_action_units_than_the_challenge_has_are_no_submissions(tmp_path):
    eight = FrameTable((FrameLabels('v', 'test', units=np.zeros((1, 8))),), action_units=tuple('abcdefgh'))
    answers = {('au', 'mean'): eight, ('va', 'mean'): table(np.random.default_rng(0)), ('va', 'none'): FrameTable(())}
    assert [written.path.name for written in write_answers(answers, tmp_path)] == ['va-mean.txt']


def test_predictions_of_other_classes_are_refused(tmp_path):
    old = FrameTable((FrameLabels('v', 'test', units=np.zeros((1, 8))),), action_units=tuple('abcdefgh'))
    with pytest.raises(TableError, match='AU26'):
        write_frame_submission('abaw6-au', old, tmp_path / 'x.txt')


def test_every_fault_of_a_submission_is_in_one_error_with_its_line(tmp_path, wanted):
    lines = [
        'image_location,valence,arousal, ',
        'b_left/00001.jpg,0.1,0.2',
        'b_left/00002.jpg,nan,0.2',
        'b_left/00003.jpg,1.5,0.2',
        'b_left/00004.jpg,0.1',
        'b_left/00001.jpg,0.1,0.2',
        'other/00001.jpg,0.1,0.2',
        'b_left/00008.jpg,0.1,0.2',
        'b_left/5.jpg,0.1,0.2',
        '',
        'b_left/00005.jpg,-5,-5',
        'b_left/00006.jpg,0.1,0.2,0.3',
    ]
    path = tmp_path / 'VA.txt'
    path.write_text('\r\n'.join(lines))
    with pytest.raises(TableError) as raised:
        check_frame_submission('abaw6-va', path, wanted)
    message = str(raised.value)
    for fault in (
        "VA.txt, line 3: valence 'nan' is not a number in [-1, 1]",
        "VA.txt, line 4: valence '1.5' is not a number in [-1, 1]",
        'VA.txt, line 5: 1 value where 2 belong',
        "VA.txt, line 6: 'b_left/00001.jpg' stands in line 2 already",
        "VA.txt, line 7: 'other/00001.jpg' is none of the frames to answer",
        "VA.txt, line 8: 'b_left/00008.jpg' is none of the frames to answer",
        "VA.txt, line 9: 'b_left/5.jpg' names no frame",
        'VA.txt, line 10: is blank',
        "VA.txt, line 11: valence '-5' is not a number in [-1, 1]",
        'VA.txt, line 12: 3 values where 2 belong',
        'VA.txt: b_left: 1 of 7 frames is without an answer: 7',
        'VA.txt: b_right: all 5 frames are without an answer',
        'VA.txt: c: all 3 frames are without an answer',
        '13 faults',
    ):
        assert fault in message, fault


def test_a_video_that_is_not_to_be_answered_hides_no_other_fault(tmp_path, wanted):
    path = tmp_path / 'VA.txt'
    write_frame_submission('abaw6-va', table(np.random.default_rng(0), (('other', 'val', 30),)), path)
    with pytest.raises(TableError) as raised:
        check_frame_submission('abaw6-va', path, wanted)
    assert "line 2: 'other/00001.jpg' and 29 more lines of 'other' are none of the frames" in str(raised.value)
    assert 'c: all 3 frames are without an answer' in str(raised.value)
    assert '4 faults' in str(raised.value)


@pytest.mark.parametrize(
    ('name', 'cells'),
    [('abaw6-expr', '-1'), ('abaw6-expr', '8'), ('abaw6-expr', '0x1'), ('abaw6-expr', '0.3'),
     ('abaw6-au', ','.join(['-1'] * 12)), ('abaw6-au', ','.join(['0.7'] * 12)),
     ('abaw6-mtl', '0,0,8,' + ','.join('0' * 12)),
     ('abaw6-mtl', '0,0,0,' + ','.join('0' * 11)), ('abaw6-va', 'inf,0'), ('abaw6-va', '0;0')],
)  # fmt: skip
def test_an_answer_that_is_none_is_named_with_its_line(tmp_path, name, cells):
    path = tmp_path / 'x.txt'
    path.write_text(f'{FRAME_TRACKS[name].rows.line}\nv/00001.jpg,{cells}\n')
    with pytest.raises(TableError, match=r'x\.txt, line 2: '):
        check_frame_submission(name, path, FrameList.of({'v': [1]}))


@pytest.mark.parametrize(
    'content',
    ['', 'v/00001.jpg,0,0\n', 'name,valence,arousal\nv/00001.jpg,0,0\n', 'image_location,valence\n'],
)
def test_a_submission_of_another_header_is_refused(tmp_path, content):
    (tmp_path / 'x.txt').write_text(content)
    with pytest.raises(TableError, match=r'x\.txt'):
        check_frame_submission('abaw6-va', tmp_path / 'x.txt', FrameList.of({'v': [1]}))


def test_a_header_alone_answers_nothing(tmp_path):
    (tmp_path / 'x.txt').write_text('image_location,valence,arousal\n')
    with pytest.raises(TableError, match='all 1 frames'):
        check_frame_submission('abaw6-va', tmp_path / 'x.txt', FrameList.of({'v': [1]}))
    with pytest.raises(TableError, match='without an answer'):
        read_frame_submission('abaw6-va', tmp_path / 'x.txt')


def test_rows_in_another_order_are_in_order_and_said_to_be(tmp_path, rng, wanted):
    path = tmp_path / 'x.txt'
    write_frame_submission('abaw6-au', table(rng), path, wanted)
    header, *rows = path.read_text().splitlines()
    path.write_text('\n'.join([f'{header},', *reversed(rows)]))
    assert not check_frame_submission('abaw6-au', path, wanted).follows_frames


def test_the_frames_to_answer_come_from_a_list_a_table_or_pictures(tmp_path, rng, wanted):
    table(rng).save(tmp_path / 'm.frames.parquet')
    of_table = frames_to_answer('abaw6-va', tmp_path / 'm.frames.parquet')
    for video, _, count in VIDEOS[1:]:
        for frame in range(1, count + 1):
            place = tmp_path / 'cropped_aligned' / video / f'{frame:05d}.jpg'
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(b'')
    of_pictures = frames_to_answer('abaw6-va', tmp_path / 'cropped_aligned')
    names = [wanted.name(place) for place in range(len(wanted))]
    for frames in (of_table, of_pictures):
        assert [frames.name(place) for place in range(len(frames))] == names
    assert len(frames_to_answer('abaw6-va', tmp_path / 'm.frames.parquet', 'train')) == 4


def test_a_track_asks_for_the_test_videos_of_its_own_task(tmp_path, rng):
    affect = rng.uniform(-1, 1, (5, 2))
    videos = (
        FrameLabels('both', 'test', affect=affect, by_task={'affect': 'train', 'expression': 'test'}),
        FrameLabels('faces', 'test', frames=6, by_task={'expression': 'test'}),
        FrameLabels('voices', 'test', frames=7, by_task={'affect': 'test'}),
    )
    FrameTable(videos).save(tmp_path / 'm.frames.parquet')
    assert frames_to_answer('abaw6-expr', tmp_path / 'm.frames.parquet').videos == ('both', 'faces')
    assert frames_to_answer('abaw6-va', tmp_path / 'm.frames.parquet').videos == ('voices',)
    with pytest.raises(TableError, match='without any'):
        frames_to_answer('abaw6-au', tmp_path / 'm.frames.parquet')


def test_a_test_video_of_unknown_length_is_not_left_out_of_what_must_be_answered(tmp_path, rng):
    FrameTable((*table(rng), FrameLabels('c1', 'test', frames=6), FrameLabels('c2', 'test'))).save(
        tmp_path / 'm.parquet'
    )
    with pytest.raises(TableError, match="none for 'c2'"):
        frames_to_answer('abaw6-va', tmp_path / 'm.parquet')
    assert len(frames_to_answer('abaw6-va', tmp_path / 'm.parquet', 'val')) == 15


def test_test_videos_whose_frames_are_known_are_answered_first(tmp_path, rng):
    videos = (*table(rng), FrameLabels('hidden', 'test', frames=6))
    FrameTable(videos).save(tmp_path / 'm.frames.parquet')
    assert frames_to_answer('abaw6-expr', tmp_path / 'm.frames.parquet').videos == ('hidden',)


@pytest.mark.parametrize('content', ['video1\nvideo2\n', 'a/00001.jpg\na/00001.jpg\n', '', 'image_location\n', None])
def test_a_list_that_names_no_frames_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / 'list.txt').write_text(content)
    with pytest.raises(TableError):
        frames_to_answer('abaw6-va', tmp_path / 'list.txt')


def test_a_score_is_of_all_frames_of_the_labelled_part_together(rng):
    truth = table(rng, lacking=0.2)
    prediction = table(rng)
    scored = score_frames('abaw6-va', truth, prediction, rng=rng, resamples=50)
    values = [np.concatenate([side[v].affect for v in ('b_left', 'b_right', 'c')]) for side in (truth, prediction)]
    kept = ~np.isnan(values[0]).any(axis=1)
    t, p = values[0][kept].astype(float), values[1][kept].astype(float)
    plain = (
        2 * np.mean((t - t.mean(0)) * (p - p.mean(0)), axis=0) / (t.var(0) + p.var(0) + (t.mean(0) - p.mean(0)) ** 2)
    )
    assert scored.score.value == pytest.approx(plain.mean(), abs=1e-6)
    assert scored.samples == kept.sum()


def test_a_perfect_answer_scores_the_highest_in_every_track(rng):
    truth = table(rng, (('a', 'val', 60), ('b', 'val', 60)), lacking=0.1)
    highest = {'abaw6-expr': 1.0, 'abaw6-va': 1.0, 'abaw6-au': 1.0, 'abaw6-mtl': 3.0}
    for name, score in highest.items():
        assert score_frames(name, truth, truth, rng=rng, resamples=10).score.value == pytest.approx(score)


def test_two_people_of_one_recording_are_one_unit_of_the_interval(rng):
    both = table(rng, (('a_left', 'val', 9), ('a_right', 'val', 9)))
    assert np.isnan(score_frames('abaw6-expr', both, both, rng=rng, resamples=20).score.low)


def test_test_labels_are_scored_before_validation_where_they_are_known(rng):
    truth = table(rng, (*VIDEOS, ('d', 'test', 20)))
    assert score_frames('abaw6-au', truth, truth, rng=rng, resamples=5).samples == 20
    assert score_frames('abaw6-au', truth, truth, rng=rng, resamples=5, partition='val').samples == 15
    hidden = FrameTable((*table(rng), FrameLabels('e', 'test', frames=4)))
    assert score_frames('abaw6-au', hidden, hidden, rng=rng, resamples=5).samples == 15


def test_a_labelled_frame_without_a_prediction_is_refused(rng):
    truth = table(rng)
    short = FrameTable(tuple(FrameLabels(each.video, 'val', each.expression[:-1]) for each in truth))
    with pytest.raises(TableError, match=r"no expressions for 1 frame of 'b_left', first frame 7"):
        score_frames('abaw6-expr', truth, short, rng=rng)
    with pytest.raises(TableError, match="none for 'b_right', 'c'"):
        score_frames('abaw6-expr', truth, truth.take(['b_left']), rng=rng)
    with pytest.raises(TableError, match='labelled frames of test'):
        score_frames('abaw6-expr', truth, truth, rng=rng, partition='test')


def test_action_units_are_scored_against_those_of_the_same_name_alone(rng):
    units, names = rng.integers(0, 2, (9, 3)), ('AU1', 'AU2', 'AU4')
    truth = FrameTable((FrameLabels('a', 'val', units=units),), action_units=names)
    turned = FrameTable((FrameLabels('a', 'val', units=units[:, ::-1]),), action_units=names[::-1])
    for others in (turned, table(rng, (('a', 'val', 9),))):
        with pytest.raises(TableError, match='expected predictions of AU1, AU2, AU4'):
            score_frames('abaw6-au', truth, others, rng=rng)


def test_seven_classes_and_eight_are_scored_together_where_the_eighth_does_not_occur(rng):
    seven = FrameTable((FrameLabels('a', 'val', np.arange(7)),), expressions=EXPRESSIONS[:7])
    eight = FrameTable((FrameLabels('a', 'val', np.arange(7)),))
    for truth, prediction, perfect in ((seven, eight, 1.0), (eight, seven, 7 / 8)):
        scored = score_frames('abaw6-expr', truth, prediction, rng=rng, resamples=5)
        assert scored.score.value == pytest.approx(perfect)


def test_a_longer_prediction_is_cut_to_the_truth(rng):
    truth = table(rng, (('a', 'val', 5), ('b', 'val', 5)))
    longer = FrameTable(tuple(FrameLabels(e.video, 'val', np.append(e.expression, [0, 0])) for e in truth))
    assert score_frames('abaw6-expr', truth, longer, rng=rng, resamples=5).parts['accuracy'].value == 1.0


def test_a_manifest_stands_for_the_table_of_frames_beside_it(tmp_path, rng):
    table(rng).save(tmp_path / 'm.frames.parquet')
    (tmp_path / 'm.parquet').write_bytes(b'')
    assert len(frames_to_answer('abaw6-va', tmp_path / 'm.parquet')) == 15
    assert read_frame_truth('abaw6-va', tmp_path / 'm.parquet').frames == 19


def test_files_of_each_task_are_the_truth_of_all_tasks_where_no_one_file_has_them(tmp_path, rng):
    for folder, task, values, names in (
        ('VA_Estimation_Challenge', 'affect', np.full((3, 2), 0.5, np.float32), ()),
        ('EXPR_Recognition_Challenge', 'expression', np.array([0, 1, 7], np.int8), EXPRESSIONS),
        ('AU_Detection_Challenge', 'units', np.ones((3, 12), np.int8), ACTION_UNITS),
    ):
        path = tmp_path / folder / 'Validation_Set' / 'a.txt'
        path.parent.mkdir(parents=True)
        write_annotation(path, task, values, names)
    truth = read_frame_truth('abaw6-mtl', tmp_path)
    assert truth['a'].tasks == ('expression', 'affect', 'units')
    assert score_frames('abaw6-mtl', truth, truth, rng=rng, resamples=5).parts['unit_f1'].value == 1.0


def test_an_unknown_track_is_named():
    with pytest.raises(UnknownNameError, match='abaw6-va'):
        frames_to_answer('abaw6-vaa', None)


def _run(*words):
    return CliRunner().invoke(main, [str(word) for word in words], env={'COLUMNS': '80'})


def test_commands_write_check_and_score(tmp_path, rng):
    truth, path, out = table(rng), tmp_path / 'm.frames.parquet', tmp_path / 'EXPR.txt'
    truth.save(path)
    written = _run('track', 'write', 'abaw6-expr', path, '--out', out, '--frames', path)
    assert '15 frames of 3 videos' in written.output
    checked = _run('track', 'check', 'abaw6-expr', out, '--frames', path)
    assert checked.exit_code == 0
    assert 'is in order: 15 frames of 3 videos' in checked.output
    assert 'line end' not in checked.output
    cut = tmp_path / 'CUT.txt'
    cut.write_bytes(out.read_bytes().rstrip())
    assert 'the last line has no line end' in _run('track', 'check', 'abaw6-expr', cut, '--frames', path).output
    scored = json.loads(_run('track', 'score', 'abaw6-expr', out, '--truth', path, '--resamples', 20, '--json').stdout)
    assert scored['parts']['accuracy']['value'] == 1.0
    assert scored['samples'] == 15
    shown = _run('track', 'score', 'abaw6-va', path, '--truth', path, '--resamples', 20).output
    assert '1.0000' in shown


def test_faults_of_a_submission_stand_line_by_line_on_the_terminal(tmp_path, rng):
    path, bad = tmp_path / 'm.frames.parquet', tmp_path / 'EXPR.txt'
    table(rng).save(path)
    _run('track', 'write', 'abaw6-expr', path, '--out', bad, '--frames', path)
    lines = bad.read_text().splitlines()
    lines[3], lines[5] = 'b_left/00003.jpg,9', 'zzz/00001.jpg,0'
    bad.write_text('\n'.join(lines))
    refused = _run('track', 'check', 'abaw6-expr', bad, '--frames', path)
    assert refused.exit_code == 2
    lines = refused.stderr.splitlines()
    assert "  EXPR.txt, line 4: class '9' is not a whole number from 0 to 7" in lines
    assert "  EXPR.txt, line 6: 'zzz/00001.jpg' is none of the frames to answer" in lines
    assert 'Traceback' not in refused.output


@pytest.mark.parametrize('words', [
    ('check', 'abaw6-va', 'x.txt', '--candidates', 'c.csv'), ('check', 'abaw6-va', 'x.txt', '--allow-empty'),
    ('write', 'abaw6-va', 'x.parquet', '--out', 'o.txt', '--allow-empty'),
    ('score', 'abaw6-va', 'x.txt', '--truth', 't.parquet', '--groups', 'g.zip'),
    ('score', 'abaw6-va', 'x.txt', '--truth', 't.parquet', '--tables', '2025'),
    ('check', 'mer2024-semi', 'x.csv', '--frames', 'c.txt'), ('check', 'mer2024-semi', 'x.csv', '--partition', 'val'),
    ('write', 'mer2024-semi', 'x.csv', '--out', 'o.csv', '--partition', 'val'),
    ('score', 'mer2024-semi', 'x.csv', '--truth', 't.csv', '--partition', 'val'),
])  # fmt: skip
def test_options_of_the_other_tracks_are_refused(words):
    refused = _run('track', *words)
    assert refused.exit_code == 2
    assert f'is not for {words[1]}' in refused.output


def test_a_check_without_what_must_be_answered_says_so():
    refused = _run('track', 'check', 'mer2024-semi', 'x.txt')
    assert refused.exit_code == 2
    assert '--candidates' in refused.output


def test_lines_of_every_frame_are_checked_without_the_frames_to_answer_and_that_is_said(tmp_path):
    path = tmp_path / 'VA.txt'
    path.write_text('image_location,valence,arousal\nv/00001.jpg,0.5,0\nv/00003.jpg,-1,1\n')
    checked = _run('track', 'check', 'abaw6-va', path)
    assert checked.exit_code == 0
    assert 'every line is in order: 2 frames of 1 video' in checked.output
    assert 'missing frames were not checked for' in checked.output
    path.write_text('image_location,valence,arousal\nv/00001.jpg,0.5,2\nv/00001.jpg,-1,1\n')
    refused = _run('track', 'check', 'abaw6-va', path)
    assert refused.exit_code == 2
    assert 'line 2: arousal' in refused.output
    assert 'line 3: ' in refused.output
    assert '--frames' in _run('track', 'check', 'abaw6-va', path, '--partition', 'val').output


def test_the_official_examples_are_in_order(shared_data, tmp_path):
    folder = shared_data / 'affwild2' / 'submissions'
    for name, file in (('abaw6-va', 'VA'), ('abaw6-expr', 'EXPR'), ('abaw6-au', 'AU')):
        path = folder / f'{file}.txt'
        checked = check_frame_submission(name, path, frames_to_answer(name, path))
        assert (checked.rows, checked.videos) == (29, 1)
        write_frame_submission(name, read_frame_submission(name, path), tmp_path / 'x.txt')
        assert read_frame_submission(name, tmp_path / 'x.txt').frames == 29
    assert set(ROW_FORMS) == {track.form for track in FRAME_TRACKS.values()}


def test_pictures_that_are_numbered_from_0_are_refused(tmp_path):
    (tmp_path / 'crops' / 'a').mkdir(parents=True)
    for frame in range(3):
        (tmp_path / 'crops' / 'a' / f'{frame:05d}.jpg').write_bytes(b'')
    with pytest.raises(TableError, match=r'expected images numbered from 1; got image 0 in .*crops.a'):
        frames_to_answer('abaw6-va', tmp_path / 'crops')
