"""Pooling of states: layers to one, sequences of different lengths to a common length.

T time steps, D features, L target length, B samples.

The published pooling pads with zeros in front, also where a length does not divide, and averages them in: the first
rows are damped or erased, and no model can distinguish them from silence (`legacy_resampled`, `legacy_batch`).
`resampled` cuts a sequence into L nearly equal segments instead, and `batch` pads at the end and returns a mask of the
real rows (`padded`).

Source: the loaders of MERBench, arXiv:2401.03429; the corrected forms are ours.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from affekt.arrays import Bools, Floats32
from affekt.errors import ShapeError, UnknownNameError, ValueRangeError

Array = npt.NDArray[np.floating]
KINDS = ('utt', 'frm_align', 'frm_unalign')
"""One row per sample; rows of all modalities aligned to the text; rows of each modality with their own time steps."""
_SCALE = {'utt': 1, 'frm_align': 6, 'frm_unalign': 12}
"""Number of time steps that are averaged first."""
States = TypeVar('States')
"""A NumPy array, or a torch tensor."""


def sum_of_layers(layers: Sequence[States]) -> States:
    """The sum of the states (…, T, D) of several layers, added in order, so that rounding is reproducible.

    >>> sum_of_layers([np.array([1.0]), np.array([2.0])]).tolist()
    [3.0]
    """
    return functools.reduce(operator.add, layers)


def legacy_resampled(values: Array, length: int) -> Array:
    """A sequence resampled as published.

    Same length: unchanged. Longer: zeros in front. Shorter: zeros in front up to a multiple of L, then the mean of
    every ceil(T / length) rows, zeros included.

    Args:
        values: (T, D), T at least 1.
        length: L, at least 1.

    Returns:
        (L, D); float64 where anything was changed.

    Raises:
        ShapeError: values are not (T, D) with T at least 1.
        ValueRangeError: the length is below 1.

    >>> legacy_resampled(np.arange(1.0, 8)[:, None], 3).ravel().round(4).tolist()
    [0.3333, 3.0, 6.0]
    >>> legacy_resampled(np.arange(1.0, 5)[:, None], 6).ravel().tolist()
    [0.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    """
    rows = _rows(values, length)
    if rows == length:
        return values
    rows_per_mean = math.ceil(rows / length)
    padded_rows = np.concatenate([np.zeros((rows_per_mean * length - rows, values.shape[1])), values])
    # (length * rows_per_mean, D) to (length, rows_per_mean, D) to (length, D)
    means: Array = padded_rows.reshape(length, rows_per_mean, -1).mean(axis=1)
    return means


def resampled(values: Array, length: int) -> Array:
    """A sequence resampled without padding: L segments of T time steps, each averaged.

    Segment i has the time steps from floor(i T / L) up to floor((i + 1) T / L), at least one; a sequence shorter than L
    repeats time steps. The mean over time is unchanged where L divides T.

    Args:
        values: (T, D), T at least 1.
        length: L, at least 1.

    Returns:
        (L, D), float32 or float64 like `values`.

    Raises:
        ShapeError: values are not (T, D) with T at least 1.
        ValueRangeError: the length is below 1.

    >>> resampled(np.arange(1.0, 8)[:, None], 3).ravel().tolist()
    [1.5, 3.5, 6.0]
    """
    rows = _rows(values, length)
    if rows == length:
        return values
    starts = np.arange(length) * rows // length
    ends = np.maximum((np.arange(length) + 1) * rows // length, starts + 1)
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    means: Array = ((sums[ends] - sums[starts]) / (ends - starts)[:, None]).astype(values.dtype)
    return means


def padded(sequences: Sequence[Array]) -> tuple[Floats32, Bools]:
    """Sequences in one array, padded with zeros at the end, and the mask of their real rows.

    Args:
        sequences: B sequences (T_b, D).

    Returns:
        (B, max T, D) float32 and (B, max T) `keep_mask`, True where a row is real.

    Raises:
        ShapeError: there are no sequences, or they differ in D.
    """
    if len({rows.shape[1:] for rows in sequences}) != 1 or sequences[0].ndim != 2:
        shapes = sorted({str(rows.shape[1:]) for rows in sequences})
        raise ShapeError(expected='sequences (T, D) of one D', came=f'{shapes or "none"}', todo='use one recipe')
    lengths = np.array([len(rows) for rows in sequences])
    keep_mask = np.arange(int(lengths.max()))[None, :] < lengths[:, None]
    values = np.zeros((*keep_mask.shape, sequences[0].shape[1]), dtype=np.float32)
    values[keep_mask] = np.concatenate(sequences)
    return values, keep_mask


def legacy_batch(modalities: Mapping[str, Sequence[Array]], kind: str) -> dict[str, Floats32]:
    """The arrays that the published loaders make from a split.

    1. `utt`: the mean over time. Else every sequence is resampled to ceil(T / 6), or ceil(T / 12) for `frm_unalign`.
    2. `frm_align`: audio and video are resampled to the length of the text.
    3. Every sequence is resampled to the longest of its modality in the split: zeros in front.

    Args:
        modalities: audio, text, video to B sequences (T, D) each, of a whole split, whose longest sequence counts.
        kind: one of `KINDS`.

    Returns:
        Modality to (B, D) or (B, L, D) float32.

    Raises:
        UnknownNameError: unknown kind.
        ShapeError: numbers of samples differ, a sequence is empty, or `frm_align` lacks the text.
    """
    _check(modalities, kind)
    if kind == 'utt':
        return {
            name: np.stack([rows.mean(axis=0) for rows in sequences]).astype(np.float32)
            for name, sequences in modalities.items()
        }
    resampled_of = {
        name: [legacy_resampled(rows, math.ceil(len(rows) / _SCALE[kind])) for rows in sequences]
        for name, sequences in modalities.items()
    }
    if kind == 'frm_align':
        lengths = [len(rows) for rows in resampled_of['text']]
        for name, sequences in resampled_of.items():
            if name != 'text':
                resampled_of[name] = [
                    legacy_resampled(rows, length) for rows, length in zip(sequences, lengths, strict=True)
                ]
    longest = {name: max(len(rows) for rows in sequences) for name, sequences in resampled_of.items()}
    return {
        name: np.stack([legacy_resampled(rows, longest[name]) for rows in sequences]).astype(np.float32)
        for name, sequences in resampled_of.items()
    }


def batch(modalities: Mapping[str, Sequence[Array]], kind: str) -> dict[str, tuple[Floats32, Bools]]:
    """As `legacy_batch` without padding in the means: real rows only, padded at the end, with a mask.

    Returns:
        Modality to values and `keep_mask`: (B, D) and (B,) for `utt`, else (B, L, D) and (B, L).

    Raises:
        As in `legacy_batch`.
    """
    _check(modalities, kind)
    if kind == 'utt':
        return {
            name: (
                np.stack([rows.mean(axis=0) for rows in sequences]).astype(np.float32),
                np.ones(len(sequences), dtype=bool),
            )
            for name, sequences in modalities.items()
        }
    return {name: padded(sequences) for name, sequences in pooled(modalities, kind).items()}


def pooled(modalities: Mapping[str, Sequence[Array]], kind: str) -> dict[str, list[Array]]:
    """The sequences of `batch` before padding.

    Args:
        modalities: modality to B sequences (T, D) each.
        kind: `frm_align` or `frm_unalign`.

    Returns:
        Modality to B sequences (L, D).

    Raises:
        As in `legacy_batch`.
    """
    _check(modalities, kind)
    if kind == 'utt':
        raise UnknownNameError(expected=' or '.join(KINDS[1:]), came="'utt'", todo='take the mean of each sequence')
    lengths = {
        name: [math.ceil(len(rows) / _SCALE[kind]) for rows in sequences] for name, sequences in modalities.items()
    }
    if kind == 'frm_align':
        lengths = dict.fromkeys(modalities, lengths['text'])
    return {
        name: [resampled(rows, length) for rows, length in zip(sequences, lengths[name], strict=True)]
        for name, sequences in modalities.items()
    }


def _check(modalities: Mapping[str, Sequence[Array]], kind: str) -> None:
    if kind not in KINDS:
        raise UnknownNameError(expected=f'one of {", ".join(KINDS)}', came=repr(kind), todo='name one of these')
    sizes = {name: len(sequences) for name, sequences in modalities.items()}
    if len(set(sizes.values())) != 1 or not all(sizes.values()) or (kind == 'frm_align' and 'text' not in sizes):
        raise ShapeError(
            expected='the same samples of every modality' + (', text among them' if kind == 'frm_align' else ''),
            came=f'{sizes}',
            todo='leave out samples that lack a modality, or mask them',
        )
    for sequences in modalities.values():
        for rows in sequences:
            _rows(rows, 1)


def _rows(values: Array, length: int) -> int:
    """T of (T, D) values, after a check of both arguments of a resampling."""
    if values.ndim != 2 or not len(values):
        raise ShapeError(expected='(T, D) with at least one row', came=f'{values.shape}', todo='check the features')
    if length < 1:
        raise ValueRangeError(expected='a length of at least 1', came=f'{length}', todo='ask for more rows')
    return len(values)
