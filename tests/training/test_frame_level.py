"""Every fusion model trains on sequences: masked and at their own lengths, or padded in front as published."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import training_cases as cases

from affekt.errors import ShapeError
from affekt.features import legacy_batch
from affekt.fusion import FUSION_MODELS
from affekt.training import Samples, Sequences, predict, train, train_together
from affekt.training.together import Split

OPTIONS = {'mfn': {'memory': 8}, 'graph_mfn': {'memory': 8}, 'mfm': {'memory': 8}, 'mult': {'layers': 1, 'heads': 2}}
FRAMES = [name for name, kind in FUSION_MODELS.items() if 'frame' in kind.levels]
NEEDS_CLOCK = {'ef_lstm', 'mfn', 'graph_mfn', 'mfm', 'mctn'}
PUBLISHED = [name for name in FRAMES if name not in ('linear', 'gated')]
CLOCKS = [(name, clock) for name in FRAMES for clock in (True, False) if clock or name not in NEEDS_CLOCK]
KINDS = [(name, 'frm_align' if clock else 'frm_unalign') for name, clock in CLOCKS if name in PUBLISHED]
COUNT = 24


def _recordings(clock: bool, seed: int = 0) -> dict[str, list[np.ndarray]]:
    """Sequences of 2 to 40 steps, of one length a sample where they share a clock; some of them missing."""
    rng = np.random.default_rng(seed)
    lengths = {name: rng.integers(2, 41, COUNT) for name in cases.SIZES}
    if clock:
        lengths = dict.fromkeys(cases.SIZES, lengths['text'])
    return {
        name: [rng.standard_normal((length, size)).astype(np.float32) for length in lengths[name]]
        for name, size in cases.SIZES.items()
    }


def _truths(seed: int = 0) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return {'labels': torch.arange(COUNT) % 3, 'values': torch.randn(COUNT, 1, generator=draws)}


def _masked(clock: bool, seed: int = 0) -> Samples:
    held = _recordings(clock, seed)
    held['audio'][3] = held['audio'][3][:0]
    held['video'][3] = held['video'][3][:0]
    held['video'][7] = held['video'][7][:0]
    return Samples({name: Sequences.of(rows) for name, rows in held.items()}, **_truths())


def _model(name: str, **changes):
    return cases.model(name, level='frame', options=OPTIONS.get(name, {}), **changes)


@pytest.mark.parametrize(('name', 'clock'), CLOCKS)
def test_answers_depend_neither_on_padding_nor_on_the_rest_of_the_batch(name, clock):
    held = _masked(clock)
    trained = train(_model(name), held, _masked(clock, 1), replace(cases.SETTINGS, epochs=1))
    assert trained.status != 'not_finite'
    together = predict(trained.model, held)
    alone = predict(trained.model, held, batch=1)
    torch.testing.assert_close(together.logits, alone.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.values, alone.values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(('name', 'kind'), KINDS)
def test_the_published_wiring_trains_on_arrays_padded_in_front(name, kind):
    arrays = legacy_batch(_recordings(clock=False), kind)
    held = Samples({modality: torch.from_numpy(rows) for modality, rows in arrays.items()}, **_truths())
    assert held.aligned == (kind == 'frm_align')
    trained = train(_model(name, form='reference'), held, held, replace(cases.SETTINGS, epochs=1))
    answers = predict(trained.model, held)
    assert torch.isfinite(answers.logits).all()
    assert torch.isfinite(answers.values).all()


@pytest.mark.parametrize('name', FRAMES)
def test_a_modality_that_no_sample_has_is_masked(name):
    held = _masked(clock=True)
    empty = Sequences(torch.zeros(0, 6), torch.zeros(COUNT, dtype=torch.int64), torch.zeros(COUNT, dtype=torch.int64))
    present = torch.arange(COUNT) != 3  # the sample that has text alone
    held = Samples({**held.features, 'video': empty}, held.labels, held.values, present={'audio': present})
    trained = train(_model(name), held, held, replace(cases.SETTINGS, epochs=1))
    assert trained.status != 'not_finite'


@pytest.mark.parametrize('name', sorted(NEEDS_CLOCK))
def test_modalities_at_their_own_pace_are_refused_by_models_that_need_one_clock(name):
    assert FUSION_MODELS[name].aligned
    held = _masked(clock=False)
    with pytest.raises(ShapeError, match='equally many steps in every modality of a sample'):
        train(_model(name), held, held, cases.SETTINGS)
    with pytest.raises(ShapeError, match='equally many steps'):
        predict(_model(name), held)
    with pytest.raises(ShapeError, match='equally many steps'):
        train_together([_model(name)], held, [Split(torch.arange(20), torch.arange(20, 24))], [cases.SETTINGS])


def test_long_sequences_are_answered_in_small_parts(monkeypatch):
    held, model = _masked(clock=False), _model('attention').eval()
    whole = predict(model, held)
    monkeypatch.setattr('affekt.training.supervised.STEPS_AT_ONCE', 90)
    sizes = []
    batch = Samples.batch
    monkeypatch.setattr(Samples, 'batch', lambda self, index: sizes.append(len(index)) or batch(self, index))
    torch.testing.assert_close(predict(model, held).logits, whole.logits, rtol=1e-4, atol=1e-5)
    assert sum(sizes) == COUNT
    assert max(sizes) < 12
