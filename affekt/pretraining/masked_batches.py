"""Clips to masked batches: windows, augmentation and masks that depend on seed, epoch and clip alone.

A sample does not depend on the process, thread or time that makes it, so that a resumed run, or one on several
processes, sees the same samples as a single run. Clips with both modalities, with audio alone and with frames alone are
separate parts of a batch, since a model has no input for a missing modality.

    clips  both  audio  both  neither      parts  (2 with both), (1 with audio); 1 clip is skipped and counted

Axes: B clips, N tokens.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from affekt.arrays import Ints
from affekt.clips import Clip, DecodedClips, PackedClips
from affekt.errors import CorpusError, MediaError
from affekt.pretraining.augmentation import pretraining_augmentation
from affekt.pretraining.batches import collate
from affekt.pretraining.forms import MODALITIES, Form, HicmaeForm
from affekt.pretraining.masked_settings import PretrainingSettings
from affekt.pretraining.masking import cell_mask, tube_mask
from affekt.pretraining.spectrograms import WINDOW
from affekt.pretraining.windows import SHORTEST_SOUND, Sampling, cut, pretraining_window
from affekt.training import IndexBatches, epoch_seed
from affekt.wording import counted

MOST_REASONS = 3
"""Maximum number of reasons in an error."""
AHEAD = 2
"""Batches prepared in advance."""
SampleIndex = tuple[int, int]
"""Epoch, and number of the clip among the readable ones."""


class Clips(Protocol):
    """Clips by number: `PackedClips`, `DecodedClips`, or a list in memory."""

    def __len__(self) -> int:
        """The number of clips."""

    def __getitem__(self, index: int, /) -> Clip:
        """The clip of an index."""


class Part(NamedTuple):
    """Clips of a batch with the same modalities, with their masks."""

    video: Tensor | None
    """(B, 3, T, H, W) normalised frames."""
    audio: Tensor | None
    """(B, 1, rows, 128) normalised spectrograms."""
    video_mask: Tensor | None
    """(B, N) bool, True where a video token is hidden."""
    audio_mask: Tensor | None
    """(B, N) bool, True where an audio token is hidden."""

    @property
    def size(self) -> int:
        """B, the number of clips."""
        return len(self.video if self.video is not None else self.audio)  # type: ignore[arg-type]


@dataclass(frozen=True)
class MaskedBatch:
    """The clips of one step of one process, and counts of those with missing modalities."""

    parts: tuple[Part, ...]
    clips: int
    without_video: int
    without_audio: int
    unread: int
    """Clips with an empty window, which are in no part."""

    def with_all(self, modalities: Collection[str]) -> int:
        """The number of clips that have all of some modalities."""
        return sum(part.size for part in self.parts if all(getattr(part, name) is not None for name in modalities))

    def to(self, device: torch.device | str) -> MaskedBatch:
        """The batch on a device."""
        is_pinned = torch.device(device).type == 'cuda'
        parts = (
            Part(
                *(t if t is None else (t.pin_memory() if is_pinned else t).to(device, non_blocking=True) for t in part)
            )
            for part in self.parts
        )
        return replace(self, parts=tuple(parts))


@dataclass(frozen=True)
class Survey:
    """Counts of the modalities that the form reads in the clips of a run."""

    clips: int
    with_video: int
    with_audio: int
    with_both: int
    unread: tuple[str, ...]
    """Names of clips that have neither; they are skipped."""
    readable: Tensor
    """(C,) indices of the other clips."""
    sha256: str
    """SHA-256 of the names and lengths of all clips."""

    def __str__(self) -> str:
        left_out = f'; {len(self.unread):,} with neither are left out' if self.unread else ''
        return (
            f'{self.clips:,} clips: {self.with_video:,} with frames, {self.with_audio:,} with audio, '
            f'{self.with_both:,} with both{left_out}'
        )

    def counts(self) -> dict[str, int | str]:
        """The counts that are saved with a run."""
        names = ('clips', 'with_video', 'with_audio', 'with_both')
        return {name: getattr(self, name) for name in names} | {'unread': len(self.unread), 'sha256': self.sha256}


def surveyed(clips: Clips, form: Form) -> Survey:
    """Count the modalities of all clips; `PackedClips` and `DecodedClips` are not decoded.

    Raises:
        CorpusError: there are no clips, or none has a modality that the form reads.
    """
    frames, samples, names = _lengths(clips)
    digest = hashlib.sha256()
    for name, frame_count, sample_count in zip(names, frames.tolist(), samples.tolist(), strict=True):
        digest.update(f'{name}\0{frame_count}\0{sample_count}\n'.encode(errors='surrogateescape'))
    has_video = (frames > 0) & ('video' in form.modalities)
    has_audio = (samples > SHORTEST_SOUND) & ('audio' in form.modalities)
    is_readable = has_video | has_audio
    if not is_readable.any():
        reasons = '; '.join(islice(_reasons(clips, form), MOST_REASONS))
        raise CorpusError(
            expected=f'clips with {" or ".join(_names(form))}',
            came=(f'{counted(len(clips), "clip")} without' if len(clips) else 'no clip')
            + (f' ({reasons})' if reasons else ''),
            todo='see what the manifest names, and whether faces can be seen in the videos',
        )
    unread = tuple(names[index] for index in (~is_readable).nonzero()[0].tolist())
    with_video, with_audio, with_both = (int(mask.sum()) for mask in (has_video, has_audio, has_video & has_audio))
    readable = torch.from_numpy(is_readable.nonzero()[0])
    return Survey(len(clips), with_video, with_audio, with_both, unread, readable, digest.hexdigest())


def _lengths(clips: Clips) -> tuple[Ints, Ints, Sequence[str]]:
    """(C,) numbers of frames and of samples of all clips, and their names."""
    if isinstance(clips, PackedClips | DecodedClips):
        return clips.frame_counts, clips.sample_counts, clips.names
    opened = [clips[index] for index in range(len(clips))]
    lengths = [[0 if part is None else len(part) for part in (clip.frames, clip.sound)] for clip in opened]
    columns = np.array(lengths, np.int64).reshape(-1, 2)  # (C, 2), also without clips
    return columns[:, 0], columns[:, 1], [clip.name for clip in opened]


def _reasons(clips: Clips, form: Form) -> Iterator[str]:
    """The reasons why clips lack the modalities that the form reads."""
    for index in range(0 if isinstance(clips, DecodedClips) else len(clips)):
        clip = clips[index]
        yield from (
            f'{clip.name}, {name}: {reason}' for name, reason in clip.missing.items() if name in form.modalities
        )


def _names(form: Form) -> list[str]:
    names = dict(zip(MODALITIES, ('frames', 'audio'), strict=True))
    return [names[modality] for modality in form.modalities]


@dataclass(frozen=True)
class EpochBatches(IndexBatches):
    """Batches of (B, 2): epoch and clip number of each sample, so that its random draws can depend on both."""

    def starting_at(self, batches: int) -> Iterator[Tensor]:
        """The batches after the first `batches`, without iterating over those."""
        for number, index in enumerate(super().starting_at(batches), batches):
            yield torch.stack([torch.full_like(index, number // self.per_epoch), index], dim=1)  # (B, 2)


class MaskedClips:
    """Makes the batches of a run.

    Args:
        form: form of the model, which determines the modalities and their sizes.
        clips: all clips.
        readable: (C,) indices of the usable clips.
        settings: settings of the run.
    """

    def __init__(self, form: Form, clips: Clips, readable: Tensor, settings: PretrainingSettings) -> None:
        self.form, self.clips, self.readable, self.settings = form, clips, readable, settings
        reference = not settings.shifts_sound
        self._augmentation = pretraining_augmentation(reference=reference) if settings.augments else None
        self._sampling = Sampling(form.frames, settings.stride)
        self._rows = form.steps if isinstance(form, HicmaeForm) else 0

    def sample(self, sample: SampleIndex) -> Part | None:
        """One clip of an epoch as a separate part; None if its window is empty."""
        epoch, number = sample
        index = int(self.readable[number])
        rng = torch.Generator().manual_seed(epoch_seed(epoch_seed(self.settings.seed, epoch, 0), index, 1) % 2**63)
        # 1. Masks first: they do not depend on the clip.
        form, settings = self.form, self.settings
        video_mask = tube_mask(1, form.video_grid, settings.video_mask, rng=rng)  # (1, N)
        audio_mask = None
        if isinstance(form, HicmaeForm) and 'audio' in form.modalities:
            audio_mask = cell_mask(1, form.audio_grid, settings.audio_mask, rng=rng)  # (1, N)
        # 2. A window of the modalities that the form reads.
        try:
            clip = _without(self.clips[index], form)
        except MediaError:  # for clips decoded on access; counted as an empty window
            return None
        clip = cut(clip, pretraining_window(clip, rng, self._sampling))
        if clip.frames is None and not _is_heard(clip):
            return None
        # 3. Tensors.
        batch = collate([clip], self._augmentation, rng, size=form.size, rows=self._rows or 1)
        return Part(
            batch.video, batch.audio,
            None if batch.video is None else video_mask, None if batch.audio is None else audio_mask,
        )  # fmt: skip

    def batch(self, samples: Sequence[Part | None]) -> MaskedBatch:
        """Samples batched by their modalities."""
        readable = [sample for sample in samples if sample is not None]
        groups: dict[tuple[bool, bool], list[Part]] = {}
        for sample in readable:
            groups.setdefault((sample.video is not None, sample.audio is not None), []).append(sample)
        parts = [
            Part(*(None if column[0] is None else torch.cat(column) for column in zip(*group, strict=True)))
            for _, group in sorted(groups.items(), reverse=True)
        ]
        missing = {
            name: sum(getattr(sample, name) is None for sample in readable) if name in self.form.modalities else 0
            for name in MODALITIES
        }
        return MaskedBatch(tuple(parts), len(samples), missing['video'], missing['audio'], len(samples) - len(readable))

    def batches(self, samples: Iterable[list[SampleIndex]]) -> Iterator[MaskedBatch]:
        """A batch for each list of samples, in order, prepared in advance by threads."""
        if not self.settings.workers:
            for batch in samples:
                yield self.batch([self.sample(sample) for sample in batch])
            return
        pending: deque[list[Future[Part | None]]] = deque()
        pool = ThreadPoolExecutor(self.settings.workers, thread_name_prefix='clips')
        try:
            for batch in samples:
                pending.append([pool.submit(self.sample, sample) for sample in batch])
                if len(pending) > AHEAD:
                    yield self.batch([future.result() for future in pending.popleft()])
            while pending:
                yield self.batch([future.result() for future in pending.popleft()])
        finally:
            pool.shutdown(cancel_futures=True)


def _without(clip: Clip, form: Form) -> Clip:
    """The clip with only the form's modalities, so that windows of audio alone are drawn from the whole clip."""
    has_video, has_audio = ('video' in form.modalities), ('audio' in form.modalities)
    if has_video and has_audio:
        return clip
    return replace(
        clip,
        frames=clip.frames if has_video else None,
        times_s=clip.times_s if has_video else None,
        sound=clip.sound if has_audio else None,
    )


def _is_heard(clip: Clip) -> bool:
    """Whether there is audio that `collate` accepts."""
    return clip.sound is not None and len(clip.sound) >= WINDOW and bool((clip.sound != clip.sound[0]).any())
