"""The clips of a manifest for processes that train together: packed once by the first process, and read by all."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from affekt.clips.cache_files import INDEX
from affekt.clips.clip import ClipSettings
from affekt.clips.packed import PackedClips
from affekt.corpora import Manifest
from affekt.errors import CorpusError, RunError, listed
from affekt.progress import Progress
from affekt.workers import awaited, launch

COLUMNS = {'video': ('video', 'frames'), 'audio': ('audio', 'video')}
"""Modality to the columns of a manifest that it is read from."""


def is_first_process() -> bool:
    """Whether this process is the only one or the first of several."""
    started = launch()
    return started is None or started[0] == 0


def process_count() -> int:
    """The number of processes that were launched together."""
    started = launch()
    return 1 if started is None else started[1]


def packed_clips(
    manifest: Manifest,
    folder: Path,
    settings: ClipSettings,
    *,
    processes: int = 1,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> PackedClips:
    """The packed clips of a manifest; an unfinished cache is completed first.

    Of processes started together, the first one decodes and the others wait for it.

    Args:
        manifest: rows with media of the requested modalities.
        folder: folder of the cache.
        settings: settings of making clips.
        processes: number of decoding processes.
        progress: called with `clips`, clips done and total clips.
        say: called in the first process with a sentence on the size of the cache before it is written.

    Raises:
        CorpusError: the manifest is empty, names no such media, or has no usable clip.
        RunError, StorageError, WeightsError: see `PackedClips.write`.
    """
    require_media(manifest, settings)
    if is_first_process():
        if say and not (folder / INDEX).exists():
            say(f'clips in {folder}: {PackedClips.estimate(manifest, settings)}')
        clips = PackedClips.write(folder, manifest, settings, processes=processes, resume=True, progress=progress)
    else:
        awaited(lambda seconds: _is_finished(folder, manifest, seconds))
        clips = PackedClips.open(folder)
    if not len(clips):
        raise CorpusError(
            expected='clips that can be used', came='; '.join(clips.sentences),
            todo='see that the files are where the manifest names them; without faces in the videos, take another crop',
        )  # fmt: skip
    return clips


def require_media(manifest: Manifest, settings: ClipSettings) -> None:
    """Require that some samples have media of the requested modalities.

    Raises:
        CorpusError: there are no samples, or none has such media.
    """
    if not len(manifest):
        raise CorpusError(
            expected='a manifest with samples', came=f'an empty one of {manifest.facts.corpus}',
            todo='import the folder again, with media in it',
        )  # fmt: skip
    present = manifest.present()
    columns = list(dict.fromkeys(column for name in settings.modalities for column in COLUMNS[name]))
    if not any(present[column] for column in columns):
        raise CorpusError(
            expected=f'samples with {" or ".join(columns)}',
            came=f'{len(manifest):,} with {listed(name for name, count in present.items() if count) or "no media"}',
            todo='import the folder that holds the media, or choose the other modality',
        )  # fmt: skip


def named_media(manifest: Manifest, modality: str) -> npt.NDArray[np.bool_]:
    """(N,) True where a row names a file of a modality and does not withhold it."""
    named = np.any([manifest.samples.known(column) for column in COLUMNS[modality]], axis=0)
    return np.asarray(named & manifest.keep_mask(modality), dtype=np.bool_)


def _is_finished(folder: Path, manifest: Manifest, seconds: float) -> bool:
    """Whether the cache can be read; waits some seconds where it cannot."""
    try:
        PackedClips.open(folder, manifest)
    except RunError:
        time.sleep(seconds)
        return False
    return True
