"""Weights that do not fill a network, or are of a larger one: the same refusal frozen and trained."""

from __future__ import annotations

import json

import pytest

pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('transformers', reason='transformers is not installed')

import tiny_models
import torch
from safetensors.torch import load_file, save_file

from affekt.encoders import open_backbone, open_encoder
from affekt.errors import WeightsError

OPENINGS = pytest.mark.parametrize('opening', [open_encoder, open_backbone])


@pytest.fixture
def bert(tmp_path):
    return tiny_models.text(tmp_path / 'bert', 'bert')


@OPENINGS
def test_a_missing_tensor_is_named(opening, bert):
    tensors = load_file(bert / 'model.safetensors')
    kept = {name: tensor for name, tensor in tensors.items() if 'layer.4.attention.self.query' not in name}
    save_file(kept, bert / 'model.safetensors', {'format': 'pt'})
    with pytest.raises(WeightsError, match=r'2 missing \(encoder\.layer\.4\.attention\.self\.query\.bias'):
        opening(bert)


@OPENINGS
def test_weights_of_a_deeper_network_are_not_cut_off_in_silence(opening, bert):
    config = json.loads((bert / 'config.json').read_text())
    (bert / 'config.json').write_text(json.dumps(config | {'num_hidden_layers': 3}))
    with pytest.raises(WeightsError, match=r'a larger one.*encoder\.layer\.3'):
        opening(bert)


@OPENINGS
@pytest.mark.parametrize('lacking', ['pooler.', 'nothing'])
def test_what_no_state_passes_through_may_be_missing_or_too_much(opening, lacking, bert):
    tensors = load_file(bert / 'model.safetensors')
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(lacking)}
    tensors['classifier.layers.0.weight'] = torch.zeros(2, 2)  # of a task
    save_file(tensors, bert / 'model.safetensors', {'format': 'pt'})
    assert opening(bert).size == tiny_models.WIDTH


def test_plain_tensors_of_torch_can_be_trained_as_well(bert):
    whole = open_backbone(bert)
    torch.save(load_file(bert / 'model.safetensors'), bert / 'pytorch_model.bin')
    (bert / 'model.safetensors').unlink()
    for (name, value), (_, other) in zip(
        whole.state_dict().items(), open_backbone(bert).state_dict().items(), strict=True
    ):
        assert torch.equal(value, other), name


def test_a_network_that_writes_is_not_trained(tmp_path):
    sizes = {'vocab_size': 40, 'd_model': 16, 'encoder_layers': 3, 'decoder_layers': 3, 'encoder_ffn_dim': 24,
             'decoder_ffn_dim': 24, 'encoder_attention_heads': 2, 'decoder_attention_heads': 2}  # fmt: skip
    with pytest.raises(WeightsError, match=r'with a decoder \(bart\)'):
        open_backbone(tiny_models.save(tmp_path / 'bart', 'BartModel', 'BartConfig', **sizes))
