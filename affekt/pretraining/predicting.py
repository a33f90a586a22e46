"""Predictions of a fine-tuned model: probabilities of classes, or values, averaged over views of each clip.

    predict('tuned', 'interview.mp4')      # {'happy': .71, 'neutral': .2, …}: a folder written by `affekt finetune`
    predict_proba(model, clips)            # (N, outputs) from a model in memory

A view is a window of frames with its audio. Two views are spread evenly over a clip, one suffices for a short one.
Published code reads two crops of each view that are identical, and identical views; the average is the same.

Axes: N clips, V views, B views at once, K outputs.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from affekt.arrays import Floats32
from affekt.clips import Clip, decoded
from affekt.encoders import RUN_WEIGHTS
from affekt.errors import AffektError, MediaError, UnknownNameError, WeightsError
from affekt.nn import built, read_tensors, save_tensors
from affekt.pretraining.batches import ClipBatch, collate
from affekt.pretraining.forms import Form, HicmaeForm
from affekt.pretraining.hicmae import HicmaeClassifier
from affekt.pretraining.spectrograms import WINDOW
from affekt.pretraining.svfap import SvfapClassifier
from affekt.pretraining.transfer import noted_form
from affekt.pretraining.windows import Sampling, Window, consecutive_windows, cut, evaluation_windows
from affekt.progress import Progress
from affekt.runs import write_atomically
from affekt.typed_json import json_file, plain

Views = Literal['distinct', 'published']
VIEWS: tuple[Views, ...] = ('distinct', 'published')
AnyClip = Clip | Callable[[], Clip]
Crop = Literal['faces', 'published', 'none']
LABELS = 'labels.json'
"""File with the labels in a folder with a fine-tuned model."""
LOG = logging.getLogger('affekt')


class Inputs(NamedTuple):
    """A batch as a model's arguments; `has_…` is None where every clip has the modality."""

    video: Tensor | None
    audio: Tensor | None
    has_video: Tensor | None
    has_audio: Tensor | None


@dataclass(frozen=True, eq=False)
class TunedModel:
    """A fine-tuned model and the meaning of its outputs.

    Args:
        model: the model, on the CPU, in evaluation mode.
        names: (K,) names of the classes, or of the values.
        is_classes: False if the outputs are values of a regression.
        stride: distance between frames of a window, in frames of the clip.
        crop: how faces are cropped from recordings; see `ClipSettings`.
        notes: further notes in its file.
    """

    model: nn.Module
    names: tuple[str, ...]
    is_classes: bool = True
    stride: int = 4
    crop: Crop = 'faces'
    notes: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def form(self) -> Form:
        """The form of the model."""
        return form_of(self.model)

    def save(self, folder: Path) -> None:
        """Write `labels.json`, then `weights.safetensors` with all of this as notes: a folder with weights is whole.

        Raises:
            StorageError: the folder cannot be written, as on a full disk.
        """
        form = self.form
        notes = {
            **self.notes, 'family': 'hicmae' if isinstance(form, HicmaeForm) else 'svfap', 'form': asdict(form),
            'stage': 'finetuning', 'names': list(self.names), 'is_classes': self.is_classes, 'stride': self.stride,
            'crop': self.crop,
        }  # fmt: skip
        write_atomically(folder / LABELS, json_file(list(self.names)))
        save_tensors(folder / RUN_WEIGHTS, self.model.state_dict(), {'notes': json.dumps(plain(notes))})

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> TunedModel:
        """Read a saved folder, or a file of weights.

        Raises:
            WeightsError: the source is not a fine-tuned model, or is damaged.
        """
        path = Path(folder)
        path = path / RUN_WEIGHTS if path.is_dir() else path
        try:
            tensors, header = read_tensors(path)
            notes = json.loads(header['notes'])
            form = noted_form(notes['family'], notes['form'])
            names, is_classes = tuple(map(str, notes['names'])), bool(notes['is_classes'])
            classifier = HicmaeClassifier if isinstance(form, HicmaeForm) else SvfapClassifier
            model, _ = built(lambda: classifier(form, len(names)), tensors, {})  # type: ignore[arg-type]
            return cls(model.eval(), names, is_classes, int(notes['stride']), notes['crop'], notes)
        except (AffektError, KeyError, TypeError, ValueError, AttributeError) as error:
            came = ' '.join(str(error).split())[:200]
            if isinstance(error, AffektError):
                came = f'{error.came} instead of {error.expected}'
            elif isinstance(error, KeyError):
                came = f'weights without a note of {error.args[0]}'
            raise WeightsError(
                expected=f'a fine-tuned model in {path}', came=came,
                todo='give a folder that `affekt finetune` wrote; other weights are fine-tuned first',
            ) from error  # fmt: skip

    def answers(self, clip: AnyClip | str | os.PathLike[str]) -> dict[str, float]:
        """Class to probability, or name of an output to its value; modalities that the clip lacks are masked, with a
        warning.

        Raises:
            MediaError: the recording cannot be read, or has no modality that the model reads.
        """
        opened = _clip(clip, self)
        row = predict_proba(self.model, [opened], stride=self.stride, numbers=not self.is_classes)[0]
        return dict(zip(self.names, row.tolist(), strict=True))


def predict(
    model: nn.Module | TunedModel | str | os.PathLike[str], clip: AnyClip | str | os.PathLike[str]
) -> dict[str, float] | Floats32:
    """The prediction of a fine-tuned model for one clip.

    Args:
        model: a folder written by `affekt finetune`, a `TunedModel`, or a bare model.
        clip: a clip, or the path of a video with or without audio, or of audio alone. Faces are cropped from a video as
            for training. Without a face, or without audio, the model uses the other, with a warning.

    Returns:
        Class to probability, or the name of an output to its value; for a bare model, whose classes have no names, the
        (K,) probabilities.

    Raises:
        WeightsError: the folder is not a fine-tuned model.
        MediaError: the recording cannot be read, or has no modality that the model reads.
    """
    if isinstance(model, nn.Module):
        bare = TunedModel(model, tuple(str(index) for index in range(head_of(model).out_features)))
        return np.array(list(bare.answers(clip).values()), dtype=np.float32)
    tuned = model if isinstance(model, TunedModel) else TunedModel.open(model)
    return tuned.answers(clip)


def _clip(clip: AnyClip | str | os.PathLike[str], tuned: TunedModel) -> Clip:
    """The clip; modalities of the model that it lacks are named in a warning."""
    form = tuned.form
    if isinstance(clip, str | os.PathLike):
        opened = decoded(clip, form.size, tuned.crop, modalities=form.modalities)
    else:
        opened = clip() if callable(clip) else clip
    has = {'video': opened.frames is not None, 'audio': opened.sound is not None}
    missing = [name for name in form.modalities if not has[name]]
    if missing and len(missing) < len(form.modalities):
        reasons = '; '.join(f'{name}: {opened.missing.get(name, "none")}' for name in missing)
        LOG.warning('%s is answered without %s (%s)', opened.name, ' and '.join(missing), reasons)
    return opened


def predict_proba(
    model: nn.Module,
    clips: Iterable[AnyClip],
    *,
    views: Views = 'distinct',
    batch_size: int = 8,
    segments: int = 2,
    stride: int = 4,
    numbers: bool = False,
    progress: Progress | None = None,
) -> Floats32:
    """A model's predictions for clips, the mean over the views of each.

    Args:
        model: `HicmaeClassifier` or `SvfapClassifier`, on any device; its mode is restored.
        clips: N clips, or functions that open them one after another.
        views: `distinct`, or `published` to read each view as often as published code does, and to cut audio as that
            does.
        batch_size: views per batch.
        segments: maximum views per clip.
        stride: distance between frames of a window, in frames of the clip.
        numbers: whether the outputs are values, whose mean is taken; otherwise probabilities after a softmax.
        progress: called with 'predict', clips done, total clips.

    Returns:
        (N, K) float32 probabilities or values.

    Raises:
        MediaError: a clip has no modality that the model reads.
    """
    total = len(clips) if isinstance(clips, Sequence) else 0
    device = next(model.parameters()).device
    form = form_of(model)

    def answers(batch: ClipBatch) -> Tensor:
        outputs: Tensor = model(*inputs_of(batch.to(device))).float()
        return (outputs if numbers else outputs.softmax(dim=1)).cpu()

    owners: list[int] = []
    rows: list[Tensor] = []
    for clip_index, row in viewed(model, clips, form, answers, views, segments, stride, batch_size):
        if progress and total and (not owners or clip_index != owners[-1]):
            progress('predict', clip_index, total)
        owners.append(clip_index)
        rows.append(row)
    if progress and total:
        progress('predict', total, total)
    if not rows:
        return np.zeros((0, head_of(model).out_features), dtype=np.float32)
    return view_means(torch.stack(rows), torch.tensor(owners))


def view_means(predictions: Tensor, owners: Tensor) -> Floats32:
    """(N, K) means over the views of each clip, from (V, K) predictions and the (V,) index of each view's clip."""
    sums = torch.zeros(int(owners[-1]) + 1 if len(owners) else 0, predictions.shape[1], dtype=torch.float64)
    sums.index_add_(0, owners, predictions.double())
    means: Floats32 = (sums / torch.bincount(owners).unsqueeze(1)).float().numpy()
    return means


def viewed(
    model: nn.Module,
    clips: Iterable[AnyClip],
    form: Form,
    answers: Callable[[ClipBatch], Tensor],
    views: Views = 'distinct',
    segments: int = 2,
    stride: int = 4,
    batch_size: int = 8,
) -> Iterator[tuple[int, Tensor]]:
    """Yield the index of a clip and the result of `answers` for one of its views, for all views of all clips in order.

    The model runs in evaluation mode, without gradients.

    Raises:
        MediaError: a clip has no modality that the form reads.
        UnknownNameError: unknown kind of views.
    """
    if views not in VIEWS:
        raise UnknownNameError(expected=f'views {" or ".join(VIEWS)}', came=repr(views), todo='choose one')
    stream = (
        (index, view)
        for index, clip in enumerate(clips)
        for view in views_of(clip() if callable(clip) else clip, form, views, segments, stride)
    )
    was_training = model.training
    model.eval()
    try:
        while group := list(islice(stream, batch_size)):
            with torch.no_grad():
                rows = answers(batch_of([view for _, view in group], form))
            yield from zip([index for index, _ in group], rows, strict=True)
    finally:
        model.train(was_training)


def views_of(clip: Clip, form: Form, views: Views = 'distinct', segments: int = 2, stride: int = 4) -> list[Clip]:
    """The views of a clip with something that the form reads; if the audio is silent in all of them, its loudest
    segment.

    Raises:
        MediaError: there is no such view.
    """
    reference = views == 'published'
    clip_as_read = read_by(clip, form)
    sampling = sampling_of(form, stride)
    windows = evaluation_windows(clip_as_read, sampling, segments=segments, reference=reference)
    readable_views = _readable(clip_as_read, windows)
    if not readable_views:  # such as a word in the middle of a long pause
        consecutive = _readable(clip_as_read, [window for window, _ in consecutive_windows(clip_as_read, sampling)])
        readable_views = sorted(consecutive, key=_energy)[-1:]
    if not readable_views:
        raise nothing_to_read(clip, form)
    return readable_views


def _readable(clip: Clip, windows: Iterable[Window]) -> list[Clip]:
    return [view for window in windows if is_readable(view := cut(clip, window))]


def _energy(view: Clip) -> float:
    return 0.0 if view.sound is None else float(np.square(view.sound, dtype=np.float64).sum())


def read_by(clip: Clip, form: Form) -> Clip:
    """The clip with only the modalities that the form reads.

    Raises:
        MediaError: no modality is left.
    """
    reduced = clip
    if 'video' not in form.modalities and clip.frames is not None:
        reduced = replace(reduced, frames=None, times_s=None)
    if 'audio' not in form.modalities and clip.sound is not None:
        reduced = replace(reduced, sound=None)
    if reduced.frames is None and reduced.sound is None:
        raise nothing_to_read(clip, form)
    return reduced


def is_readable(view: Clip) -> bool:
    """Whether a model can read a view: frames, or audio that is neither empty nor constant."""
    if view.frames is not None and len(view.frames):
        return True
    return view.sound is not None and len(view.sound) >= WINDOW and bool(np.ptp(view.sound))


def nothing_to_read(clip: Clip, form: Form) -> MediaError:
    """The error for a clip without any modality that the form reads."""
    reasons = [f'{name}: {reason}' for name, reason in clip.missing.items() if name in form.modalities]
    came = 'neither that can be read' if len(form.modalities) > 1 else 'none that can be read'
    return MediaError(
        expected=f'{" or ".join(form.modalities)} in {clip.name}',
        came='; '.join(reasons) or came,
        todo='leave the clip out, or take a model that reads what it has',
    )


def batch_of(views: Sequence[Clip], form: Form, **augmentation: Any) -> ClipBatch:
    """One batch of windows in the size of the form."""
    rows = form.steps if isinstance(form, HicmaeForm) else 256
    return collate(views, size=form.size, rows=rows, **augmentation)


def inputs_of(batch: ClipBatch) -> Inputs:
    """The arguments of a model."""
    has_video, has_audio = (None if bool(has.all()) else has for has in (batch.has_video, batch.has_audio))
    return Inputs(batch.video, batch.audio, has_video, has_audio)


def sampling_of(form: Form, stride: int) -> Sampling:
    """The sampling of windows with the form's number of frames."""
    return Sampling(form.frames, stride)


def form_of(model: nn.Module) -> Form:
    """The form of a model."""
    form: Form = model.form  # type: ignore[assignment]
    return form


def head_of(model: nn.Module) -> nn.Linear:
    """The last layer of a model."""
    head: nn.Linear = model.head  # type: ignore[assignment]
    return head
