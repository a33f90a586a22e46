"""Clips that are decoded at each access, for corpora too large to pack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np

from affekt.arrays import Ints
from affekt.clips.clip import SOUND_RATE_HZ, Clip, ClipSettings
from affekt.clips.sources import sample_clip
from affekt.corpora import Manifest
from affekt.errors import ValueRangeError


class DecodedClips(Sequence[Clip]):
    """The clips of a manifest, decoded on access; an unreadable one raises then.

    Args:
        manifest: rows with video, audio or folders of frames.
        settings: settings of making clips; not with faces, which need a cache.

    Raises:
        ValueRangeError: the crop is that of faces.
    """

    def __init__(self, manifest: Manifest, settings: ClipSettings) -> None:
        if settings.crop == 'faces' and 'video' in settings.modalities:
            raise ValueRangeError(
                expected="the crop 'published' or 'none' where nothing is packed", came="'faces'",
                todo='pack the clips, so that faces are looked for once',
            )  # fmt: skip
        self.manifest, self.settings = manifest, settings

    @property
    def names(self) -> tuple[str, ...]:
        """(K,) names of the clips."""
        return tuple(self.manifest.names)

    @property
    def frame_counts(self) -> Ints:
        """(K,) 1 where the manifest names frames, else 0: the number is known only after decoding."""
        filled = [self.manifest.samples.filled(column) for column in ('video', 'frames')]
        return np.logical_or(*filled).astype(np.int64)

    @property
    def sample_counts(self) -> Ints:
        """(K,) one second of samples where the manifest names a file that may have audio, else 0."""
        filled = [self.manifest.samples.filled(column) for column in ('audio', 'video')]
        return np.logical_or(*filled).astype(np.int64) * SOUND_RATE_HZ

    def __len__(self) -> int:
        return len(self.manifest)

    @overload
    def __getitem__(self, index: int) -> Clip: ...

    @overload
    def __getitem__(self, index: slice) -> list[Clip]: ...

    def __getitem__(self, index: int | slice) -> Clip | list[Clip]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        return sample_clip(self.manifest, self.manifest.samples[index], self.settings)
