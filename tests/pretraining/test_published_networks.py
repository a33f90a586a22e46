"""Both published networks: states of all sizes load strictly, and outputs, losses and targets come out.

Outputs are compared where sizes differ in more than their numbers: HiCMAE tiny, and base, whose decoder is not half as
wide as its encoder; SVFAP small.

Golden values: ../shared/data/vectors, from the published code (sunlicai/HiCMAE cdd28d4, sunlicai/SVFAP) under states
filled from names; its README says how.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fusion_reference as reference
import numpy as np
import pytest
import torch
from published_files import save_published
from torch import Tensor, nn

from affekt.nn import built
from affekt.pretraining import (
    FORMS,
    HicmaeClassifier,
    HicmaePretraining,
    SvfapClassifier,
    SvfapPretraining,
    classifier_from,
    form_named,
)
from affekt.pretraining.rebuilding import audio_targets, split_tokens, taken, tiles, tubes, video_targets

LISTED = [
    *(
        (f'hicmae_{size}_{stage}', f'hicmae-{size}')
        for size in ('tiny', 'small', 'base')
        for stage in ('finetune', 'pretrain')
    ),
    *((f'svfap_{size}_{stage}', f'svfap-{size}') for size in ('small', 'base') for stage in ('finetune', 'pretrain')),
]


def listed_shapes(vectors: Path, name: str) -> dict[str, tuple[int, ...]]:
    rows = (line.split('\t') for line in (vectors / f'{name}.keys.txt').read_text().splitlines()[1:])
    return {key: tuple(int(n) for n in shape[1:-1].split(',')) for key, shape, _ in rows}


def network(name: str, form, outputs: int = 7) -> nn.Module:
    classes = {
        'hicmae_finetune': lambda: HicmaeClassifier(form, outputs),
        'hicmae_pretrain': lambda: HicmaePretraining(form),
        'svfap_finetune': lambda: SvfapClassifier(form, outputs),
        'svfap_pretrain': lambda: SvfapPretraining(form),
    }
    family, _, stage = name.split('_')
    return classes[f'{family}_{stage}']()


def filled(vectors: Path, name: str, form, outputs: int = 7) -> nn.Module:
    state = {key: reference.filled(key, shape) for key, shape in listed_shapes(vectors, name).items()}
    model, coverage = built(lambda: network(name, form, outputs), state, {})
    assert len(coverage.rows) == len(state)
    return model.eval()


@pytest.fixture(scope='module')
def video() -> Tensor:
    return torch.tensor(reference.uniform('video', 2, 3, 16, 160, 160).astype(np.float32))


@pytest.fixture(scope='module')
def audio() -> Tensor:
    return torch.tensor(reference.uniform('audio', 2, 1, 256, 128).astype(np.float32))


def close(ours: Tensor, published: np.ndarray) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), published, rtol=0, atol=1e-5)


def once(compute: Callable) -> Callable:
    """Computes at the first call; each later one must be given the same and gets the same."""
    calls = []

    def recalled(*given):
        if not calls:
            calls.append((given, compute(*given)))
        torch.testing.assert_close(given, calls[0][0], rtol=0, atol=0)
        return calls[0][1]

    return recalled


@pytest.mark.parametrize(('name', 'form'), LISTED)
def test_names_and_shapes_are_the_published_ones(shared_data, name, form):
    wanted = listed_shapes(shared_data / 'vectors', name)
    outputs = wanted['head.weight'][0] if 'head.weight' in wanted else 1
    with torch.device('meta'):
        ours = network(name, FORMS[form](), outputs).state_dict()
    assert {key: tuple(value.shape) for key, value in ours.items()} == wanted


def test_the_registered_width_of_svfap_base_is_another_form(shared_data):
    form = replace(form_named('svfap', 'base'), width=768, heads=12)
    with torch.device('meta'):
        ours = SvfapPretraining(form).state_dict()
    wanted = listed_shapes(shared_data / 'vectors', 'svfap_base768repo_pretrain')
    assert {key: tuple(value.shape) for key, value in ours.items()} == wanted


def test_what_no_shape_shows_is_as_published():
    # heads are 64 wide everywhere; the stages of SVFAP base have 12, 6 and 3 blocks, those of small 8, 4 and 2
    for name, form in ((name, make()) for name, make in FORMS.items()):
        assert (name, form.width // form.heads, form.decoder_width // form.decoder_heads) == (name, 64, 64)
    assert [form_named('svfap', size).depths for size in ('small', 'base')] == [(8, 4, 2), (12, 6, 3)]


def test_hicmae_answers_as_published_by_way_of_a_file(shared_data, tmp_path, video, audio):
    vectors = shared_data / 'vectors'
    published = np.load(vectors / 'hicmae_tiny_finetune.npz')
    state = filled(vectors, 'hicmae_tiny_finetune', form_named('hicmae', 'tiny'), 6).state_dict()
    model, transfer = classifier_from(save_published(tmp_path / 'checkpoint-best.pth', state, wrapper='module.'))
    assert transfer.new == transfer.remarks == ()
    model.eval()
    with torch.inference_mode():
        features, keep_mask = model.features(video, audio)
        normal = model.normalised(features)
        close(model.head(normal), published['logits'])
        layers = list(model.encoder_audio.layers(audio[:1]))
    assert keep_mask is None
    close(normal, published['feature_fcnorm'])
    close(layers[-1][0, :4, :32], published['enc_audio_last_slice'])


@pytest.mark.parametrize('size', ['tiny', 'base'])
def test_hicmae_rebuilds_and_matches_as_published(shared_data, video, audio, size):
    vectors = shared_data / 'vectors'
    published = np.load(vectors / f'hicmae_{size}_pretrain.npz')
    model = filled(vectors, f'hicmae_{size}_pretrain', form_named('hicmae', size))
    masks = torch.tensor(published['mask_video']), torch.tensor(published['mask_audio'])
    model._hidden = once(model._hidden)  # the outputs and the losses are made of the same tokens
    with torch.inference_mode():
        rebuilt, losses = model(video, audio, *masks), model.losses(video, audio, *masks)
    assert rebuilt.video.shape == (2, 720, 1536)
    assert rebuilt.audio.shape == (2, 102, 256)
    close(rebuilt.video[:, :4, :64], published['pred_video_slice'])
    close(rebuilt.audio[:, :4, :64], published['pred_audio_slice'])
    for seen, heard, logits in zip(
        rebuilt.video_layers, rebuilt.audio_layers, published['logits_per_video'], strict=True
    ):
        normal = [nn.functional.normalize(layer, dim=1) for layer in (seen, heard)]
        np.testing.assert_allclose((normal[0] @ normal[1].t() / 0.07).numpy(), logits, rtol=0, atol=1e-4)
    assert float(losses['video']) == pytest.approx(float(published['loss_video_diff_target']), abs=1e-5)
    _, masked = split_tokens(masks[0])
    plain = video_targets(taken(tubes(video), masked), is_difference=False)
    expected = float(published['loss_video_plain_target'])
    assert float(nn.functional.mse_loss(rebuilt.video, plain)) == pytest.approx(expected, abs=1e-5)
    assert float(losses['audio']) == pytest.approx(float(published['loss_audio']), abs=1e-5)
    assert float(losses['contrast']) == pytest.approx(0.0025 * float(published['loss_contrastive_sum']), abs=1e-6)
    assert float(sum(losses.values())) == pytest.approx(float(published['loss_total']), abs=1e-5)


def test_targets_are_the_published_ones(shared_data, video, audio):
    published = np.load(shared_data / 'vectors' / 'hicmae_tiny_pretrain.npz')
    _, masked = split_tokens(torch.tensor(published['mask_video']))
    patches = taken(tubes(video), masked)
    # the first 64 numbers are cells of the first frame of a patch, which the difference leaves as they are
    difference = video_targets(patches, is_difference=True)
    close(difference[:, :4, :64], published['target_video_slice'])
    close(difference[:, :4, 768:832], published['target_video_frame1_slice'])
    _, masked = split_tokens(torch.tensor(published['mask_audio']))
    close(audio_targets(taken(tiles(audio), masked))[:, :4, :64], published['target_audio_slice'])


def test_svfap_answers_as_published(shared_data, video):
    vectors = shared_data / 'vectors'
    published = np.load(vectors / 'svfap_small_finetune.npz')
    model = filled(vectors, 'svfap_small_finetune', form_named('svfap', 'small'))
    with torch.inference_mode():
        features, _ = model.features(video)
        normal = model.normalised(features)
        close(model.head(normal), published['logits'])
        stage = model.clip_stages(video[:1])[0].flatten(1, 2)  # (1, T * S, C)
    close(normal, published['feature_fcnorm'])
    close(stage[0, :4, :32], published['stage1_slice'])


@pytest.mark.parametrize('is_published', [False, True])
def test_svfap_rebuilds_in_both_wirings(shared_data, video, is_published):
    vectors = shared_data / 'vectors'
    published = np.load(vectors / 'svfap_small_pretrain.npz')
    wiring = 'asrepo' if is_published else 'fixed'
    form = replace(form_named('svfap', 'small'), is_published_wiring=is_published)
    model = filled(vectors, 'svfap_small_pretrain', form)
    model.encoded, model._hidden = once(model.encoded), once(model._hidden)
    mask = torch.tensor(published['mask_video'])
    with torch.inference_mode():
        visible, _ = split_tokens(mask)
        close(model.encoded(tubes(video), visible)[0, :4, :32], published[f'enc_slice_{wiring}'])
        close(model(video, mask)[:, :4, :64], published[f'pred_slice_{wiring}'])
        loss = model.losses(video, None, mask)['video']
    assert float(loss) == pytest.approx(float(published[f'loss_{wiring}']), abs=1e-5)
