"""One length for all: the published numbers, and what the corrected form keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.features import batch, legacy_batch, legacy_resampled, padded, resampled


def _ramp(length):
    return np.arange(1.0, length + 1)[:, None]


@pytest.mark.parametrize(
    ('length', 'wanted', 'expected'),
    [
        (5, 2, [1.0, 4.0]),
        (7, 3, [1 / 3, 3, 6]),
        (10, 4, [1 / 3, 3, 6, 9]),
        (13, 3, [1.2, 6, 11]),
        (4, 6, [0, 0, 1, 2, 3, 4]),
        (12, 1, [6.5]),
    ],
)
def test_the_published_resampling_gives_the_published_rows(length, wanted, expected):
    np.testing.assert_allclose(legacy_resampled(_ramp(length), wanted).ravel(), expected, atol=1e-12)


def test_the_published_resampling_damps_the_first_rows_of_a_constant():
    np.testing.assert_allclose(legacy_resampled(np.ones((13, 1)), 3).ravel(), [0.6, 1, 1], atol=1e-12)
    twice = legacy_resampled(legacy_resampled(np.ones((25, 1)), 5), 4)
    np.testing.assert_allclose(twice.ravel(), [0, 0.5, 1, 1], atol=1e-12)


def test_equal_length_keeps_the_type_and_anything_else_becomes_double():
    rows = np.ones((4, 2), dtype=np.float32)
    assert legacy_resampled(rows, 4) is rows
    assert legacy_resampled(rows, 2).dtype == np.float64
    assert resampled(rows, 2).dtype == np.float32


@given(st.integers(1, 60), st.integers(1, 60))
def test_the_corrected_resampling_keeps_constants_order_and_range(length, wanted):
    np.testing.assert_allclose(resampled(np.ones((length, 2)), wanted), 1.0)
    rows = resampled(_ramp(length), wanted).ravel()
    assert len(rows) == wanted
    assert (np.diff(rows) >= 0).all()
    assert rows[0] >= 1
    assert rows[-1] <= length
    if length % wanted == 0:
        assert rows.mean() == pytest.approx((length + 1) / 2)


def _split(rng):
    lengths = {'audio': (13, 30), 'text': (7, 13), 'video': (24, 6)}
    sizes = {'audio': 4, 'text': 3, 'video': 2}
    return {name: [rng.normal(size=(at, sizes[name])) for at in held] for name, held in lengths.items()}


def test_utterances_are_plain_means_in_both_forms(rng):
    split = _split(rng)
    legacy, (values, keep_mask) = legacy_batch(split, 'utt'), batch(split, 'utt')['audio']
    np.testing.assert_allclose(legacy['audio'], [rows.mean(axis=0) for rows in split['audio']], rtol=1e-6)
    np.testing.assert_array_equal(values, legacy['audio'])
    assert keep_mask.all()


def test_the_published_alignment_goes_by_the_text_and_fills_in_front(rng):
    # text: ceil(7/6) = 2 and ceil(13/6) = 3 rows; the longest decides, so the first sample gets a row of zeros in front
    split = _split(rng)
    made = legacy_batch(split, 'frm_align')
    assert {name: held.shape for name, held in made.items()} == {
        'audio': (2, 3, 4),
        'text': (2, 3, 3),
        'video': (2, 3, 2),
    }
    zeros = {name: (held == 0).all(axis=2).tolist() for name, held in made.items()}
    assert zeros['text'] == zeros['audio'] == [[True, False, False], [False, False, False]]
    # the second film has 6 rows: one, and so two rows of zeros before it
    assert zeros['video'] == [[True, False, False], [True, True, False]]
    first = legacy_resampled(legacy_resampled(split['audio'][0], 3), 2)  # 13 rows to 3, to the text's 2
    np.testing.assert_allclose(made['audio'][0, 1:], first, rtol=1e-6)


def test_unaligned_modalities_keep_their_own_lengths(rng):
    made = legacy_batch(_split(rng), 'frm_unalign')
    assert {name: held.shape[1] for name, held in made.items()} == {'audio': 3, 'text': 2, 'video': 2}


def test_the_corrected_batch_fills_up_behind_and_says_so(rng):
    split = _split(rng)
    made = batch(split, 'frm_align')
    for values, keep_mask in made.values():
        assert keep_mask.tolist() == [[True, True, False], [True, True, True]]
        assert (values[~keep_mask] == 0).all()
    np.testing.assert_allclose(made['audio'][0][0, :2], resampled(split['audio'][0], 2), rtol=1e-6)


def test_padding_keeps_every_row_and_marks_the_rest():
    values, keep_mask = padded([np.ones((2, 3)), np.ones((1, 3))])
    assert values.sum() == 9
    assert keep_mask.tolist() == [[True, True], [True, False]]


def test_what_cannot_be_aligned_is_refused(rng):
    split = _split(rng)
    with pytest.raises(UnknownNameError, match='frm_align'):
        batch(split, 'frames')
    with pytest.raises(ShapeError, match='text'):
        legacy_batch({'audio': split['audio']}, 'frm_align')
    with pytest.raises(ShapeError, match='same samples'):
        batch({**split, 'audio': split['audio'][:1]}, 'utt')
    for kind in ('utt', 'frm_align', 'frm_unalign'):
        for pooled in (batch, legacy_batch):
            with pytest.raises(ShapeError):
                pooled({**split, 'audio': [split['audio'][0][:0], *split['audio'][1:]]}, kind)
    with pytest.raises(ShapeError):
        resampled(np.zeros((0, 3)), 2)
    with pytest.raises(ValueRangeError):
        legacy_resampled(np.zeros((2, 3)), 0)
    with pytest.raises(ShapeError):
        padded([])
    with pytest.raises(ShapeError):
        padded([np.zeros((1, 2)), np.zeros((1, 3))])
