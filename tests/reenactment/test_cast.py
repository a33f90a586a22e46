"""Portraits in place of made-up people: who is in which partition, what moves, and what every video says of itself."""

from __future__ import annotations

import shutil
from collections import defaultdict

import numpy as np
import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.corpora import AffWild2Settings, made_up_affwild2
from affekt.errors import PortraitError, RunError
from affekt.face3d import Studio, made_up_background, made_up_light, made_up_person, pose_matrix
from affekt.media import Recording, write_image
from affekt.reenactment import Consent, PortraitCast, verify

SIZE = 112
SMALL = AffWild2Settings(videos=5, seconds=0.4, rate_hz=10, size=SIZE)


@pytest.fixture(scope='module')
def portraits(tmp_path_factory):
    """Five made-up people, one of them twice, a picture of nobody, and a file that is none."""
    folder = tmp_path_factory.mktemp('portraits')
    for number in range(5):
        rng = np.random.default_rng(20 + number)
        studio = Studio(made_up_person(rng), made_up_light(rng), made_up_background(rng, 2 * SIZE))
        pose = pose_matrix(yaw_deg=3, shift_cm=(0, -0.8, -62))
        write_image(folder / f'person{number}.png', studio.picture(np.zeros(51), pose, rng))
    shutil.copy(folder / 'person0.png', folder / 'person0_again.png')
    write_image(folder / 'wall.png', np.full((SIZE, SIZE, 3), 128, np.uint8))
    (folder / 'notes.txt').write_text('not a picture')
    return folder


@pytest.fixture(scope='module')
def cast(portraits):
    return PortraitCast.of_folder(portraits, SIZE)


@pytest.fixture(scope='module')
def filmed(cast, tmp_path_factory):
    folder = tmp_path_factory.mktemp('filmed') / 'corpus'
    made_up_affwild2(folder, SMALL, cast=cast)
    return folder


def test_pictures_without_a_face_and_second_copies_are_left_out_and_said_to_be(cast):
    assert [path.name for path in cast.portraits] == [f'person{number}.png' for number in range(5)]
    assert cast.left_out == {'person0_again.png': 'the same image as person0.png', 'wall.png': 'no face'}
    assert '2 images not used' in cast.notes[0]


def test_nobody_is_in_two_partitions_or_twice_in_a_picture():
    paths = tuple(range(9))  # names do not matter here
    settings = AffWild2Settings(videos=40, seconds=1)
    cast = PortraitCast(paths)
    splits, pictures = defaultdict(set), defaultdict(list)
    for part in settings.parts():
        splits[cast.portrait_of(part)].add(settings.split(part.number))
        pictures[part.number].append(cast.portrait_of(part))
    assert set(splits) == set(paths)
    assert all(len(own) == 1 for own in splits.values())
    assert all(len(set(shown)) == len(shown) for shown in pictures.values())


def test_too_few_portraits_are_refused(cast, tmp_path):
    # 40 videos show two people at once in every partition
    with pytest.raises(PortraitError, match='at least 6 portraits'):
        cast.settings(AffWild2Settings(videos=40))
    with pytest.raises(PortraitError, match='none'):
        PortraitCast.of_folder(tmp_path, SIZE)
    with pytest.raises(PortraitError, match='nowhere'):
        PortraitCast.of_folder(tmp_path / 'nowhere', SIZE)


def test_a_portrait_shows_what_is_commanded_and_carries_the_note(filmed, cast):
    first = [frame.image.astype(np.float64) for frame in Recording.open(filmed / 'videos' / 'video000.mp4').frames()]
    assert [image.shape for image in first] == [(SIZE, SIZE, 3)] * 4
    two = next(Recording.open(filmed / 'videos' / 'video002.mp4').frames()).image
    assert two.shape == (SIZE, 2 * SIZE, 3)
    part = SMALL.part(0, '')
    bare = np.stack(list(part.pictures(cast))).astype(np.float64)
    moved = np.abs(bare[-1] - bare[0]).mean(axis=2)[SIZE // 4 : -SIZE // 4, SIZE // 4 : -SIZE // 4]
    assert moved.max() > 30
    corner = (slice(-8, None), slice(0, 20))
    assert first[0][corner].mean() < 0.8 * bare[0][corner].mean()  # the darkened strip of the note


def test_another_cast_is_another_corpus(filmed, cast):
    with pytest.raises(RunError, match='portraits'):
        made_up_affwild2(filmed, SMALL, resume=True)
    made_up_affwild2(filmed, SMALL, cast=cast, resume=True)


def test_videos_with_a_statement_are_signed_with_it(portraits, tmp_path, monkeypatch):
    pytest.importorskip('c2pa')
    monkeypatch.setenv('AFFEKT_CONFIG', str(tmp_path / 'config'))
    cast = PortraitCast.of_folder(portraits, SIZE, Consent('nobody', 'made-up people'))
    tiny = AffWild2Settings(videos=5, seconds=0.2, rate_hz=5, size=SIZE)
    made_up_affwild2(tmp_path / 'corpus', tiny, cast=cast)
    verdict = verify(tmp_path / 'corpus' / 'videos' / 'video002.mp4')
    assert verdict.is_intact
    assert verdict.statement['consent']['note'] == 'made-up people'
    assert set(verdict.statement['settings']['people']) == {'video002_left', 'video002_right'}
    assert verdict.source_type == 'compositeSynthetic'


def test_the_command_asks_for_the_statement(portraits, tmp_path, monkeypatch):
    pytest.importorskip('c2pa')
    monkeypatch.setenv('AFFEKT_CONFIG', str(tmp_path / 'config'))
    options = ['corpus', 'make', 'affwild2', '--out', str(tmp_path / 'out'), '--clips', '5', '--seconds', '0.2',
               '--fps', '5', '--size', str(SIZE)]  # fmt: skip
    without = CliRunner().invoke(main, [*options, '--portraits', str(portraits)])
    assert without.exit_code == 2
    assert 'statement' in without.output
    child = CliRunner().invoke(main, [*options, '--portraits', str(portraits), '--portrayed', 'child'])
    assert child.exit_code == 2
    alone = CliRunner().invoke(main, [*options, '--portrayed', 'nobody'])
    assert alone.exit_code == 2
    assert '--portraits' in alone.output
    assert not (tmp_path / 'out').exists()
    run = CliRunner().invoke(main, [*options, '--portraits', str(portraits), '--portrayed', 'nobody'])
    assert run.exit_code == 0, run.output
    assert 'not used' in run.output


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['corpus', 'make', 'faces', '--out', 'x', '--portraits', 'y'], '--portraits'),
        (['bench', 'abaw', '--corpus', 'x', '--features', 'y', '--portraits', 'z'], '--made-up'),
    ],
)
def test_portraits_are_of_a_made_up_affwild2_alone(options, message):
    run = CliRunner().invoke(main, options)
    assert run.exit_code == 2
    assert message in run.output
