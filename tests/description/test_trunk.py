from __future__ import annotations

import json

import pytest
import torch

from affekt.description import (
    Adapters,
    Describer,
    Limits,
    Source,
    merged,
    open_trunk,
    tiny_trunk,
    with_adapters,
)
from affekt.errors import LLMError, UnknownNameError
from affekt.nn import read_tensors, save_tensors


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('trunk')
    trunk = tiny_trunk('qwen2', seed=4)
    trunk.network.save_pretrained(folder)
    trunk.vocabulary.tokenizer.save(str(folder / 'tokenizer.json'))
    return folder


def test_a_trunk_of_a_folder_says_what_it_said_before_it_was_saved(folder):
    opened = open_trunk(folder)
    batch = [[Describer(trunk, [Source('voice', 4)]) for trunk in (tiny_trunk('qwen2', seed=4), opened)]]
    for first, second in batch:
        asked = first.prompt({}, 'textonly', 'What?', words='Hello.')
        assert first.generate([asked], Limits(tokens=5)) == second.generate([asked], Limits(tokens=5))
    assert opened.vocabulary.end == tiny_trunk().vocabulary.end
    assert not any(weight.requires_grad for weight in opened.network.parameters())
    assert open_trunk(folder, precision='bfloat16').embeddings.weight.dtype == torch.bfloat16


def test_a_trunk_named_from_its_folder_is_noted_with_its_whole_path(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert open_trunk(folder.name).name == str(folder)


def test_a_describer_on_a_trunk_of_few_bits_takes_soft_tokens_and_learns(folder):
    describer = Describer(
        with_adapters(open_trunk(folder, precision='bfloat16'), Adapters(rank=2)), [Source('voice', 4)]
    )
    loss = describer([describer.prompt({'voice': torch.ones(2, 4)}, 'audioonly', 'What?', answer='Sad.')]).loss
    loss.backward()
    assert loss.dtype == torch.float32
    assert describer.reader('voice').project.weight.grad.abs().sum() > 0


def _without_a_weight(folder):
    tensors, notes = read_tensors(folder / 'model.safetensors')
    del tensors['model.norm.weight']
    save_tensors(folder / 'model.safetensors', tensors, notes)


@pytest.mark.parametrize(
    ('wrong', 'match'),
    [
        (lambda folder: (folder / 'tokenizer.json').unlink(), r'tokenizer\.json'),
        (lambda folder: (folder / 'config.json').write_text('{}'), 'can open'),
        (lambda folder: (folder / 'model.safetensors').write_bytes(b'x' * 50), 'can open'),
        (lambda folder: (folder / 'model.safetensors').unlink(), 'can open'),
        (lambda folder: (folder / 'tokenizer.json').write_text('{}'), 'can open'),
        (_without_a_weight, r'all weights.*1 absent.*model\.norm\.weight'),
    ],
)
def test_a_folder_that_is_no_trunk_is_refused(folder, tmp_path, wrong, match):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    wrong(tmp_path)
    with pytest.raises(LLMError, match=match):
        open_trunk(tmp_path)


def test_a_trunk_without_an_end_token_is_refused(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for name in ('config.json', 'generation_config.json'):
        settings = json.loads((tmp_path / name).read_text())
        (tmp_path / name).write_text(json.dumps({**settings, 'eos_token_id': None}))
    with pytest.raises(LLMError, match='eos_token_id'):
        open_trunk(tmp_path)


def test_names_that_do_not_exist_are_refused(folder, tmp_path):
    with pytest.raises(LLMError, match='nowhere'):
        open_trunk(tmp_path / 'nowhere')
    with pytest.raises(UnknownNameError, match='float23'):
        open_trunk(folder, precision='float23')


def test_adapters_change_nothing_before_they_have_learnt_and_are_drawn_by_seed():
    numbers = torch.tensor([[1, 2, 3]])
    plain = tiny_trunk().network(numbers).logits
    adapted = [with_adapters(tiny_trunk(), Adapters(rank=2), seed=seed).network for seed in (0, 0, 1)]
    torch.testing.assert_close(adapted[0].eval()(numbers).logits, plain)
    first = [next(weight for name, weight in each.named_parameters() if 'lora_A' in name) for each in adapted]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])


def test_a_trunk_without_adapters_is_merged_already():
    trunk = tiny_trunk()
    assert merged(trunk) is trunk


def test_an_addition_within_the_product_is_that_of_peft_with_its_gradients():
    numbers, ways = torch.tensor([[1, 2, 3], [4, 5, 6]]), []
    trunk = with_adapters(tiny_trunk(), Adapters(rank=2, dropout=0.0))
    fused = [module for module in trunk.network.modules() if hasattr(module, 'lora_B')]
    generator = torch.Generator().manual_seed(1)
    for module in fused:
        torch.nn.init.normal_(module.lora_B['default'].weight, generator=generator)
    assert len(fused) == 14  # seven maps of each of two layers
    for is_fused in (True, False):
        for module in fused:
            module.__class__ = type(module) if is_fused else type(module).__base__
        trunk.network.zero_grad()
        logits = trunk.network(numbers).logits
        logits.square().mean().backward()
        gradients = [weight.grad for weight in trunk.network.parameters() if weight.grad is not None]
        with torch.inference_mode():
            ways.append([logits.detach(), trunk.network(numbers).logits, *gradients])
    assert len(ways[0]) >= 2 + 2 * len(fused)
    torch.testing.assert_close(*ways, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(merged(trunk).network(numbers).logits, ways[1][0], rtol=1e-4, atol=1e-5)
