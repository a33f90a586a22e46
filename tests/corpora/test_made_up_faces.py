"""A corpus of made-up faces: what lies on disk, the same for the same seed, resumed, and nobody in two splits."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from affekt.cli import main
from affekt.corpora import FaceCorpus, Manifest, check_corpus, made_up_face_corpus
from affekt.errors import RunError, ValueRangeError
from affekt.face3d import EMOTIONS
from affekt.media import Recording

SMALL = FaceCorpus(clips=4, people=3, seconds=0.2, rate_hz=10, size=32)


def test_videos_manifest_and_curves_agree(tmp_path):
    manifest = made_up_face_corpus(tmp_path / 'faces', SMALL)
    again = Manifest.load(tmp_path / 'faces' / 'manifest.parquet')
    assert again.names == manifest.names
    assert not check_corpus(again).harmful(())
    curves = parquet.read_table(tmp_path / 'faces' / 'curves.parquet').to_pandas()
    for number, row in enumerate(again.samples):
        clip = SMALL.clip(number)
        images = [frame.image for frame in Recording.open(tmp_path / 'faces' / row.video).frames()]
        assert len(images) == len(clip) == 2
        # what libx264 changes of 32 x 32 pixels with coarse colours
        assert np.abs(np.stack(images).astype(float) - np.stack(list(clip))).mean() < 8
        mine = curves[curves['sample'] == row.sample]
        assert mine['jawOpen'].to_numpy() == pytest.approx(
            clip.curves.expression[:, clip.names.index('jawOpen')], abs=1e-6
        )
        assert row.valence == pytest.approx(mine['valence'].mean(), abs=1e-4)
        assert row.category == clip.emotion


def test_a_killed_run_is_resumed_to_the_same_bytes(tmp_path):
    def stop(stage, done, total):
        if done == 2:
            raise KeyboardInterrupt

    made_up_face_corpus(tmp_path / 'whole', SMALL)
    with pytest.raises(KeyboardInterrupt):
        made_up_face_corpus(tmp_path / 'cut', SMALL, progress=stop)
    with pytest.raises(RunError, match='resume'):
        made_up_face_corpus(tmp_path / 'cut', SMALL)
    reports = []
    made_up_face_corpus(tmp_path / 'cut', SMALL, resume=True, progress=lambda *each: reports.append(each))
    assert reports == [('faces', 2, 4), ('faces', 3, 4), ('faces', 4, 4)]
    for path in (tmp_path / 'whole').glob('*.mp4'):
        assert path.read_bytes() == (tmp_path / 'cut' / path.name).read_bytes()


def test_nobody_is_in_two_splits_and_every_person_shows_every_emotion():
    corpus = FaceCorpus(clips=140, people=20)
    assert sorted(corpus.splits.count(split) for split in ('train', 'val', 'test')) == [3, 3, 14]
    shown = {(corpus.person(number), corpus.clip(number).emotion) for number in range(140)}
    assert len(shown) == 20 * len(EMOTIONS)
    faces = {corpus.person(number): corpus.clip(number).person.identity.tobytes() for number in range(20)}
    assert len(set(faces.values())) == 20


def test_two_people_are_both_for_training():
    assert FaceCorpus(clips=2, people=2).splits == ('train', 'train')


@pytest.mark.parametrize(
    'settings', [{'clips': 0}, {'clips': 2, 'people': 3}, {'people': 0}, {'seed': -1}, {'size': 33}]
)
def test_numbers_that_make_no_corpus_are_refused(settings):
    with pytest.raises(ValueRangeError):
        FaceCorpus(**settings)


def test_nothing_is_written_where_a_clip_cannot_be_drawn(tmp_path):
    with pytest.raises(ValueRangeError):
        made_up_face_corpus(tmp_path / 'faces', FaceCorpus(clips=1, people=1, size=5))
    assert not (tmp_path / 'faces').exists()


def test_the_command_writes_the_corpus_and_says_so(tmp_path):
    out = str(tmp_path / 'faces')
    asked = ['corpus', 'make', 'faces', '--out', out, '--clips', '1', '--seconds', '0.1', '--size', '32']
    answer = CliRunner().invoke(main, asked)
    assert answer.exit_code == 0, answer.output
    assert '1 clip of 1 person' in answer.output
    assert CliRunner().invoke(main, asked).exit_code == 2
    assert CliRunner().invoke(main, [*asked[:3], '--out', f'{out}2', '--seconds', '-1']).exit_code == 2
