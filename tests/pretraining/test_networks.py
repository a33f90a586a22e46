"""What the networks promise at any size: absent modalities are masked, all weights learn, wrong input is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.pretraining import (
    HicmaeClassifier,
    HicmaeForm,
    HicmaePretraining,
    SvfapClassifier,
    SvfapForm,
    SvfapPretraining,
    form_named,
    rebuilding,
)
from affekt.pretraining.rebuilding import contrast, rebuilding_error, split_tokens, taken
from affekt.training import layered_groups

SMALL = HicmaeForm(32, 2, 16, 2, depth=4, decoder_depth=2, frames=4, size=32, steps=64, bands=32)
FACES = SvfapForm(32, 2, 16, 2, depths=(2, 2, 2), decoder_depth=1, summary_width=8, frames=8, size=32)


def clips(count: int = 3, form=SMALL) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    video = torch.randn(count, 3, form.frames, form.size, form.size, generator=rng)
    return video, torch.randn(count, 1, 64, 32, generator=rng)


def tube(count: int, slices: int, cells: int) -> torch.Tensor:
    """(B, N) bool: all cells hidden but one of each clip, the same in each slice."""
    plane = torch.ones(count, cells, dtype=torch.bool)
    plane[torch.arange(count), torch.arange(count) % cells] = False
    return plane.repeat(1, slices)


def model(form=SMALL) -> HicmaeClassifier:
    torch.manual_seed(0)
    network = HicmaeClassifier(form, 5, drop_path=0.0)
    for parameter in network.parameters():  # biases too, so that what is read without a reason shows
        torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


def test_what_a_clip_lacks_is_masked_whatever_stands_there():
    network, (video, audio) = model(), clips()
    has = torch.tensor([True, False, True])
    rubbish = video.clone()
    rubbish[1] = 99.0
    with torch.inference_mode():
        mixed = network(video, audio, has_video=has)
        torch.testing.assert_close(network(rubbish, audio, has_video=has), mixed)
        torch.testing.assert_close(network(None, audio)[1], mixed[1])
        torch.testing.assert_close(network(video[[0, 2]], audio[[0, 2]]), mixed[[0, 2]])
        assert not torch.allclose(network(video, audio)[1], mixed[1], atol=1e-3)
        has_audio = torch.tensor([False, True, True])
        torch.testing.assert_close(network(video, None)[0], network(video, audio, None, has_audio)[0])


def test_not_even_nan_in_place_of_what_a_clip_lacks_reaches_a_gradient():
    network, (video, audio) = model(), clips()
    has = torch.tensor([True, False, True])
    video[1], audio[0] = torch.nan, torch.nan
    network(video, audio, has, torch.tensor([False, True, True])).square().sum().backward()
    together = [parameter.grad for parameter in network.parameters()]
    alone = model()
    for answer in (alone(video[:1], None), alone(None, audio[1:2]), alone(video[2:], audio[2:])):
        answer.square().sum().backward()
    for gradient, parameter in zip(together, alone.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-4)


def test_a_clip_with_neither_modality_is_refused():
    network, (video, audio) = model(), clips()
    with pytest.raises(ShapeError, match='video or audio; got one with neither'):
        network(video, audio, torch.tensor([True, False, True]), torch.tensor([True, False, True]))
    with pytest.raises(ShapeError, match='video or audio; got neither'):
        network()
    with pytest.raises(ShapeError, match='clips with video; got clips without'):
        SvfapClassifier(FACES, 2)(None, audio)
    with pytest.raises(ShapeError, match='clips with video; got one without'):
        HicmaeClassifier(replace(SMALL, modalities=('video',)), 2)(video, None, torch.tensor([True, False, True]))


@pytest.mark.parametrize('modality', ['video', 'audio'])
def test_one_branch_alone_has_the_names_of_the_whole(modality):
    whole, part = HicmaeClassifier(SMALL, 5), HicmaeClassifier(replace(SMALL, modalities=(modality,)), 5)
    shapes = {name: value.shape for name, value in whole.state_dict().items()}
    for name, value in part.state_dict().items():
        assert name.startswith(('head', 'fc_norm')) or shapes[name] == value.shape
    assert part.head.in_features == 32
    video, audio = clips()
    assert part.eval()(video, audio).shape == (3, 5)


def test_every_weight_learns():
    video, audio = clips()
    mask, audio_mask = tube(3, 2, 4), tube(3, 1, 8)
    torch.manual_seed(0)
    for network in (HicmaePretraining(SMALL), HicmaeClassifier(SMALL, 5)):
        if isinstance(network, HicmaePretraining):
            sum(network.losses(video, audio, mask, audio_mask).values()).backward()
        else:
            network(video, audio).square().sum().backward()
        assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
    video, _ = clips(3, FACES)
    learner = SvfapPretraining(FACES)
    two_visible = tube(3, 4, 4) & tube(3, 4, 4).roll(1, dims=1)  # one alone takes all the weight of its slice
    learner.losses(video, None, two_visible)['video'].backward()
    assert [name for name, p in learner.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_one_modality_is_pretrained_by_itself():
    video, audio = clips()
    branch = HicmaePretraining(replace(SMALL, modalities=('audio',)))
    assert set(branch.losses(None, audio, None, tube(3, 1, 8))) == {'audio'}
    assert set(branch.losses(video, audio, tube(3, 2, 4), tube(3, 1, 8))) == {'audio'}
    with pytest.raises(ShapeError, match='clips with audio; got none'):
        branch.losses(video, None, tube(3, 2, 4))
    assert not any(name.startswith(('encoder.', 'encoder_fusion')) for name in branch.state_dict())
    whole = HicmaePretraining(SMALL)
    assert set(whole.losses(video, None, tube(3, 2, 4), None)) == {'video'}


def test_contrast_of_two_clips_by_hand():
    # rows (1, 0) and (0, 1) in both: logits are I / t, so each term is log(1 + exp(-1 / t))
    eye = torch.eye(2)
    expected = torch.log1p(torch.exp(torch.tensor(-1 / 0.5)))
    assert contrast(3 * eye, 2 * eye, temperature=0.5) == pytest.approx(float(expected), abs=1e-6)
    assert contrast(torch.ones(4, 2), torch.ones(4, 2)) == pytest.approx(1.386294, abs=1e-5)  # log 4


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.bfloat16])
def test_the_error_of_rebuilt_patches_and_its_gradients_are_those_of_plain_torch(dtype, monkeypatch):
    monkeypatch.setattr(rebuilding, 'PIECE', 30)  # two patches of 5 cells and 3 channels
    rng = torch.Generator().manual_seed(0)
    tokens = torch.randn(2, 3, 4, generator=rng).to(dtype).requires_grad_()
    patches = torch.randn(2, 6, 5, 3, generator=rng).to(torch.promote_types(dtype, torch.float32))
    head, hidden = torch.nn.Linear(4, 15, dtype=dtype), torch.tensor([[0, 2, 5], [1, 3, 4]])
    learnt = [tokens, head.weight, head.bias]
    plain = torch.nn.functional.mse_loss(head(tokens).to(patches.dtype), taken(patches, hidden).flatten(2) ** 2)
    wanted = torch.autograd.grad(3 * plain, learnt)
    loss = rebuilding_error(head, tokens, patches, hidden, lambda some: some.transpose(2, 3) ** 2)
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(torch.autograd.grad(3 * loss, learnt), wanted)


def test_masks_split_tokens_in_ascending_order():
    mask = torch.tensor([[True, False, True, False], [False, True, True, False]])
    visible, masked = split_tokens(mask)
    assert visible.tolist() == [[1, 3], [0, 3]]
    assert masked.tolist() == [[0, 2], [1, 2]]
    for wrong in (mask[0], mask.int(), torch.tensor([[True, False], [True, True]]), torch.zeros(2, 4).bool()):
        with pytest.raises(ShapeError, match='hides as many tokens'):
            split_tokens(wrong)


def test_svfap_hides_the_same_cells_in_each_slice():
    video, _ = clips(3, FACES)
    mask = tube(3, 4, 4)
    mask[0, :8] = mask[0, :8].roll(1)
    with pytest.raises(ShapeError, match='hides the same in each'):
        SvfapPretraining(FACES)(video, mask)


def test_layers_decay_as_published(shared_data):
    import json

    facts = json.loads((shared_data / 'vectors' / 'hicmae_base_layer_decay.json').read_text())
    with torch.device('meta'):
        network = HicmaeClassifier(form_named('hicmae', 'base'), 6)
    groups = layered_groups(network, network.layers_by_depth(), learning_rate=1.0, layer_decay=0.75)
    rates = {id(p): group['lr'] for group in groups for p in group['params']}
    for name, parameter in network.named_parameters():
        assert rates[id(parameter)] == pytest.approx(facts['values'][facts['layer_of_param'][name]], rel=1e-9)


def test_forms_that_cannot_be_are_named():
    with pytest.raises(UnknownNameError, match='hicmae-tiny'):
        form_named('hicmae', 'large')
    with pytest.raises(ValueRangeError, match='whole patches'):
        replace(SMALL, size=40)
    with pytest.raises(ValueRangeError, match='halve 2 times'):
        replace(FACES, frames=4)
    with pytest.raises(UnknownNameError, match='modalities'):
        replace(SMALL, modalities=('text',))
    with pytest.raises(ValueRangeError, match='deeper encoder'):
        replace(SMALL, decoder_depth=4)
