"""A made-up Aff-Wild2: what lies on disk, labels that follow from the curves, two people, gaps, sound, and the key."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from affekt.cli import main
from affekt.corpora import AffWild2Settings, dealt, frame_truth, made_up_affwild2, true_curves
from affekt.corpora.made_up_affwild2 import AWAY, COVERED, RATE_HZ
from affekt.errors import MediaError, RunError, TableError, ValueRangeError
from affekt.face3d import SHOWN, face_model, made_up_scene
from affekt.frames import ACTION_UNITS, EXPRESSIONS
from affekt.media import Recording, write_audio
from affekt.voice import BorrowedSpeech

SMALL = AffWild2Settings(videos=5, seconds=0.4, rate_hz=10, size=32)
DEFAULT = AffWild2Settings()


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp('affwild2') / 'made_up'
    made_up_affwild2(folder, SMALL)
    return folder


def test_the_layout_is_the_official_one_and_the_key_lies_apart(small):
    names = {
        part: sorted(path.name for path in small.glob(f'6th ABAW Annotations/VA_Estimation_Challenge/{part}/*.txt'))
        for part in ('Train_Set', 'Validation_Set', 'Test_Set')
    }
    two = ['video002_left.txt', 'video002_right.txt']
    assert names == {
        'Train_Set': ['video000.txt', 'video001.txt', *two], 'Validation_Set': ['video003.txt'], 'Test_Set': [],
    }  # fmt: skip
    assert sorted(path.name for path in (small / 'videos').iterdir()) == [f'video00{n}.mp4' for n in range(5)]
    in_key = {path.parent.parent.name for path in small.glob('key/6th ABAW Annotations/*/Test_Set/video004.txt')}
    assert in_key == {'VA_Estimation_Challenge', 'EXPR_Recognition_Challenge', 'AU_Detection_Challenge'}
    assert [path.read_text() for path in (small / 'test_names').iterdir()] == ['video004\n'] * 3


def test_annotations_have_official_headers_and_a_line_a_frame(small):
    headers = {
        'VA_Estimation_Challenge': 'valence,arousal', 'EXPR_Recognition_Challenge': ','.join(EXPRESSIONS),
        'AU_Detection_Challenge': ','.join(ACTION_UNITS),
    }  # fmt: skip
    for challenge, header in headers.items():
        lines = (small / '6th ABAW Annotations' / challenge / 'Train_Set' / 'video000.txt').read_text().splitlines()
        assert lines[0] == header
        assert len(lines) == 1 + 4  # 0.4 s at 10 Hz


def test_a_video_of_two_shows_both_side_by_side_and_has_sound(small):
    recording = Recording.open(small / 'videos' / 'video002.mp4')
    images = [frame.image for frame in recording.frames()]
    assert [image.shape for image in images] == [(32, 64, 3)] * 4
    assert sum(len(block.samples) for block in recording.samples(RATE_HZ)) == pytest.approx(0.4 * RATE_HZ, abs=2048)


def test_curves_of_every_frame_are_kept(small):
    curves = parquet.read_table(small / 'key' / 'curves.parquet').to_pandas()
    assert len(curves) == 6 * 4
    part = SMALL.part(2, '_right')
    mine = curves[curves['video'] == part.name]
    assert mine['frame'].tolist() == [1, 2, 3, 4]
    assert mine['valence'].to_numpy() == pytest.approx(part.curves.valence, abs=1e-6)
    assert (mine['AU12'].to_numpy() == frame_truth(part.curves).units[:, ACTION_UNITS.index('AU12')]).all()


def test_true_curves_are_read_back_by_video(small, tmp_path):
    curves = true_curves(small / 'key' / 'curves.parquet')
    assert list(curves) == [part.name for part in SMALL.parts()]
    part = SMALL.part(2, '_right')
    mine, truth = curves[part.name], frame_truth(part.curves)
    assert mine.affect == pytest.approx(truth.affect, abs=1e-6)
    assert ((mine.units >= 0.5) == truth.units).all()
    assert mine.expression[:, 0] == pytest.approx(part.curves.by_emotion['anger'], abs=1e-6)
    assert mine.is_seen.tolist() == (part.states == 0).tolist()
    absent = tmp_path / 'none.parquet'
    with pytest.raises(TableError, match='key') as raised:
        true_curves(absent)
    assert raised.value.came == f'{absent}: No such file or directory'


def test_a_killed_run_is_resumed_to_the_same_bytes(small, tmp_path):
    def stop(stage, done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made_up_affwild2(tmp_path / 'cut', SMALL, progress=stop)
    with pytest.raises(RunError, match='settings'):
        made_up_affwild2(tmp_path / 'cut', replace(SMALL, noise=0.2), resume=True)
    made_up_affwild2(tmp_path / 'cut', SMALL, resume=True)
    for path in small.rglob('*.*'):
        if path.suffix in ('.mp4', '.txt', '.parquet'):
            assert path.read_bytes() == (tmp_path / 'cut' / path.relative_to(small)).read_bytes()


def _commanded(**amounts):
    """One frame's curves with some shapes and one emotion."""
    times = np.zeros(1)
    curves = made_up_scene(np.random.default_rng(0), times, distance_cm=60)
    expression = np.zeros((1, 51))
    for name, amount in amounts.pop('shapes', {}).items():
        expression[0, face_model().directions.index(name)] = amount
    by_emotion = {emotion: np.full(1, amounts.get(emotion, 0.0)) for emotion in SHOWN}
    return replace(curves, expression=expression, by_emotion=by_emotion)


def test_the_class_is_the_strongest_emotion_from_a_third_on():
    assert frame_truth(_commanded(anger=0.29)).expression.tolist() == [0]
    assert frame_truth(_commanded(anger=0.31, sadness=0.30)).expression.tolist() == [EXPRESSIONS.index('Anger')]
    assert frame_truth(_commanded(other=0.9)).expression.tolist() == [EXPRESSIONS.index('Other')]


@pytest.mark.parametrize(
    ('shapes', 'active'),
    [
        ({'browInnerUp': 0.25}, {1}),
        ({'mouthSmileLeft': 0.3, 'mouthSmileRight': 0.3}, {12}),
        ({'mouthSmileLeft': 0.5}, {12}),  # the mean of both sides
        ({'eyeSquintLeft': 0.3, 'eyeSquintRight': 0.3}, {7}),
        ({'eyeSquintLeft': 0.3, 'eyeSquintRight': 0.3, 'mouthSmileLeft': 0.3, 'mouthSmileRight': 0.3}, {6, 7, 12}),
        ({'mouthPressLeft': 0.3, 'mouthPressRight': 0.3}, {23}),
        ({'mouthPressLeft': 0.5, 'mouthPressRight': 0.5}, {23, 24}),
        ({'jawOpen': 0.2}, {25}),
        ({'jawOpen': 0.25}, {25, 26}),
        ({'browInnerUp': 0.24}, set()),
    ],
)
def test_action_units_follow_from_the_shapes(shapes, active):
    units = frame_truth(_commanded(shapes=shapes)).units[0]
    assert {name for name, is_active in zip(ACTION_UNITS, units, strict=True) if is_active} == {
        f'AU{unit}' for unit in active
    }


def test_who_is_away_is_invalid_and_who_is_covered_is_annotated():
    part = next(part for part in DEFAULT.parts() if {AWAY, COVERED} <= set(part.states.tolist()))
    truth, annotated = frame_truth(part.curves), part.annotated()
    away, covered = part.states == AWAY, part.states == COVERED
    assert (annotated.expression[away] == -1).all()
    assert np.isnan(annotated.affect[away]).all()
    assert (annotated.units[away] == -1).all()
    assert (annotated.expression[covered] == truth.expression[covered]).all()
    assert (np.abs(annotated.affect[~away]) <= 1).all()


def test_a_rater_is_late_and_noisy_by_what_was_asked():
    exact = replace(DEFAULT, noise=0.0).part(0, '')
    late = replace(DEFAULT, noise=0.0, delay_s=0.4).part(0, '')
    seen = (exact.states != AWAY)[10:] & (exact.states != AWAY)[:-10]
    shifted = exact.annotated().affect[:-10][seen]  # 0.4 s at 25 Hz
    assert late.annotated().affect[10:][seen] == pytest.approx(shifted, abs=1e-5)
    noisy = replace(DEFAULT, noise=0.1).part(0, '').annotated().affect[exact.states != AWAY]
    assert np.std(noisy - exact.annotated().affect[exact.states != AWAY]) == pytest.approx(0.1, rel=0.35)


def test_the_voice_is_louder_where_arousal_is_higher():
    part = next(part for part in DEFAULT.parts() if part.curves.speaking.mean() > 0.4)
    sound = part.sound()
    level = np.sqrt((sound[: len(part.times_s) * 640].reshape(-1, 640) ** 2).mean(axis=1))  # a frame of 40 ms
    speaks = (part.curves.speaking > 0.9) & (part.states != AWAY)
    assert np.corrcoef(np.log(level[speaks]), part.curves.arousal[speaks])[0, 1] > 0.6


def test_every_partition_has_every_class_and_nobody_twice():
    by_split = {}
    for part in DEFAULT.parts():
        by_split.setdefault(DEFAULT.split(part.number), []).append(frame_truth(part.curves).expression)
    assert {split: len(parts) for split, parts in by_split.items()} == {'train': 28, 'val': 9, 'test': 9}
    for parts in by_split.values():
        assert set(np.concatenate(parts).tolist()) == set(range(8))


@pytest.mark.parametrize('wrong', [{'videos': 4}, {'seconds': 0}, {'size': 33}, {'noise': -1}, {'seed': -1}])
def test_settings_that_cannot_be_drawn_are_refused(wrong):
    with pytest.raises(ValueRangeError):
        AffWild2Settings(**wrong)


def test_the_command_makes_the_corpus_and_refuses_options_of_the_other(tmp_path):
    run = CliRunner().invoke(
        main, ['corpus', 'make', 'affwild2', '--out', str(tmp_path / 'out'), '--clips', '5', '--seconds', '0.2',
               '--fps', '10', '--size', '32'],
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    assert '5 videos of 6 people, 12 annotated frames' in ' '.join(run.output.split())
    run = CliRunner().invoke(main, ['corpus', 'make', 'affwild2', '--out', str(tmp_path / 'no'), '--people', '3'])
    assert run.exit_code == 2
    assert '--people' in run.output


@pytest.fixture
def speech(tmp_path):
    """Five recordings of a tone each, one of them twice, silence, and one that is too short."""
    folder = tmp_path / 'speech'
    folder.mkdir()
    time = np.arange(3 * RATE_HZ) / RATE_HZ
    for number in range(5):
        tone = 0.2 * np.sin(2 * np.pi * (200 + 40 * number) * time).astype(np.float32)
        write_audio(folder / f'reader{number}.wav', tone, RATE_HZ)
    shutil.copy(folder / 'reader0.wav', folder / 'twice.wav')
    write_audio(folder / 'silence.wav', np.zeros(3 * RATE_HZ, np.float32), RATE_HZ)
    write_audio(folder / 'word.wav', np.full(RATE_HZ, 0.1, np.float32), RATE_HZ)
    return BorrowedSpeech.of_folder(folder)


def test_speech_is_heard_of_one_person_in_one_partition(speech):
    assert [path.name for path in speech.recordings] == [f'reader{number}.wav' for number in range(5)]
    assert set(speech.left_out) == {'twice.wav', 'silence.wav', 'word.wav'}
    splits = {}
    for part in replace(DEFAULT, videos=8).parts():
        name = dealt(speech.recordings, replace(DEFAULT, videos=8))[part.name]
        splits.setdefault(name, set()).add(DEFAULT.split(part.number))
    assert set(map(len, splits.values())) == {1}
    assert len(splits) == 5


def test_speech_is_louder_and_higher_where_arousal_is_higher(speech):
    settings = replace(DEFAULT, videos=8)
    part = next(part for part in settings.parts() if part.curves.speaking.mean() > 0.4)
    sound = part.sound(speech)
    frames = sound[: len(part.times_s) * 640].reshape(-1, 640)
    speaks = (part.curves.speaking > 0.9) & (part.states != AWAY)
    level = np.sqrt((frames**2).mean(axis=1))
    assert np.corrcoef(np.log(level[speaks]), part.curves.arousal[speaks])[0, 1] > 0.9
    crossings = (np.diff(np.signbit(frames), axis=1) != 0).sum(axis=1)  # twice the pitch, over 0.04 s
    assert np.corrcoef(crossings[speaks], part.curves.arousal[speaks])[0, 1] > 0.5
    # a tone of f Hz, commanded to arousal a, has f 2**(0.35 a) Hz
    base = 200 + 40 * int(dealt(speech.recordings, settings)[part.name].stem[-1])
    expected = base * 2 ** (0.35 * part.curves.arousal[speaks])
    assert np.median(crossings[speaks] / 2 / 0.04 / expected) == pytest.approx(1, abs=0.05)


def test_the_corpus_with_speech_is_another_one_and_needs_enough_people(speech, tmp_path):
    made_up_affwild2(tmp_path / 'spoken', SMALL, speech=speech)
    with pytest.raises(RunError, match='speech'):
        made_up_affwild2(tmp_path / 'spoken', SMALL, resume=True)
    with pytest.raises(ValueRangeError, match='at least 6 recordings'):
        made_up_affwild2(tmp_path / 'many', DEFAULT, speech=speech)
    with pytest.raises(MediaError, match='nowhere'):
        BorrowedSpeech.of_folder(tmp_path / 'nowhere')
