"""The reference form is the published wiring: counts, states and outputs."""

from __future__ import annotations

import fusion_reference as reference
import numpy as np
import pytest
import torch

from affekt.errors import WeightsError
from affekt.fusion import build_fusion, load_published_fusion


def _filled(shared_data, name, level):
    published = reference.published_models(shared_data)[f'{name}-{level}']
    model = reference.model_of(name, level)
    state = reference.published_state(published['state'])
    return model, state, published


@pytest.mark.parametrize(('name', 'level'), reference.configurations())
def test_outputs_equal_those_of_the_published_code(shared_data, name, level):
    # golden values: fusion_reference.npz, made with the published code under states filled from their names
    model, state, published = _filled(shared_data, name, level)
    assert sum(parameter.numel() for parameter in model.parameters()) == published['parameters']
    if published['not_in_state']:
        load_published_fusion(model, state)
        model.load_outside_state({k: reference.filled(k, tuple(v)) for k, v in published['not_in_state'].items()})
    coverage = load_published_fusion(model, state)
    assert {row.published for row in coverage.rows} == set(published['state'])
    with torch.no_grad():
        fused = model(reference.inputs(name, level))
    outputs = np.load(shared_data / 'vectors' / 'fusion_reference.npz')
    for ours, theirs in (('features', 'features'), ('logits', 'emos'), ('values', 'vals'), ('auxiliary', 'aux')):
        expected = outputs[f'{name}-{level}/{theirs}']
        np.testing.assert_allclose(getattr(fused, ours).numpy(), expected, rtol=0, atol=1e-5, err_msg=ours)


# Measured on the published classes: audio 1024, text 5120, video 768, 6 classes, 1 value; None: no such level.
COUNTS = {
    'attention': (488_842, 1_067_786, 1_853_962, 3_871_754),
    'lmf': (492_747, 1_083_787, 1_857_867, 3_887_755),
    'mmim': (544_807, 1_290_311, 1_909_927, 4_094_279),
    'misa': (870_983, 2_063_495, 2_236_103, 4_867_463),
    'tfn': (18_048_199, 275_777_927, 19_413_319, 278_581_895),
    'mfn': (None, None, 2_007_879, 4_388_103),
    'graph_mfn': (None, None, 1_999_970, 4_200_034),
    'mfm': (None, None, 4_425_070, 9_588_302),
    'mctn': (None, None, 9_481_351, 19_534_087),
    'mult': (None, None, 5_215_751, 18_123_783),
}
OPTIONS = {
    'lmf': {'rank': 4},
    'mmim': {'predictor_layers': 2},
    'mfn': {'memory': 128},
    'graph_mfn': {'memory': 128},
    'mfm': {'memory': 128},
    'mult': {'layers': 4, 'kernel': 3},
}


@pytest.mark.parametrize('name', COUNTS)
def test_the_reference_form_has_as_many_parameters_as_the_published_model(name):
    sizes = {'audio': 1024, 'text': 5120, 'video': 768}
    cases = [(level, hidden) for level in ('utt', 'frm_align') for hidden in (64, 128)]
    for (level, hidden), count in zip(cases, COUNTS[name], strict=True):
        if count is None:
            continue
        with torch.device('meta'):
            shape = reference.published_shape(name, level, sizes=sizes, hidden=hidden)
            model = build_fusion(name, shape, **OPTIONS.get(name, {}))
        assert sum(parameter.numel() for parameter in model.parameters()) == count, (level, hidden)


def test_a_state_with_a_tensor_too_few_or_too_many_is_refused(shared_data):
    model, state, _ = _filled(shared_data, 'attention', 'utt')
    state['stranger.weight'] = state.pop('fc_att.bias')
    with pytest.raises(WeightsError, match=r"1 unknown tensors \('stranger.weight'\), 1 absent \('weights.bias'\)"):
        load_published_fusion(model, state)


def test_a_state_of_other_sizes_is_refused_by_name(shared_data):
    model, state, _ = _filled(shared_data, 'attention', 'utt')
    state['fc_att.bias'] = torch.zeros(4)
    with pytest.raises(WeightsError, match=r'fc_att.bias of shape \[3\]; got fc_att.bias of shape \[4\]'):
        load_published_fusion(model, state)


def test_a_state_saved_from_the_wrapper_of_the_published_code_loads_too(shared_data):
    model, state, published = _filled(shared_data, 'attention', 'utt')
    coverage = load_published_fusion(model, {f'model.{key}': value for key, value in state.items()})
    assert len(coverage.rows) == len(published['state'])
    assert str(coverage).endswith(f'{len(published["state"])} tensors loaded, 0 unused')
