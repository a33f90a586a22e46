"""MulT on the shared blocks: runs saved before them still load, and what reads itself is said, not guessed."""

from __future__ import annotations

import pytest
import torch
import training_cases as cases

from affekt.fusion.crossmodal import BLOCK_NAMES
from affekt.nn import read_tensors, save_tensors
from affekt.training import Split, train, train_together

CHANGES = {'level': 'frame', 'dropout': 0.0, 'options': {'layers': 1, 'heads': 2}}


def _old_name(name: str) -> str:
    """The name that affekt gave a tensor when MulT had blocks of its own."""
    for old, new in BLOCK_NAMES.items():
        name = name.replace(f'.{new}', f'.{old}') if '.layers.' in name else name
    return name


def test_a_state_under_the_old_names_of_the_blocks_loads_strictly():
    saved, model = cases.model('mult', 1, **CHANGES), cases.model('mult', 2, **CHANGES)
    state = {_old_name(name): value for name, value in saved.state_dict().items()}
    assert 'cross.text_audio.layers.0.self_attn.in_proj_weight' in state
    assert 'within.video.layers.2.layer_norms.1.bias' in state
    model.load_state_dict(state)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in saved.state_dict().items())
    with pytest.raises(RuntimeError, match=r'within\.text\.layers\.0\.attn\.proj\.weight'):
        state.pop('within.text.layers.0.self_attn.out_proj.weight')
        model.load_state_dict(state)


class _Stopped(Exception):
    pass


def _stop(_):
    raise _Stopped


def _alone(seed, folder=None, **options):
    samples = cases.samples(40, level='frame')
    training, validation = torch.arange(30), torch.arange(30, 40)
    settings = cases.SETTINGS.__class__(epochs=3, batch_size=16, patience=None)
    model = cases.model('mult', seed, **CHANGES)
    run = train(model, samples.subset(training), samples.subset(validation), settings, folder=folder, **options)
    return [run]


def _together(seed, folder=None, **options):
    splits = [Split(torch.arange(30), torch.arange(30, 40)), Split(torch.arange(10, 40), torch.arange(10))]
    settings = [cases.SETTINGS.__class__(epochs=3, batch_size=16, patience=None)] * 2
    models = [cases.model('mult', seed + i, **CHANGES) for i in range(2)]
    return train_together(models, cases.samples(40, level='frame'), splits, settings, folder=folder, **options)


@pytest.mark.parametrize('training', [_alone, _together])
def test_a_run_left_halfway_under_the_old_names_goes_on_to_the_same_numbers(training, tmp_path):
    whole = training(1)
    with pytest.raises(_Stopped):
        training(1, tmp_path / 'run', report=_stop)
    checkpoint = next((tmp_path / 'run').rglob('*.safetensors'))
    tensors, notes = read_tensors(checkpoint)
    old = {_old_name(name): value for name, value in tensors.items()}
    assert old.keys() != tensors.keys()
    save_tensors(checkpoint, old, notes)
    resumed = training(70, tmp_path / 'run', resume=True)  # other weights: they must come from the checkpoint
    for ours, theirs in zip(resumed, whole, strict=True):
        assert ours.history == theirs.history
        for name, value in theirs.model.state_dict().items():
            assert torch.equal(ours.model.state_dict()[name], value), name


def test_a_modality_that_equals_another_is_still_read_as_another():
    # in the second layer self-attention would read what the first one wrote, and a reader of another does not
    model = cases.model('mult', 1, **CHANGES | {'options': {'layers': 2, 'heads': 2}})
    transformer = model.cross['text_audio'].eval()
    steps = torch.randn(2, 4, 16, generator=torch.Generator().manual_seed(0))
    keep = torch.ones(2, 4, dtype=torch.bool)
    assert torch.equal(transformer(steps, steps, keep), transformer(steps, steps.clone(), keep))
    assert not torch.allclose(transformer(steps, steps, keep), transformer(steps, None, keep))
