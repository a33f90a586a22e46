"""Check of a manifest before use: present and missing media, usable modalities, overlap between parts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from affekt.corpora.affwild2 import FrameCheck, check_frames
from affekt.corpora.described import DescriptionCheck, check_descriptions
from affekt.corpora.leaks import KINDS, Leak, find_leaks, unchecked
from affekt.corpora.manifest import MEDIA, Manifest
from affekt.errors import AffektError
from affekt.frames import FrameTable
from affekt.runs import only_regular, require_regular_file

TRUSTED = ('speaker', 'dialogue', 'window')
"""Kinds of leaks that inflate scores; shared recordings and sessions are only reported."""

LABELS = ('category', 'sentiment', 'valence', 'openset', 'description')
"""Labels; a sample without any of these counts as unlabelled."""
POINTER = b'version https://git-lfs'
"""Start of the small text that Git LFS leaves in place of a file that it did not download."""
LONGEST_POINTER = 1024
"""Size in bytes up to which a file is read to see whether it is a pointer; the specification requires less."""
VIDEOS_OPENED = 5
"""Number of videos that are opened to look for audio."""


@dataclass(frozen=True)
class CorpusCheck:
    """Result of a check."""

    samples: int
    """Number of rows."""
    present: Mapping[str, int]
    """Text, audio, video and frames to the number of samples that have them."""
    gone: Mapping[str, tuple[str, ...]]
    """Kind of media to samples whose file is missing, empty, or a pointer of Git LFS."""
    unlabelled: int
    """Number of samples without any of `LABELS`."""
    small: Mapping[str, int]
    """Published split to the number of samples that it lacks; complete splits are absent."""
    leaks: tuple[Leak, ...]
    unchecked: tuple[str, ...]
    """Kinds of leaks for which the manifest has no information."""
    sound_in_video: bool = False
    """Whether the first videos have audio, which is then used for samples without an audio file."""
    frames: FrameCheck | None = None
    """Comparison of frame labels with videos and face images; None without frame labels."""
    descriptions: DescriptionCheck | None = None
    """Check of descriptions and free labels; None without any."""

    def harmful(self, accepted: Sequence[str] = ()) -> tuple[Leak, ...]:
        """Leaks of the `TRUSTED` kinds that were not accepted."""
        return tuple(leak for leak in self.leaks if leak.kind in TRUSTED and leak.kind not in accepted)

    @property
    def can_run(self) -> tuple[str, ...]:
        """Modalities that at least one sample has; audio also where it is in the video."""
        usable = {medium: count - len(self.gone.get(medium, ())) for medium, count in self.present.items()}
        return tuple(
            medium for medium, count in usable.items() if count > 0 or (medium == 'audio' and self.sound_in_video)
        )

    def to_dict(self, manifest: Manifest) -> dict[str, Any]:
        """All fields as for JSON, with the corpus and the notes of the manifest."""
        return {
            'corpus': manifest.facts.corpus, 'samples': self.samples, 'present': dict(self.present),
            'can_run': list(self.can_run), 'sound_in_video': self.sound_in_video,
            'gone': {medium: len(names) for medium, names in self.gone.items()},
            'gone_first': {medium: list(names[:3]) for medium, names in self.gone.items()},
            'missing_of_published': dict(self.small), 'unlabelled': self.unlabelled,
            'leaks': dict(Counter(leak.kind for leak in self.leaks)), 'unchecked': list(self.unchecked),
            'notes': list(manifest.facts.notes),
            **({'frames': asdict(self.frames)} if self.frames else {}),
            **({'descriptions': asdict(self.descriptions)} if self.descriptions else {}),
        }  # fmt: skip


def check_corpus(
    manifest: Manifest, sides: Sequence[str] | None = None, frames: FrameTable | None = None
) -> CorpusCheck:
    """Check every sample and every file that it refers to.

    Args:
        manifest: manifest to check.
        sides: (N,) parts of the samples, see `find_leaks`.
        frames: frame labels of the samples, which then count as their labels.
    """
    gone: dict[str, tuple[str, ...]] = {}
    for medium in MEDIA:
        paths = manifest.samples.cells(('sample', medium))
        if unusable := tuple(name for name, path in paths if path and not _is_usable(Path(manifest.facts.root, path))):
            gone[medium] = unusable
    by_split = manifest.coded('split').counts()
    counts = {split: by_split.get(split, 0) if split else len(manifest) for split in manifest.facts.published}
    by_frame = None if frames is None else check_frames(manifest, frames)
    is_labelled = np.any([manifest.samples.known(name) for name in LABELS], axis=0)
    is_described = any(manifest.samples.known(name).any() for name in ('description', 'chinese_description', 'openset'))
    small = {split: size - counts[split] for split, size in manifest.facts.published.items() if counts[split] < size}
    return CorpusCheck(
        samples=len(manifest),
        present=manifest.present(),
        gone=gone,
        unlabelled=len(by_frame.unlabelled) if by_frame else len(manifest) - int(is_labelled.sum()),
        small=small,
        leaks=tuple(find_leaks(manifest, sides)),
        unchecked=unchecked(manifest, KINDS),
        sound_in_video=_has_audio_in_video(manifest, gone.get('video', ())),
        frames=by_frame,
        descriptions=check_descriptions(manifest) if is_described else None,
    )


def _has_audio_in_video(manifest: Manifest, gone: Sequence[str]) -> bool:
    """Whether one of the first existing videos has an audio track."""
    unusable = set(gone)
    cells = manifest.samples.cells(('sample', 'video'))
    paths = (Path(manifest.facts.root, path) for name, path in cells if path and name not in unusable)
    return any(map(_has_audio, islice(paths, VIDEOS_OPENED)))


def _has_audio(path: Path) -> bool:
    """Whether a file has an audio track; False for a file that cannot be opened."""
    from affekt.media import Recording

    try:
        return bool(Recording.open(path).audio)
    except (AffektError, OSError):
        return False


def _is_usable(path: Path) -> bool:
    """Whether a file, or a folder of images, exists and is not empty."""
    try:
        if path.is_dir():
            with os.scandir(path) as entries:
                return next(entries, None) is not None
        size = require_regular_file(path).st_size
        if size > LONGEST_POINTER:
            return True
        with open(path, 'rb', opener=only_regular) as file:
            return size > 0 and file.read(len(POINTER)) != POINTER
    except OSError:
        return False
