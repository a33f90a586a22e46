"""A manifest's samples as an encoder reads them: word pieces, samples of sound, or pictures of the face.

Every sample must have them; a message names those that have not. torch is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from affekt.corpora import Manifest, Sample
from affekt.errors import AffektError, CorpusError, listed

if TYPE_CHECKING:
    from affekt.fusion import Backbone
    from affekt.training import Sequences

RATE_HZ = 16_000
PICTURES = ('.jpg', '.jpeg', '.png', '.bmp')
Progress = Callable[[str, float, float], None]


def prepared(manifest: Manifest, backbone: Backbone, column: str, progress: Progress | None = None) -> Sequences:
    """Every sample's rows, in the manifest's order.

    Args:
        manifest: of the corpus.
        backbone: says what it reads.
        column: of the manifest, for an encoder of text.
        progress: told 'read', samples done, samples in all.

    Raises:
        CorpusError: a sample lacks what the encoder reads or withholds it, or it cannot be read.
    """
    from affekt.training import Sequences

    read = READERS[backbone.modality]
    found: list[npt.NDArray[Any]] = []
    lacking: list[tuple[str, str]] = []
    kept = manifest.keep_mask(backbone.modality)
    for done, row in enumerate(manifest.samples):
        try:
            held = read(manifest, row, column) if kept[done] else None
            if held is None:
                lacking.append((row.sample, f'no {column if backbone.modality == "text" else backbone.modality}'))
            else:
                found.append(backbone.prepare(held))
        except AffektError as error:
            lacking.append((row.sample, error.came))
        if progress:
            progress('read', done + 1, len(manifest))
    if lacking:
        names = listed([f'{name} ({reason})' for name, reason in lacking], 2)
        raise CorpusError(
            expected=f'{backbone.modality} of every sample of {manifest.facts.corpus}',
            came=f'none of {len(lacking)} of {len(manifest)}: {names}',
            todo='leave these samples out of the manifest, or correct its paths',
        )
    return Sequences.of(found)


def _text(manifest: Manifest, row: Sample, column: str) -> str | None:
    said: str | None = getattr(row, column)
    return said


def _sound(manifest: Manifest, row: Sample, column: str) -> npt.NDArray[np.float32] | None:
    """The sample's own sound, or its film's, at 16 kHz."""
    from affekt.media import Recording

    kind = 'audio' if row.audio else 'video'
    path = manifest.media(row, kind)
    if path is None:
        return None
    blocks = [block.samples for block in Recording.open(path).samples(RATE_HZ)]
    sound = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    window = manifest.window_s(row, kind)
    return sound if window is None else sound[round(window[0] * RATE_HZ) : round(window[1] * RATE_HZ)]


def _face(manifest: Manifest, row: Sample, column: str) -> npt.NDArray[np.uint8] | None:
    """(n, height, width, 3) RGB of the pictures of a face: a folder of them, or stacked BGR as MERBench leaves them."""
    path = manifest.media(row, 'frames')
    if path is None or not path.exists():
        return None
    stacked = [path] if path.is_file() else sorted(path.glob('*.npy'))
    try:
        if stacked:
            held: npt.NDArray[np.uint8] = np.load(stacked[0], allow_pickle=False)
            return held[..., ::-1]
        pictures = [_rgb(each) for each in sorted(path.iterdir()) if each.suffix.lower() in PICTURES]
        return np.stack(pictures) if pictures else None
    except (OSError, ValueError) as error:
        raise CorpusError(
            expected='pictures of one size', came=f'{path.name}: {error}', todo='extract the faces again'
        ) from error


def _rgb(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert('RGB'))


READERS: dict[str, Callable[[Manifest, Sample, str], Any]] = {'text': _text, 'audio': _sound, 'video': _face}
"""Modality of an encoder to what it reads of a sample; None where there is nothing."""
