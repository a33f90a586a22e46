"""Samples in memory: batches, lengths, missing modalities, and what is refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import training_cases as cases
from torch._subclasses.fake_tensor import FakeTensorMode

from affekt.errors import ShapeError, ValueRangeError
from affekt.training import Samples, Sequences
from affekt.training.samples import epoch_batches, epoch_seed


def _sequences(*lengths):
    return Sequences.of([np.full((length, 2), i + 1, dtype=np.float32) for i, length in enumerate(lengths)])


def test_a_batch_of_sequences_is_padded_to_its_own_longest_and_masked():
    padded, keep = _sequences(3, 1, 0, 9).padded(torch.tensor([1, 0, 2]))
    assert padded[..., 0].tolist() == [[2, 0, 0], [1, 1, 1], [0, 0, 0]]
    assert keep.tolist() == [[True, False, False], [True] * 3, [False] * 3]


def test_a_part_of_the_sequences_holds_their_rows_alone():
    part = _sequences(3, 1, 2)[torch.tensor([2, 0])]
    assert part.rows[:, 0].tolist() == [3, 3, 1, 1, 1]
    assert part.starts.tolist() == [0, 2]
    assert part.lengths.tolist() == [2, 3]


def test_modalities_at_their_own_pace_are_padded_to_their_own_longest():
    held = Samples({'a': _sequences(3, 1), 'b': _sequences(2, 5)}, labels=torch.tensor([0, 1]))
    assert not held.aligned
    batch = held.batch(torch.tensor([0, 1]))
    assert batch.features['a'].shape == (2, 3, 2)
    assert batch.features['b'].shape == (2, 5, 2)
    assert batch.keep_mask['a'].sum(dim=1).tolist() == [3, 1]


def test_aligned_modalities_keep_one_length_where_one_is_missing():
    held = Samples({'a': _sequences(3, 0), 'b': _sequences(3, 5), 'c': _sequences(0, 0)})
    assert held.aligned
    batch = held.batch(torch.tensor([0, 1]))
    assert {value.shape for value in batch.features.values()} == {(2, 5, 2)}
    assert [batch.keep_mask[name].sum(dim=1).tolist() for name in 'abc'] == [[3, 0], [3, 5], [0, 0]]


def test_sequences_of_one_length_need_no_mask_and_are_one_array():
    there = torch.tensor([True, False])
    held = Samples({'a': torch.ones(2, 4, 3), 'b': torch.ones(2, 5, 3)}, present={'b': there})
    batch = held.batch(torch.tensor([1, 0]))
    assert batch.features['a'].shape == (2, 4, 3)
    assert 'a' not in batch.keep_mask
    assert batch.keep_mask['b'].tolist() == [[False] * 5, [True] * 5]
    features, keep = held.steps()
    assert features['b'].shape == (1, 10, 3)
    assert keep['b'].sum() == 5
    assert held.lengths().tolist() == [5, 5]


def test_every_step_is_seen_once_when_the_inputs_scale_is_taken():
    held = Samples(
        {'a': _sequences(3, 1), 'b': _sequences(2, 5), 'c': _sequences(0, 0)},
        present={'b': torch.tensor([True, False])},
    )
    features, keep = held.steps()
    assert features['a'][keep['a']][:, 0].tolist() == [1, 1, 1, 2]
    assert features['b'][keep['b']][:, 0].tolist() == [1, 1]
    assert not keep['c'].any()


def test_an_epoch_holds_every_sample_once_and_like_lengths_together():
    rng = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 100, (400,), generator=rng)
    index = torch.arange(50, 350)
    batches = epoch_batches(index, lengths, 16, rng)
    assert torch.equal(torch.cat(batches).sort().values, index)
    assert max(map(len, batches)) == 16
    padded = sum(int(lengths[batch].max()) * len(batch) for batch in batches)
    shuffled = index[torch.randperm(300, generator=rng)].split(16)
    unsorted = sum(int(lengths[batch].max()) * len(batch) for batch in shuffled)
    real = int(lengths[index].sum())
    assert padded - real < 0.25 * (unsorted - real)


def test_batches_of_one_length_are_a_plain_shuffle():
    rng = torch.Generator().manual_seed(0)
    batches = epoch_batches(torch.arange(40), torch.ones(40), 16, rng)
    assert [len(batch) for batch in batches] == [16, 16, 8]
    assert torch.cat(batches).tolist() != list(range(40))


def test_a_sample_whose_feature_is_no_number_is_named():
    held = cases.samples(5)
    held.features['text'][3, 2] = torch.nan
    with pytest.raises(ValueRangeError, match=r"finite numbers in text; got 1 samples without \('clip3'\)"):
        replace(held, names=held.names)
    there = torch.tensor([True, True, True, False, True])
    assert len(replace(held, present={'text': there})) == 5


def test_a_frame_that_is_no_number_is_named():
    sequences = _sequences(2, 3)
    sequences.rows[4, 1] = torch.inf
    with pytest.raises(ValueRangeError, match=r'got 1 samples without \(.number 1.\)'):
        Samples({'a': sequences})


def test_a_sample_without_any_modality_is_named():
    with pytest.raises(ValueRangeError, match=r"at least one modality of each sample; got 1 samples without \('x'\)"):
        Samples({'a': _sequences(2, 0)}, names=('w', 'x'))


def test_unequal_counts_and_no_samples_are_refused():
    with pytest.raises(ShapeError, match="'labels': 3"):
        Samples({'a': torch.zeros(2, 3)}, labels=torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ShapeError, match='at least one'):
        Samples({'a': torch.zeros(0, 3)})
    with pytest.raises(ShapeError, match=r'values \(N, V\)'):
        Samples({'a': torch.zeros(2, 3)}, values=torch.zeros(2))


def test_the_largest_seeds_still_start_a_generator():
    for seed in (0, 2**40, 10**30):
        torch.Generator().manual_seed(epoch_seed(seed, 3, 1))
    # 2 * 1,000,003 + 3 = 2,000,009, times 1,009, and 1
    assert epoch_seed(2, 3, 1) == 2_018_009_082


def test_padding_is_zero_also_where_the_next_sample_is_missing_and_nan():
    held = Sequences.of([np.ones((1, 2), np.float32), np.full((2, 2), np.nan, np.float32)])
    padded, keep = held.padded(torch.tensor([0, 1]))
    assert padded[0].tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert keep.tolist() == [[True, False], [True, True]]
    codes, _ = Sequences.of([np.ones((1, 2), np.uint8), np.ones((2, 2), np.uint8)]).padded(torch.arange(2))
    assert codes.dtype == torch.uint8


def test_a_batch_is_taken_on_the_device_of_the_samples_by_indices_of_the_cpu():
    # No CUDA device is needed: fake tensors compute devices and shapes alone. Checks of numbers are left out.
    with FakeTensorMode():
        held = object.__new__(Samples)
        vectors = {'text': torch.empty(8, 3, device='cuda')}
        vars(held).update(
            features=vectors, labels=None, values=None, present={}, names=(), aligned=False, is_known=True
        )
        batch = held.batch(torch.arange(2))
        assert (batch.features['text'].device.type, tuple(batch.features['text'].shape)) == ('cuda', (2, 3))
