"""Which file of a folder shows which clip.

A clip is looked up among the names in the folder, never joined to its path: a name with slashes or dots finds nothing.
The page asks for a clip by a digest of its name, so that neither names nor paths travel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from affekt.errors import MediaError

TYPES = {
    '.mp4': 'video/mp4', '.m4v': 'video/mp4', '.webm': 'video/webm', '.wav': 'audio/wav', '.mp3': 'audio/mpeg',
    '.m4a': 'audio/mp4', '.ogg': 'audio/ogg', '.flac': 'audio/flac', '.jpg': 'image/jpeg', '.jpeg': 'image/jpeg',
    '.png': 'image/png', '.webp': 'image/webp',
}  # fmt: skip
"""Ending to content type; where a clip has several files, the first kind here is shown."""


@dataclass(frozen=True)
class Clip:
    """A file that raters watch, hear or look at."""

    path: Path
    content_type: str

    @property
    def kind(self) -> str:
        """video, audio or image."""
        return self.content_type.split('/')[0]


def clip_key(sample: str) -> str:
    """How the page asks for a clip: 20 hex digits."""
    return hashlib.sha256(b'clip\0' + sample.encode('utf-8', 'surrogatepass')).hexdigest()[:20]


def find_clips(samples: Iterable[str], folder: Path, *, allow_missing: bool = False) -> Mapping[str, Clip]:
    """The clip of each sample, by `clip_key`.

    Args:
        samples: names, with or without an ending.
        folder: holds the files; folders inside it are not searched, and links that lead out of it are not followed.
        allow_missing: leave out what is not there.

    Raises:
        MediaError: no such folder, or samples without a file: all of them are named.
    """
    if not folder.is_dir():
        raise MediaError(expected='a folder of clips', came=f'{folder}, which is none', todo='check --media')
    rank = list(TYPES)
    inside = folder.resolve()
    held: dict[str, Path] = {}
    files = [p for p in folder.iterdir() if p.suffix.lower() in TYPES and p.is_file()]
    for path in sorted(files, key=lambda p: (rank.index(p.suffix.lower()), p.name)):
        if path.resolve().parent == inside:
            held.setdefault(path.stem, path)
            held.setdefault(path.name, path)
    wanted = list(dict.fromkeys(samples))
    missing = [sample for sample in wanted if sample not in held]
    if missing and not allow_missing:
        raise MediaError(
            expected=f'a file for each of {len(wanted)} clips in {folder} ({", ".join(TYPES)})',
            came=f'{len(missing)} without: {", ".join(missing)}',
            todo='add the files, or use --without-media to show texts alone where a clip is missing',
        )
    return {
        clip_key(sample): Clip(held[sample].resolve(), TYPES[held[sample].suffix.lower()])
        for sample in wanted
        if sample in held
    }
