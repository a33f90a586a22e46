"""Readings of faces as features: from films and stored faces, and nothing where there is no face."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import CorpusError
from affekt.features import RECIPES, Store, check_store, extract
from affekt.weights import MODELS, state

pytestmark = pytest.mark.skipif(
    state(MODELS['face_landmarker.task']) != 'verified', reason='face_landmarker.task is absent (affekt weights get)'
)


@pytest.fixture(scope='module')
def stores(tmp_path_factory, shared_data):
    """Real films, and stored faces of which the second picture is black."""
    folder = tmp_path_factory.mktemp('faces')
    media = shared_data / 'test_media'
    face = np.array(Image.open(media / 'single_face.jpg').convert('RGB').resize((224, 224)))[..., ::-1]
    (folder / 'stored').mkdir()
    np.save(folder / 'stored' / 'stored.npy', np.stack([face, np.zeros_like(face), face]))
    rows = (
        Sample('smiling', video=str(media / 'single_face.mp4')),
        Sample('cut', video=str(media / 'single_face.mp4'), recording='single_face', start_s=0.5, end_s=1.0),
        Sample('nobody', video=str(media / 'no_face.mp4')),
        Sample('stored', frames=str(folder / 'stored')),
        Sample('gone', video=str(folder / 'gone.mp4')),
        Sample('said', text='nothing to see'),
    )
    manifest = Manifest(Facts('toy'), rows)
    for name in ('faces-frm', 'faces-utt'):
        extract(manifest, name, folder)
    return Store(folder / 'faces-frm'), Store(folder / 'faces-utt')


def test_a_film_gives_a_row_for_each_frame_with_the_face_and_its_time(stores):
    frames, _ = stores
    whole, cut = frames['smiling'], frames['cut']
    assert whole.values.shape == (len(whole.times), RECIPES['faces-frm'].dimension)
    assert check_store(frames).is_sound
    smile = whole.values[:, whole.columns.index('mouthSmileLeft')]
    happiness = whole.values[:, whole.columns.index('happiness')]
    assert smile[happiness > 0.5].mean() > smile[happiness < 0.5].mean() + 0.3  # the person begins to smile
    assert ((cut.times >= 0.5) & (cut.times < 1.0)).all()
    kept = (whole.times >= 0.5) & (whole.times < 1.0)
    np.testing.assert_allclose(cut.times, whole.times[kept])


def test_a_sample_is_the_mean_and_spread_of_its_frames_and_the_share_with_a_face(stores):
    frames, samples = stores
    count = len(RECIPES['faces-frm'].columns)
    row, held = samples['stored'].values[0], frames['stored']
    np.testing.assert_allclose(row[:count], held.values.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(row[count:-1], held.values.std(axis=0), rtol=1e-3, atol=1e-4)
    assert (samples.provenance.columns[-1], row[-1]) == ('share_with_face', pytest.approx(2 / 3))
    assert held.times is None


def test_without_a_face_there_are_no_features_and_the_reason_is_told(stores):
    for store in stores:
        assert store.names == ('smiling', 'cut', 'stored')
        assert (store.missing['nobody'], store.missing['said']) == (
            'no face',
            'no images: it has neither a video nor frames',
        )
        assert 'gone' in store.missing
    with pytest.raises(CorpusError, match='video or frames'):
        extract(Manifest(Facts('toy'), (Sample('said', text='a'),)), 'faces-utt', stores[0].path)
