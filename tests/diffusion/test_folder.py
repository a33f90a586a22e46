"""Folders of weights: the text model as transformers writes it, nets of one's own training, parts that do not fit."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from filled_nets import write_weights  # noqa: E402

from affekt.diffusion import (  # noqa: E402
    MAPS,
    Autoencoder,
    AutoencoderSizes,
    GuidanceEncoder,
    PortraitNets,
    UNet,
    UNetSizes,
    load_nets,
    save_nets,
    weight_prints,
)
from affekt.errors import WeightsError  # noqa: E402
from affekt.nn import save_tensors  # noqa: E402

WORDS = ['a</w>', 'close</w>', 'up</w>', 'of</w>', 'person</w>', '.</w>']
"""Of the prompt; each is one token."""
LENGTH, WIDTH = 12, 48


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp('weights') / 'portrait')


@pytest.fixture(scope='module')
def text_model(tmp_path_factory):
    """A small text model and its tokenizer, each as transformers writes it; the folder, and the model."""
    transformers = pytest.importorskip('transformers')
    root = tmp_path_factory.mktemp('text')
    letters = sorted({letter for word in WORDS for letter in word.removesuffix('</w>')})
    parts = [*letters, *(f'{letter}</w>' for letter in letters)]
    merges = []
    for word in WORDS:
        *first, last = word.removesuffix('</w>')
        pieces = [*first, f'{last}</w>']
        while len(pieces) > 1:
            merges.append(f'{pieces[0]} {pieces[1]}')
            pieces = [pieces[0] + pieces[1], *pieces[2:]]
            parts.append(pieces[0])
    names = [*dict.fromkeys([*parts, *WORDS]), '<|startoftext|>', '<|endoftext|>']
    (root / 'tokenizer').mkdir()
    (root / 'tokenizer' / 'vocab.json').write_text(json.dumps({name: at for at, name in enumerate(names)}))
    (root / 'tokenizer' / 'merges.txt').write_text('\n'.join(['#version: 0.2', *dict.fromkeys(merges)]) + '\n')
    (root / 'tokenizer' / 'tokenizer_config.json').write_text(
        json.dumps({'tokenizer_class': 'CLIPTokenizer', 'model_max_length': LENGTH, 'pad_token': '<|endoftext|>'})
    )
    config = transformers.CLIPTextConfig(
        vocab_size=len(names), hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=LENGTH, bos_token_id=names.index('<|startoftext|>'),
        eos_token_id=names.index('<|endoftext|>'),
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.CLIPTextModel(config).eval()
    model.save_pretrained(root / 'text_encoder')
    return root, model, names


def _with_text(folder, text_model, to):
    """A copy of the weights whose text comes from the model, not from a file of the prompt."""
    shutil.copytree(folder, to)
    (to / 'prompt.safetensors').unlink()
    for name in ('text_encoder', 'tokenizer'):
        shutil.copytree(text_model[0] / name, to / name)
    return to


def test_the_prompt_is_read_by_the_text_model_as_published(folder, text_model, tmp_path, same_process):
    _, model, names = text_model
    nets = load_nets(_with_text(folder, text_model, tmp_path / 'weights'))
    # start, the words of 'A close up of a person.' in lower case, end, and the end again up to the model's length
    words = ['a</w>', 'close</w>', 'up</w>', 'of</w>', 'a</w>', 'person</w>', '.</w>']
    tokens = ['<|startoftext|>', *words, '<|endoftext|>']
    tokens += ['<|endoftext|>'] * (LENGTH - len(tokens))
    with torch.no_grad():
        wanted = model(torch.tensor([[names.index(token) for token in tokens]])).last_hidden_state
    assert nets.text.shape == (1, LENGTH, WIDTH)
    torch.testing.assert_close(nets.text, wanted, atol=1e-6, rtol=0)


def test_a_text_model_in_its_older_form_gives_the_same(folder, text_model, tmp_path, same_process):
    weights = _with_text(folder, text_model, tmp_path / 'weights')
    new = load_nets(weights).text
    (weights / 'text_encoder' / 'model.safetensors').unlink()
    state = {f'text_model.{name}': value for name, value in text_model[1].state_dict().items()}
    state['text_model.embeddings.position_ids'] = torch.arange(LENGTH)[None]  # files of before 2023 have these
    torch.save(state, weights / 'text_encoder' / 'pytorch_model.bin')
    torch.testing.assert_close(load_nets(weights).text, new, atol=0, rtol=0)


def test_a_text_model_with_a_renamed_tensor_is_refused_by_name(folder, text_model, tmp_path, same_process):
    weights = _with_text(folder, text_model, tmp_path / 'weights')
    state = text_model[1].state_dict()
    state['final_layer_norm.wight'] = state.pop('final_layer_norm.weight')
    save_tensors(weights / 'text_encoder' / 'model.safetensors', state, {'format': 'pt'})
    with pytest.raises(WeightsError, match=r'final_layer_norm\.weight'):
        load_nets(weights)
    shutil.rmtree(weights / 'tokenizer')
    with pytest.raises(WeightsError):
        load_nets(weights)


def _own_nets():
    """Nets of no published size: other groups, other widths, latents of a quarter of the picture."""
    torch.manual_seed(1)
    sizes = {'widths': (32, 64), 'layers': 1, 'text_width': 16, 'groups': 8}
    return PortraitNets(
        reference=UNet(UNetSizes(**sizes, is_reference=True)),
        denoiser=UNet(UNetSizes(**sizes, has_motion=True)),
        guides={name: GuidanceEncoder(32, (8, 16, 24), groups=8) for name in MAPS},
        autoencoder=Autoencoder(AutoencoderSizes((8, 16, 16), layers=1, groups=4)),
        text=torch.randn(1, 2, 16),
        coverage={},
    )


def test_nets_of_ones_own_training_come_back_from_a_folder_as_they_were(tmp_path):
    nets = _own_nets()
    loaded = load_nets(save_nets(nets, tmp_path / 'weights'))
    assert (loaded.denoiser.sizes, loaded.reference.sizes) == (nets.denoiser.sizes, nets.reference.sizes)
    assert loaded.autoencoder.sizes == nets.autoencoder.sizes
    maps = torch.rand(1, 3, 2, 16, 16)
    with torch.no_grad():
        for name in MAPS:
            assert torch.equal(loaded.guides[name](maps), nets.guides[name](maps))
    for ours, theirs in ((loaded.denoiser, nets.denoiser), (loaded.autoencoder, nets.autoencoder)):
        assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())
    assert torch.equal(loaded.text, nets.text)


def test_parts_that_do_not_belong_together_are_refused_by_file(tmp_path):
    folder = save_nets(_own_nets(), tmp_path / 'weights')
    prints = weight_prints(folder)
    save_tensors(folder / 'prompt.safetensors', {'prompt': torch.zeros(1, 2, 20)})
    assert [part for part, text in weight_prints(folder).items() if text != prints[part]] == ['prompt']
    with pytest.raises(WeightsError, match=r'numbers of a token: 16.*20 in prompt\.safetensors'):
        load_nets(folder)
    save_tensors(folder / 'prompt.safetensors', {'prompt': torch.zeros(1, 2, 16)})
    wider = Autoencoder(AutoencoderSizes((8, 16, 16, 16), layers=1, groups=4))
    save_tensors(folder / 'vae' / 'diffusion_pytorch_model.safetensors', wider.state_dict())
    with pytest.raises(WeightsError, match=r'times that latents are smaller: 8.*4 in guidance_encoder_depth'):
        load_nets(folder)
    save_nets(_own_nets(), folder)
    deeper = GuidanceEncoder(32, (8, 16, 16, 24), groups=8)
    save_tensors(folder / 'guidance_encoder_normal.safetensors', deeper.state_dict())
    with pytest.raises(WeightsError, match=r'times that latents are smaller: 4.*8 in guidance_encoder_normal'):
        load_nets(folder)
    (folder / 'sizes.json').write_text('{"groups": {"unet": 0}}')
    with pytest.raises(WeightsError, match='groups of unet, guidance, autoencoder'):
        load_nets(folder)


def test_every_part_of_the_official_sizes_is_known_by_its_shapes_alone():
    from affekt.diffusion import denoising_unet, reference_unet
    from affekt.diffusion.published import _autoencoder_sizes, _guide_widths, _table_length, _unet_sizes

    with torch.device('meta'):
        reference, denoiser = reference_unet(), denoising_unet()
        guide, autoencoder = GuidanceEncoder(), Autoencoder()
    assert sum(each.numel() for each in reference.parameters()) == 859_508_800
    assert sum(each.numel() for each in denoiser.parameters()) == 1_312_730_244
    assert _unet_sizes(reference.state_dict(), 32) == UNetSizes()
    assert _unet_sizes(denoiser.state_dict(), 32) == UNetSizes()
    assert _table_length(denoiser.state_dict()) == 32
    assert _guide_widths(guide.state_dict(), 32) == (16, 32, 96, 256)
    assert _autoencoder_sizes(autoencoder.state_dict(), 32) == AutoencoderSizes((128, 256, 512, 512), 2, 32, 4)


@pytest.mark.parametrize('steps', [1, 7, 20, 48, 61, 104, 999])
def test_a_drawing_has_as_many_levels_as_steps_from_noise_alone_down(steps):
    from affekt.diffusion import timesteps
    from affekt.diffusion.schedule import level_after

    levels = timesteps(steps)
    assert len(levels) == steps
    assert levels[0] == 999
    assert np.all(np.diff(levels) < 0)
    assert levels[-1] >= 0
    assert [level_after(level, steps) for level in levels] == [*levels[1:], None]
