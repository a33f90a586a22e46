"""The recipe of the published scale: its manifest, its settings, and its first 20 steps with a tiny network."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from affekt.clips import ClipSettings
from affekt.errors import CorpusError
from affekt.media import write_audio, write_video
from affekt.media.synthetic import numbered_images, tone
from affekt.pretraining import HicmaeForm

RECIPE = Path(__file__).parents[2] / 'recipes' / 'hicmae' / 'voxceleb2.py'


@pytest.fixture(scope='module')
def recipe():
    spec = importlib.util.spec_from_file_location('voxceleb2', RECIPE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def release(tmp_path_factory) -> Path:
    """Four clips laid out as the release, three with a file of sound; the last is damaged."""
    root = tmp_path_factory.mktemp('voxceleb2')
    for number in range(4):
        video = root / 'dev' / 'mp4' / f'id0000{number % 2}' / 'abc' / f'0000{number}.mp4'
        sound = root / 'dev' / 'aac' / video.relative_to(root / 'dev' / 'mp4').with_suffix('.wav')
        for path in (video, sound):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_video(video.with_suffix('.mkv'), numbered_images(12), 25.0)
        video.with_suffix('.mkv').rename(video)
        if number:
            write_audio(sound, tone(0.6, 200 + 100 * number), 16_000)
    video.write_bytes(b'no video')
    sound.unlink()
    return root


def test_the_first_updates_of_the_published_run_go_through(recipe, release, tmp_path):
    manifest = recipe.voxceleb2(release)
    assert manifest.names[:2] == ('id00000/abc/00000', 'id00000/abc/00002')
    assert manifest.present() | {'text': 0} == {'text': 0, 'audio': 2, 'video': 4, 'frames': 0}
    form = HicmaeForm(16, 2, 16, 2, depth=4, decoder_depth=3, fusion_depth=1, frames=4, size=32, steps=64)
    settings = recipe.settings_for('cpu', steps=20, batch_size=4, video_mask=0.5, workers=1, snapshot_every=None)
    whole = ClipSettings(size=32, crop='none')
    done = recipe.train(manifest, tmp_path / 'run', settings, form=form, clip_settings=whole)
    assert done.history[-1]['step'] == 20
    assert done.drawn == {'without_video': 0, 'without_audio': 20, 'unread': 20}  # one without sound, one damaged
    for path in release.rglob('*.mp4'):
        path.rename(path.with_suffix('.gone'))
    for path in release.rglob('*.wav'):
        path.rename(path.with_suffix('.away'))
    with pytest.raises(CorpusError, match='none of the last'):
        recipe.train(manifest, tmp_path / 'gone', settings, form=form, clip_settings=whole)
    for path in [*release.rglob('*.gone'), *release.rglob('*.away')]:
        path.rename(path.with_suffix('.mp4' if path.suffix == '.gone' else '.wav'))
    packed = recipe.train(
        manifest, tmp_path / 'packed', recipe.settings_for('cpu', steps=2, batch_size=3, video_mask=0.5, workers=0),
        form=form, clip_settings=whole, cache=tmp_path / 'cache',
    )  # fmt: skip
    assert (packed.survey.clips, packed.drawn['unread']) == (3, 0)


def test_settings_are_the_published_ones(recipe):
    settings = recipe.settings_for('cuda')
    assert (settings.epochs, settings.batch_size, settings.compiled) == (100, 160, True)
    assert settings.scaled_rate == pytest.approx(1.875e-4)


def test_a_folder_that_is_no_release_is_refused(recipe, tmp_path):
    with pytest.raises(CorpusError, match='none in'):
        recipe.voxceleb2(tmp_path)
