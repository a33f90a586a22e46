"""Source separation: the voices of every recording in a manifest, separated from music once for all audio recipes.

Separation is done by demucs, which must be installed; there is no substitute. A file that two samples share is
separated once, existing results are reused, and the new manifest names the separated audio as `audio`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Floats32
from affekt.corpora import Manifest
from affekt.errors import CorpusError, MissingExtraError, WeightsError
from affekt.progress import Progress, with_progress

RATE_HZ = 44_100
"""Sampling rate that demucs was trained on."""
MODEL = 'htdemucs'
"""Default model of demucs."""

Separate = Callable[[Floats32], Floats32]
"""From (N,) samples at RATE_HZ to the (N,) samples of their vocals."""


def with_vocals(
    manifest: Manifest, out: Path, *, separate: Separate | None = None, progress: Progress | None = None
) -> Manifest:
    """A manifest whose audio contains only the voices.

    Args:
        manifest: samples with audio or video.
        out: folder for the separated audio, FLAC at 44.1 kHz.
        separate: separation function; None for demucs.
        progress: called with 'vocals', files done, total files.

    Returns:
        The manifest with `audio` replaced; samples without audio keep none, and windows of a recording their times.

    Raises:
        MissingExtraError: demucs is not installed.
        CorpusError: no sample has audio.
        MediaError: a file cannot be read; earlier results are kept.
    """
    from affekt.media import Recording, write_audio

    sources: dict[str, Path] = {}
    recordings: set[Path] = set()
    """Files of which samples are windows, identified by the name of the recording."""
    for row in manifest.samples:
        column = 'audio' if row.audio else 'video'
        if (path := manifest.media(row, column)) is not None:
            sources[row.sample] = path
            if row.recording is not None and manifest.window_s(row, column):
                recordings.add(path)
    files = list(dict.fromkeys(sources.values()))
    if not files:
        raise CorpusError(
            expected='samples with audio or video', came='none', todo='give a manifest that names its media'
        )
    separate = separate or demucs_vocals()
    out.mkdir(parents=True, exist_ok=True)
    targets = {}
    for path in with_progress(files, progress, 'vocals', len(files)):
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
        name = f'{path.stem}-{digest}'
        targets[path] = out / name / f'{path.stem}.flac' if path in recordings else out / f'{name}.flac'
        if not targets[path].is_file():
            targets[path].parent.mkdir(exist_ok=True)
            blocks = [block.samples for block in Recording.open(path).samples(RATE_HZ)]
            samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
            write_audio(targets[path], separate(samples) if len(samples) else samples, RATE_HZ)
    audio = [str(targets[sources[row.sample]].resolve()) if row.sample in sources else None for row in manifest.samples]
    return manifest.replaced(audio=audio)


def demucs_vocals(model: str = MODEL, device: str = 'cpu') -> Separate:
    """The separation function of demucs.

    Args:
        model: name of a demucs model, which downloads its own weights.
        device: torch's device.

    Raises:
        MissingExtraError: demucs 4.1 or newer is not installed; earlier ones have no `demucs.api`.
        WeightsError: demucs could not get its weights.
    """
    try:
        import torch
        from demucs.api import Separator
    except ImportError as error:
        raise MissingExtraError(
            expected='demucs, which separates voices from music', came=str(error),
            todo="pip install 'demucs>=4.1'; or separate with another program, and give the results as `audio`",
        ) from error  # fmt: skip
    try:
        separator: Any = Separator(model=model, device=device, progress=False)
    except OSError as error:
        raise WeightsError(
            expected=f'the weights of {model}, which demucs downloads', came=str(error), todo='check the connection'
        ) from error

    def separate(samples: Floats32) -> Floats32:
        stereo = torch.from_numpy(np.stack([samples, samples]))  # (2, N)
        _, stems = separator.separate_tensor(stereo, RATE_HZ)
        return np.asarray(stems['vocals'].mean(dim=0).numpy(), dtype=np.float32)

    return separate
