"""The contract of encoders, on synthetic texts, tones and images.

B batch, T rows, S states, D their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.clips import Clip, ClipSettings
from affekt.encoders import Encoded, Encoder, Pictures, clips_of
from affekt.testing.contract import promised, require

RATE_HZ = 16_000
SIDE = 32


def check_encoder(encoder: Encoder, samples: Sequence[Any] | None = None, *, tolerance: float = 1e-3) -> None:
    """Check that an encoder turns each sample into states of one size, independent of the batch.

    1. It has a modality, a size above 0, and a rate above 0 or None.
    2. `prepare` returns (T, …) rows, T at least 1, the same each time.
    3. `forward` of a padded batch returns (B, S, D) states and (B, S) bool, with at least one real state per sample,
       which is finite; the states of a sample are the same alone, in a batch and in another order.
    4. `encode` returns, in order, finite float32 (S, D) with increasing times, or the reason why there is nothing; the
       same each time, alone, and in another order.

    Args:
        encoder: encoder, for example from `open_encoder`.
        samples: at least two samples of its modality; texts and audio, or for encoders of images `Pictures`, of clips
            `Clip`. None for synthetic ones.
        tolerance: largest difference between batches and orders, as a share of the range of the states.

    Raises:
        ContractError: a check fails.
    """
    name = type(encoder).__name__
    known = ('text', 'audio', 'video')
    require(getattr(encoder, 'modality', None) in known, f'a modality of {name} among {", ".join(known)}', 'another')
    require(encoder.size > 0, f'a size of {name} above 0', f'{encoder.size}')
    rate = encoder.rate_hz
    require(rate is None or rate > 0, f'a rate of {name} above 0, or None', f'{rate}')
    given = list(samples) if samples is not None else _made_up(encoder)
    _check_rows(encoder, name, given, tolerance)
    _check_encoded(encoder, name, given, tolerance)


def _made_up(encoder: Encoder) -> list[Any]:
    modality, rng = encoder.modality, np.random.default_rng(20240417)
    if (settings := clips_of(encoder)) is not None:
        return [_clip(frames, settings, rng) for frames in (64, 20, 90)]
    if modality == 'text':
        return ['say it again', 'it is so good to see you here today', 'no']
    if modality == 'audio':
        return [np.sin(0.1 * np.arange(size)).astype(np.float32) for size in (RATE_HZ, RATE_HZ // 2, 2 * RATE_HZ)]
    counts = (3, 5, 2)
    images = [[rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(count)] for count in counts]
    return [Pictures(each, np.arange(len(each)) / 5.0) for each in images]


def _clip(frames: int, settings: ClipSettings, rng: np.random.Generator) -> Clip:
    """Noise at 25 frames per second, with audio if the encoder reads it."""
    images = rng.integers(0, 256, (frames, settings.size, settings.size, 3), dtype=np.uint8)
    sound = (0.1 * rng.standard_normal(frames * RATE_HZ // 25)).astype(np.float32)
    has_video = 'video' in settings.modalities
    return Clip(
        f'{frames} frames', images if has_video else None, np.arange(frames) / 25.0 if has_video else None,
        sound if 'audio' in settings.modalities else None,
    )  # fmt: skip


def _check_rows(encoder: Encoder, name: str, samples: Sequence[Any], tolerance: float) -> None:
    bare = [list(each.images) if isinstance(each, Pictures) else each for each in samples]
    with promised(f'rows from {name}'):
        rows, again = [encoder.prepare(each) for each in bare], [encoder.prepare(each) for each in bare]
    arrays = all(isinstance(each, np.ndarray) and each.ndim >= 1 and len(each) > 0 for each in rows)
    require(arrays, f'an array of one row or more from {name}', f'{[type(each).__name__ for each in rows]}')
    same = all(np.array_equal(first, second) for first, second in zip(rows, again, strict=True))
    require(same, f'the same rows from {name} twice', 'others')
    with promised(f'states of a batch, of one sample, and of a batch in another order, from {name}'):
        together, counted = _states(encoder, rows)
        alone = [_states(encoder, [each]) for each in rows]
        turned, turned_counted = _states(encoder, rows[::-1])
    shape = (len(rows), counted.shape[-1], encoder.size)
    fits = together.shape == shape and counted.shape == shape[:2]
    require(fits, f'states {shape} and a mask from {name}', f'{together.shape} and {counted.shape}')
    require(counted.dtype == np.bool_, f'a mask of bool from {name}', str(counted.dtype))
    require(bool(counted.any(axis=1).all()), f'a state that counts from {name} for each sample', 'none for one')
    require(bool(np.isfinite(together[counted]).all()), f'finite states from {name}', 'nan or infinity')
    most = float(np.abs(together[counted]).max()) or 1.0
    for at in range(len(rows)):
        first = together[at][counted[at]]
        other = alone[at][0][0][alone[at][1][0]]
        third = turned[::-1][at][turned_counted[::-1][at]]
        for each, when in ((other, 'alone'), (third, 'in another order')):
            promise = f'the same states of a sample from {name} {when} as beside others'
            require(each.shape == first.shape, promise, f'{len(each)} and {len(first)} of them')
            apart = float(np.abs(each - first).max()) / most
            require(apart <= tolerance, promise, f'states apart by {apart:.2g} of the range')


def _states(encoder: Encoder, rows: Sequence[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """(B, S, D) states of padded rows, and their (B, S) mask."""
    longest = max(map(len, rows))
    padded = np.stack([np.pad(each, ((0, longest - len(each)), *[(0, 0)] * (each.ndim - 1))) for each in rows])
    keep_mask = np.arange(longest)[None, :] < np.array([len(each) for each in rows])[:, None]  # (B, T)
    if not hasattr(encoder, 'state_dict'):
        states, counted = encoder.forward(padded, keep_mask)
        return np.asarray(states), np.asarray(counted)
    import torch

    with torch.inference_mode():
        states, counted = encoder.forward(torch.from_numpy(padded), torch.from_numpy(keep_mask))
    return states.float().cpu().numpy(), counted.cpu().numpy()


def _check_encoded(encoder: Encoder, name: str, samples: Sequence[Any], tolerance: float) -> None:
    with promised(f'features from {name}'):
        first, again = encoder.encode(samples), encoder.encode(samples)
        alone = [encoder.encode([each])[0] for each in samples]
        turned = encoder.encode(samples[::-1])[::-1]
    require(len(first) == len(samples), f'one answer of {name} a sample', f'{len(first)} for {len(samples)}')
    made = [each for each in first if isinstance(each, Encoded)]
    require(bool(made), f'features from {name} of one sample at least', f'{first}', 'give samples that it can read')
    for each in made:
        rows, times = each.rows, each.times
        fits = rows.ndim == 2 and len(rows) > 0 and rows.shape[1] == encoder.size and rows.dtype == np.float32
        require(fits, f'float32 (S, {encoder.size}) from {name}', f'{rows.dtype} {rows.shape}')
        require(bool(np.isfinite(rows).all()), f'finite features from {name}', 'nan or infinity')
        rises = times is None or (len(times) == len(rows) and bool((np.diff(times) >= 0).all()))
        require(rises, f'as many times from {name} as rows, and rising', f'{times}')
    most = max(float(np.abs(each.rows).max()) for each in made) or 1.0
    for others, most_apart, when in ((again, 0.0, 'twice'), (alone, tolerance, 'alone'), (turned, tolerance, 'turned')):
        for one, other in zip(first, others, strict=True):
            apart = _apart(one, other) / most
            require(apart <= most_apart, f'the same features from {name} {when}', f'features apart by {apart:.2g}')


def _apart(first: Encoded | str, second: Encoded | str) -> float:
    """Largest difference; infinite where only one has features, or the numbers of rows differ."""
    if isinstance(first, Encoded) and isinstance(second, Encoded) and first.rows.shape == second.rows.shape:
        return float(np.abs(first.rows - second.rows).max())
    return 0.0 if isinstance(first, str) and isinstance(second, str) else float('inf')
