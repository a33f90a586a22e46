"""Networks made without weights of their own and filled from a state."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from affekt.errors import WeightsError
from affekt.nn import built, read_tensors


def test_a_network_takes_the_tensors_of_a_state_and_has_its_own_precision():
    state = {'weight': torch.ones(2, 3), 'bias': torch.tensor([0.5, 0.25], dtype=torch.float16)}
    layer, coverage = built(lambda: nn.Linear(3, 2), state, {})
    assert [row.ours for row in coverage.rows] == ['weight', 'bias']
    assert layer.weight.data_ptr() == state['weight'].data_ptr()
    assert (layer.bias.dtype, layer.bias.tolist()) == (torch.float32, [0.5, 0.25])
    assert all(parameter.requires_grad and not parameter.is_meta for parameter in layer.parameters())


def test_a_state_that_lacks_a_tensor_makes_no_network():
    with pytest.raises(WeightsError, match=r"1 absent \('bias'\)"):
        built(lambda: nn.Linear(3, 2), {'weight': torch.ones(2, 3)}, {})


def test_a_tensor_of_another_shape_and_weights_that_are_no_numbers_are_refused_by_name():
    state = {'weight': torch.ones(2, 3), 'bias': torch.zeros(2)}
    with pytest.raises(WeightsError, match=r'got bias of shape \[3\]'):
        built(lambda: nn.Linear(3, 2), state | {'bias': torch.zeros(3)}, {})
    for value in (float('nan'), float('inf')):
        with pytest.raises(WeightsError, match=r'finite numbers; got nan or infinity in bias'):
            built(lambda: nn.Linear(3, 2), state | {'bias': torch.tensor([0.0, value])}, {})


def test_a_mask_of_a_network_may_be_infinite():
    def masked():
        layer = nn.Linear(3, 2)
        layer.register_buffer('mask', torch.zeros(2))
        return layer

    state = {'weight': torch.ones(2, 3), 'bias': torch.zeros(2), 'mask': torch.tensor([0.0, -torch.inf])}
    assert built(masked, state, {})[0].mask.isinf().any()


def test_a_file_that_is_no_file_of_tensors_is_refused_in_one_sentence(tmp_path):
    (tmp_path / 'junk').write_bytes(b'junk')
    for name, came in (('', f'the folder {str(tmp_path)!r}'), ('gone', 'No such file or directory')):
        with pytest.raises(WeightsError) as caught:
            read_tensors(tmp_path / name)
        assert (caught.value.expected, caught.value.came) == (f'a safetensors file at {tmp_path / name}', came)
    with pytest.raises(WeightsError, match='got another file, or a damaged one'):
        read_tensors(tmp_path / 'junk')
