"""Networks that see: published and corrected forms against plain computations, over a tiny network of each kind."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('transformers', reason='transformers is not installed')

import tiny_models
import torch
import transformers
from PIL import Image

from affekt.clips import stored_pictures
from affekt.corpora import Facts, Manifest, Sample
from affekt.encoders.framing import evenly, uniform
from affekt.errors import TableError
from affekt.features import Store, Unable, extract, recipe_named
from affekt.features.face_pictures import face_pictures

COUNTS = {'many': 40, 'few': 5, 'one': 1}


@pytest.fixture(scope='module')
def faces(tmp_path_factory):
    """Stacks of smooth coloured pictures, blue before red as OpenFace's are stored."""
    folder = tmp_path_factory.mktemp('faces')
    rng = np.random.default_rng(3)
    for name, count in COUNTS.items():
        small = rng.integers(0, 255, (count, 7, 7, 3), dtype=np.uint8)
        large = [np.asarray(Image.fromarray(one).resize((112, 112), Image.Resampling.BICUBIC)) for one in small]
        (folder / name).mkdir()
        np.save(folder / name / f'{name}.npy', np.stack(large))
    np.save(folder / 'none.npy', np.zeros((0,)))
    rows = [Sample(name, frames=name) for name in COUNTS]
    return Manifest(Facts('toy', root=str(folder)), (*rows, Sample('none', frames='none.npy'), Sample('lost')))


def _store(manifest, recipe, out):
    return Store(extract(manifest, recipe, out).path.parent)


def _pixels(manifest, name, side, mean, std, method, *, cut=None):
    """(T, 3, H, W) by Pillow alone."""
    stack = np.load(f'{manifest.facts.root}/{name}/{name}.npy')[..., ::-1]
    found = []
    for one in stack:
        small = np.asarray(Image.fromarray(np.ascontiguousarray(one)).resize((side, side), method), np.float32)
        if cut:
            edge = (side - cut) // 2
            small = small[edge : edge + cut, edge : edge + cut]
        found.append(((small / 255 - mean) / std).transpose(2, 0, 1))
    return torch.tensor(np.stack(found), dtype=torch.float32)


def _network(folder):
    with tiny_models.quiet():
        return transformers.AutoModel.from_pretrained(folder).eval()


CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLOSE = {'rtol': 2e-3, 'atol': 2e-3}


def test_clip_is_the_projected_picture_of_every_frame_under_both_names(faces, tmp_path):
    folder = tiny_models.clip(tmp_path / 'clip')
    network = _network(folder)
    pixels = _pixels(faces, 'many', 32, *CLIP, Image.Resampling.BICUBIC)
    with torch.inference_mode():
        expected = network.visual_projection(network.vision_model(pixels).pooler_output).numpy()
    for form in ('merbench-', ''):
        store = _store(faces, recipe_named(f'{form}own-video-frm', model=str(folder)), tmp_path / 'out')
        assert {name: len(store.values(name)) for name in COUNTS} == COUNTS
        assert store.missing == {'none': 'no face', 'lost': 'no images: it has neither a video nor frames'}
        np.testing.assert_allclose(store.values('many'), expected, **CLOSE)


def test_data2vec_sums_197_tokens_as_published_and_averages_patches_when_corrected(faces, tmp_path):
    folder = tiny_models.data2vec_vision(tmp_path / 'data2vec')
    pixels = _pixels(faces, 'few', 32, (0.5,) * 3, (0.5,) * 3, Image.Resampling.BICUBIC)
    with torch.inference_mode():
        states = _network(folder)(pixels).last_hidden_state.numpy()  # no final norm: the network averages itself
    assert states.shape == (5, 17, tiny_models.WIDTH)
    published = _store(faces, recipe_named('merbench-own-video-frm', model=str(folder)), tmp_path)
    corrected = _store(faces, recipe_named('own-video-frm', model=str(folder)), tmp_path)
    np.testing.assert_allclose(published.values('few'), states.sum(axis=1), rtol=2e-3, atol=2e-2)
    np.testing.assert_allclose(corrected.values('few'), states[:, 1:].mean(axis=1), **CLOSE)


def test_dinov2_repeats_the_last_frame_and_lacks_the_final_norm_as_published(faces, tmp_path):
    folder = tiny_models.dinov2(tmp_path / 'dinov2')
    network = _network(folder)
    pixels = _pixels(faces, 'few', 36, *IMAGENET, Image.Resampling.BICUBIC, cut=32)
    before = []
    network.layernorm.register_forward_hook(lambda module, inputs, output: before.append(inputs[0]))
    with torch.inference_mode():
        after = network(pixels).last_hidden_state.numpy()
    stores = {}
    for form in ('merbench-', ''):
        recipe = recipe_named(f'{form}own-video-frm', model=str(folder))
        as_dinov2_large = dataclasses.replace(recipe, facts={**recipe.facts, 'pictures': 64})
        stores[form] = _store(faces, as_dinov2_large, tmp_path / 'out')
    rows = stores['merbench-'].values('few')
    assert (len(rows), len(stores[''].values('few'))) == (64, 5)
    np.testing.assert_allclose(rows[:5], before[0].sum(dim=1).numpy(), rtol=2e-3, atol=2e-2)
    np.testing.assert_allclose(rows[5:], np.tile(rows[4], (59, 1)), rtol=1e-5)  # the same picture in another batch
    np.testing.assert_allclose(stores[''].values('few'), after[:, 1:].mean(axis=1), **CLOSE)


def test_videomae_is_eight_pairs_of_sixteen_frames(faces, tmp_path):
    folder = tiny_models.videomae(tmp_path / 'videomae')
    network = _network(folder)
    forms = {'merbench-': uniform, '': evenly}
    for name, count in COUNTS.items():
        pixels = _pixels(faces, name, 32, *IMAGENET, Image.Resampling.BILINEAR)
        for form, taken in forms.items():
            with torch.inference_mode():
                states = network(pixels[taken(count, 16)][None]).last_hidden_state[0].numpy()
            assert states.shape == (8 * 16, tiny_models.WIDTH)
            store = _store(faces, recipe_named(f'{form}own-video-frm', model=str(folder)), tmp_path / 'out')
            expected = np.stack([states[begin : begin + 16].mean(axis=0) for begin in range(0, 128, 16)])
            np.testing.assert_allclose(store.values(name), expected, **CLOSE)
    one = _store(faces, recipe_named('own-video-utt', model=str(folder)), tmp_path / 'out')
    assert one.values('few').shape == (1, tiny_models.WIDTH)


@pytest.mark.parametrize('wanted', [16, 64])
def test_frames_are_taken_as_the_published_program_takes_them(wanted):
    for count in range(1, 400):
        kept = min(wanted, count)
        taken = np.arange(0, count, count / kept).astype(int).tolist()  # steps of floating point, then cut off
        expected = (taken + [taken[-1]] * wanted)[:wanted]
        assert uniform(count, wanted).tolist() == expected


def test_pictures_of_a_folder_come_in_order_and_damaged_ones_are_named(tmp_path):
    (tmp_path / 'clip').mkdir()
    for at, grey in ((2, 200), (1, 100)):
        Image.fromarray(np.full((20, 20, 3), grey, np.uint8)).save(tmp_path / 'clip' / f'frame_{at:03}.bmp')
    rows = (Sample('a', frames='clip'), Sample('b', frames='wide.npy'), Sample('c', frames='away.npy'))
    np.save(tmp_path / 'wide.npy', np.zeros((3, 8, 8)))
    manifest = Manifest(Facts('toy', root=str(tmp_path)), rows)
    held, wide, away = (face_pictures(manifest, row) for row in rows)
    assert [int(image[0, 0, 0]) for image in held.images] == [100, 200]
    assert held.times is None
    assert wide == Unable('b', 'unreadable: (3, 8, 8) of float64 in wide.npy')
    assert away == Unable('c', 'unreadable: frames that are not there')
    (tmp_path / 'clip' / 'frame_003.bmp').write_bytes(b'BM')
    recipe = recipe_named('own-video-frm', model=str(tiny_models.clip(tmp_path / 'net')))
    assert 'frame_003.bmp' in dict(extract(manifest.where(sample='a'), recipe, tmp_path / 'out').missing)['a']


def test_faces_of_a_film_are_those_of_the_person_who_fills_most_of_it(tmp_path, shared_data):
    from affekt.faces import FaceLandmarker
    from affekt.media.writing import write_video

    photograph = Image.open(shared_data / 'test_media' / 'single_face.jpg').convert('RGB')
    photograph.thumbnail((480, 480))
    near = np.asarray(photograph)[: photograph.height // 2 * 2, : photograph.width // 2 * 2]
    far = Image.fromarray(near).resize((near.shape[1] // 2, near.shape[0] // 2))
    scene = np.concatenate([near, np.full_like(near, 70)], axis=1)
    scene[: far.height, near.shape[1] : near.shape[1] + far.width] = np.asarray(far)[..., ::-1]  # in blue
    empty = np.full_like(scene, 70)
    write_video(tmp_path / 'film.mp4', [scene] * 4 + [empty] * 2, 10)
    rows = (Sample('all', video='film.mp4'), Sample('part', video='film.mp4', start_s=0.2, end_s=10.0),
            Sample('empty', video='film.mp4', start_s=0.45, end_s=0.7))  # fmt: skip
    manifest = Manifest(Facts('toy', root=str(tmp_path)), rows)
    landmarker = FaceLandmarker(shared_data / 'media' / 'face_landmarker.task')
    whole, part, nobody = (face_pictures(manifest, row, landmarker) for row in rows)
    assert whole.times == pytest.approx([0, 0.1, 0.2, 0.3], abs=1e-3)
    assert part.times == pytest.approx([0.2, 0.3], abs=1e-3)
    assert nobody == Unable('empty', 'no face')
    assert whole.images[0].shape == (112, 112, 3)
    assert whole.images[0][..., 0].mean() > whole.images[0][..., 2].mean() + 10


def test_of_several_arrays_of_faces_the_one_with_the_name_of_the_folder_is_read_and_others_refused(tmp_path):
    folder = tmp_path / 'clip'
    folder.mkdir()
    for name, colour in (('a', 1), ('b', 2)):
        np.save(folder / f'{name}.npy', np.full((2, 4, 4, 3), colour, np.uint8))
    with pytest.raises(TableError, match=r"'a\.npy', 'b\.npy'"):
        stored_pictures(folder)
    np.save(folder / 'clip.npy', np.full((3, 4, 4, 3), 3, np.uint8))
    assert (len(stored_pictures(folder)), int(stored_pictures(folder)[0].max())) == (3, 3)


def test_hidden_files_beside_faces_are_left_alone(tmp_path):
    for folder in ('arrays', 'pictures'):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / 'arrays' / 'a.npy', np.zeros((2, 4, 4, 3), np.uint8))
    (tmp_path / 'arrays' / '._a.npy').write_bytes(b'what a file manager leaves')
    Image.new('RGB', (4, 4)).save(tmp_path / 'pictures' / '1.png')
    (tmp_path / 'pictures' / '._1.png').write_bytes(b'what a file manager leaves')
    assert [len(stored_pictures(tmp_path / folder)) for folder in ('arrays', 'pictures')] == [2, 1]
