"""Checkpoints of HiCMAE and SVFAP as encoders: clips to features of the clip, of its time slices, of each layer.

    encoder = open_encoder('run', EncoderSettings(is_for_one_row=True))     # of affekt.encoders, which finds this file
    (encoded,) = encoder.encode([decoded('interview.mp4')])                  # rows (1, 4C)

Frozen, a clip is read in two windows whose features are averaged, as in the published evaluation, or in consecutive
windows, one row per time slice. In fine-tuning, each window is one row of bytes: pixels, spectrogram, then two flags
that say which of the two exist. A missing modality is masked in the network, its features are 0, and it is reported.

Axes: B batch, V windows, R bytes of a window, D feature.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from affekt.checkpoints import opened
from affekt.clips import CROPS, Clip, ClipSettings
from affekt.encoders import PRECISIONS, Backbone, Encoded, EncoderSettings, Family, Modality, checkpoint_at
from affekt.errors import MediaError, UnknownNameError, ValueRangeError
from affekt.pretraining import (
    ClipBatch,
    HicmaeForm,
    SvfapForm,
    classifier_from,
    collate,
    filterbanks,
    normalised_frames,
    resized,
    stored_form,
)
from affekt.representations.readings import Form, Inputs, Network, groups, of_layers, of_slices, of_windows, widths
from affekt.representations.views import SEGMENTS, STRIDE, View, is_heard, lacking, rows_of, views_of
from affekt.training import has_precision

LOG = logging.getLogger('affekt')
AT_ONCE = 4
"""Number of windows per forward pass of a frozen network."""
ROWS, BANDS = 256, 128


class AboutClips(NamedTuple):
    """Properties of a checkpoint that its header states."""

    network: str
    """Architecture: `hicmae` or `svfap`."""
    modalities: tuple[str, ...]
    dimension: int
    """D, the number of features per row, under the given settings."""
    facts: dict[str, Any]
    """Everything that the features depend on besides the file."""


class ClipBackbone(Backbone):
    """A fine-tuning network without its head.

    Args:
        network: `HicmaeClassifier` or `SvfapClassifier`.
        settings: with `is_for_one_row`, one row per clip, else one per time slice; with `each_layer`, the layers
            concatenated. `layers` is ignored: the checkpoint has weights for them.

    Raises:
        ValueRangeError: `each_layer` was requested for time slices.
    """

    modality: Modality = 'video'

    def __init__(self, network: Network, settings: EncoderSettings) -> None:
        if settings.each_layer and not settings.is_for_one_row:
            raise ValueRangeError(
                expected='one row per clip for features of each layer', came='time slices',
                todo='set is_for_one_row=True, or leave each_layer out',
            )  # fmt: skip
        form: Form = network.form
        super().__init__(network, settings.layers, sum(widths(form, each_layer=settings.each_layer)))
        for unused in ('fc_norm', 'head'):  # they would get no gradient
            setattr(network, unused, torch.nn.Identity())
        self.form = form
        self.clips = ClipSettings(form.size, CROPS[0], form.modalities)
        self.modality = 'audio' if form.modalities == ('audio',) else 'video'
        self._settings = settings

    @property
    def architecture(self) -> str:
        """`hicmae` or `svfap`."""
        return _name(self.form)

    @classmethod
    def about(cls, path: Path, settings: EncoderSettings) -> AboutClips:
        """Properties of a checkpoint, read without its weights.

        Raises:
            WeightsError: the file is not a checkpoint of HiCMAE or SVFAP.
            UnknownNameError: unknown precision.
        """
        form = stored_form(opened(checkpoint_at(path) or path))
        reading = 'each layer' if settings.each_layer else 'clip' if settings.is_for_one_row else 'time slices'
        facts = {
            'model': _name(form), 'reads': list(form.modalities), 'reading': reading, 'stride': STRIDE,
            'windows': f'{SEGMENTS} averaged' if settings.is_for_one_row else 'consecutive',
            'frames': form.frames, 'size': form.size, 'faces': 'of the manifest, else cut out by affekt.clips',
            'pooling': 'mean over tokens, before the last norm; layers '
            + ('side by side' if settings.each_layer else 'as the checkpoint weighs them'),
            'precision': used_precision(settings.device, settings.precision), 'version': 1,
        }  # fmt: skip
        return AboutClips(_name(form), form.modalities, sum(widths(form, each_layer=settings.each_layer)), facts)

    @classmethod
    def open(cls, path: Path, settings: EncoderSettings, family: Family) -> ClipBackbone:
        """The network of a checkpoint of any stage, in evaluation mode.

        Raises:
            WeightsError: the file is not a complete checkpoint of HiCMAE or SVFAP.
            ValueRangeError: the device is not available.
        """
        network, _ = classifier_from(checkpoint_at(path) or path, 1, drop_path=0.0)
        precision = used_precision(settings.device, settings.precision)
        if settings.precision not in ('auto', precision):
            LOG.warning('%s does not support %s natively: float32 is used', settings.device, settings.precision)
        try:
            network = network.to(torch.device(settings.device), getattr(torch, precision))
        except (RuntimeError, AssertionError) as error:
            raise ValueRangeError(
                expected='a device of torch', came=f'{settings.device}: {str(error).splitlines()[0][:200]}',
                todo='choose another device',
            ) from error  # fmt: skip
        return cls(network, settings).eval()

    def prepare(self, sample: Clip) -> npt.NDArray[np.uint8]:
        """(V, R) bytes of a clip's windows, as many as the published evaluation reads.

        Raises:
            MediaError: the clip has none of the modalities that the network reads.
        """
        rows = [packed(view.clip, self.form) for view in views_of(sample, self.form, is_whole=True)]
        if not rows:
            raise MediaError(
                expected=f'{" or ".join(self.form.modalities)} in {sample.name}',
                came=lacking(sample, self.form.modalities), todo='leave the clip out',
            )  # fmt: skip
        return np.stack(rows)

    def forward(self, rows: Tensor, keep_mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, V, D) features of windows, zeros where not kept; and the mask, unchanged."""
        batch = unpacked(rows[keep_mask], self.form)  # (windows, R)
        parts = self._parts(batch)
        like = next(part for part in parts if part is not None)
        # (windows, width) of each group of columns to (windows, D)
        features = torch.cat(
            [
                like.new_zeros(len(like), width) if part is None else part * has.to(like).unsqueeze(1)
                for part, width, has in zip(parts, self._widths, self._has(batch), strict=True)
            ],
            dim=1,
        )
        states = features.new_zeros((*keep_mask.shape, features.shape[1]))  # (B, V, D)
        states[keep_mask] = features
        return states, keep_mask

    def encode(self, samples: Sequence[Clip], *, is_published: bool = False) -> list[Encoded | str]:
        """(1, D) features of each clip, or (T, D) with one row per time slice; the reason for a clip without any."""
        read = self._whole if self._settings.is_for_one_row else self._in_time
        with torch.inference_mode():
            return [read(clip) for clip in samples]

    def _whole(self, clip: Clip) -> Encoded | str:
        """Features averaged over windows; each group of columns over the windows that have its modality."""
        views = views_of(clip, self.form, is_whole=True)
        if not views:
            return lacking(clip, self.form.modalities)
        batch = self._batch(views)
        means = []
        for part, width, has in zip(self._parts(batch), self._widths, self._has(batch), strict=True):
            counted = has.to(torch.float32)
            if part is None or not has.any():
                means.append(torch.zeros(width))
            else:
                means.append(counted @ part.float().cpu() / counted.sum())  # (V,) and (V, width) to (width,)
        return Encoded(torch.cat(means).unsqueeze(0).numpy(), lacking=self._absent(clip, batch))

    def _in_time(self, clip: Clip) -> Encoded | str:
        """Features with one row per time slice."""
        views = views_of(clip, self.form, is_whole=False)
        if not views:
            return lacking(clip, self.form.modalities)
        rows, batches = [], []
        for begin in range(0, len(views), AT_ONCE):
            chunk = views[begin : begin + AT_ONCE]
            batch = self._batch(chunk)
            batches.append(batch)
            parts = of_slices(self.network, Inputs.of(batch, self.network))
            has = self._has(batch)
            for index, view in enumerate(chunk):
                slice_features = [
                    part[index].float().cpu() if part is not None and is_present[index] else None
                    for part, is_present in zip(parts, has, strict=True)
                ]
                rows.append(rows_of(view, slice_features, self.form))
        times = [row.times for row in rows if row.times is not None]
        has_video, has_audio = (torch.cat(column) for column in zip(*(batch[2:] for batch in batches), strict=True))
        return Encoded(
            torch.cat([row.values for row in rows]).numpy(),
            np.concatenate(times) if len(times) == len(rows) else None,
            self._absent(clip, ClipBatch(None, None, has_video, has_audio)),
        )

    @property
    def _widths(self) -> tuple[int, ...]:
        return widths(self.form, each_layer=self._settings.each_layer)

    def _parts(self, batch: ClipBatch) -> list[Tensor | None]:
        read = of_layers if self._settings.each_layer else of_windows
        return read(self.network, Inputs.of(batch, self.network))

    def _has(self, batch: ClipBatch) -> list[Tensor]:
        """For each group of columns, (V,) bool: whether a window has its modality."""
        return [batch.has_video if name == 'video' else batch.has_audio for name in groups(self.form)]

    def _batch(self, views: Sequence[View]) -> ClipBatch:
        return collate([view.clip for view in views], size=self.form.size, rows=_steps(self.form))

    def _absent(self, clip: Clip, batch: ClipBatch) -> str:
        """The modalities that no window of a clip has, with reasons; '' if none is missing."""
        has = {'video': batch.has_video, 'audio': batch.has_audio}
        absent = [name for name in self.form.modalities if not has[name].any()]
        return lacking(clip, absent) if absent else ''


def used_precision(device: str, wanted: str) -> str:
    """The precision in which a network runs: the requested one if the device supports it natively, else float32.

    Args:
        device: torch device, such as `cuda:0`.
        wanted: float32, float16, bfloat16, or 'auto' for bfloat16.

    Raises:
        UnknownNameError: unknown precision.
    """
    if wanted not in (*PRECISIONS, 'auto'):
        raise UnknownNameError(
            expected=f'one of {", ".join(PRECISIONS)}, auto', came=repr(wanted), todo='name one of them'
        )
    precision = cast(Literal['float32', 'bfloat16', 'float16'], 'bfloat16' if wanted == 'auto' else wanted)
    try:
        return precision if has_precision(device, precision) else 'float32'
    except (RuntimeError, AssertionError):  # an unavailable device raises where it is used
        return 'float32'


def packed(clip: Clip, form: Form) -> npt.NDArray[np.uint8]:
    """(R,) bytes of a window: (T, 3, H, W) pixels, (steps, bands) as float32, and a flag for each of the two."""
    parts = []
    if 'video' in form.modalities:
        pixels = torch.zeros(form.frames, 3, form.size, form.size, dtype=torch.uint8)
        if clip.frames is not None:
            # (T, H, W, 3) to (T, 3, H, W)
            pixels = resized(torch.from_numpy(np.ascontiguousarray(clip.frames.transpose(0, 3, 1, 2))), form.size)
        parts.append(pixels.flatten())  # (3 T H W,)
    if 'audio' in form.modalities:
        spectrogram = torch.zeros(_steps(form), BANDS)
        if clip.sound is not None and is_heard(clip):
            spectrogram = filterbanks([np.ascontiguousarray(clip.sound)], _steps(form))[0]
        parts.append(spectrogram.flatten().view(torch.uint8))  # (4 steps bands,)
    flags = torch.tensor([clip.frames is not None, is_heard(clip)], dtype=torch.uint8)
    return np.asarray(torch.cat([*parts, flags]).numpy())


def unpacked(rows: Tensor, form: Form) -> ClipBatch:
    """The batch of the (V, R) bytes of `packed`."""
    video = audio = None
    begin = 0
    flags = rows[:, -2:].bool()
    if 'video' in form.modalities:
        shape = (form.frames, 3, form.size, form.size)
        pixels = rows[:, : (begin := prod(shape))].unflatten(1, shape)  # (V, T, 3, H, W)
        video = torch.stack([normalised_frames(window) for window in pixels]) if bool(flags[:, 0].any()) else None
    if 'audio' in form.modalities and bool(flags[:, 1].any()):
        steps = _steps(form)
        numbers = rows[:, begin : begin + steps * BANDS * 4].flatten().view(torch.float32)  # (V steps bands,)
        audio = numbers.unflatten(0, (-1, 1, steps, BANDS))  # (V, 1, steps, bands)
    return ClipBatch(video, audio, flags[:, 0], flags[:, 1])


def _steps(form: Form) -> int:
    return form.steps if isinstance(form, HicmaeForm) else ROWS


def _name(form: Form) -> str:
    return 'svfap' if isinstance(form, SvfapForm) else 'hicmae'
