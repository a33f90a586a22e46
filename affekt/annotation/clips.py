"""The file of each clip in a folder.

A sample's name is looked up among the files of the folder and never joined to its path, so that a name cannot lead out
of it. The page requests a clip by a hash of its name, so that neither names nor paths are sent.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from affekt.errors import MediaError
from affekt.wording import counted

TYPES = {
    '.mp4': 'video/mp4', '.m4v': 'video/mp4', '.webm': 'video/webm', '.wav': 'audio/wav', '.mp3': 'audio/mpeg',
    '.m4a': 'audio/mp4', '.ogg': 'audio/ogg', '.flac': 'audio/flac', '.jpg': 'image/jpeg', '.jpeg': 'image/jpeg',
    '.png': 'image/png', '.webp': 'image/webp', '.mov': 'video/mp4', '.opus': 'audio/ogg', '.oga': 'audio/ogg',
    '.aac': 'audio/aac', '.gif': 'image/gif', '.avif': 'image/avif',
}  # fmt: skip
"""File extension to content type; of several files of a clip, the one whose type is listed first is shown."""

CONVERTED = '.playable'
"""End of the stem of a file converted for browsers."""


@dataclass(frozen=True)
class Clip:
    """A media file that raters watch, listen to or look at."""

    path: Path
    content_type: str

    @property
    def kind(self) -> str:
        """video, audio or image."""
        return self.content_type.split('/')[0]


def clip_key(sample: str) -> str:
    """The id by which the page requests a clip: 20 hexadecimal digits."""
    return hashlib.sha256(b'clip\0' + sample.encode('utf-8', 'surrogatepass')).hexdigest()[:20]


def find_clips(
    samples: Iterable[str],
    folder: Path,
    *,
    allow_missing: bool = False,
    aliases: Mapping[str, Sequence[str]] | None = None,
) -> Mapping[str, Clip]:
    """The clip of each sample, by `clip_key`.

    A sample is a file name, with or without its extension, or a path below the folder. A file NAME.playable.mp4 is used
    for NAME in preference to any other, so that a clip can be converted for browsers without changing the original.

    Args:
        samples: names of the samples.
        folder: searched with its subfolders; links that lead out of it are not followed.
        allow_missing: leave out samples without a file instead of raising an error.
        aliases: sample to other names of its file, tried where its own name is not found.

    Raises:
        MediaError: the folder does not exist, or samples have no file, or files in several folders; all are named.
    """
    if not folder.is_dir():
        raise MediaError(expected='a folder of clips', came=f'{folder}, which is not a folder', todo='check --media')
    by_path, by_name = _names(folder)
    unique = list(dict.fromkeys(samples))
    clips: dict[str, Clip] = {}
    missing, doubtful = [], []
    for sample in unique:
        names = [_normalised(name) for name in (sample, *(aliases or {}).get(sample, ()))]
        name = next((name for name in names if name in by_path or name in by_name), names[0])
        paths = [by_path[name]] if name in by_path else by_name.get(name, [])
        if len({path.parent for path in paths}) > 1:
            doubtful.append(f'{sample} ({", ".join(path.relative_to(folder).as_posix() for path in paths)})')
        elif paths:
            clips[clip_key(sample)] = Clip(paths[0].resolve(), TYPES[paths[0].suffix.lower()])
        else:
            missing.append(sample)
    if doubtful:
        raise MediaError(
            expected='one file for each clip',
            came=f'{len(doubtful)} names in several folders: {", ".join(doubtful)}',
            todo='write the folder before the name in the file of pairs',
        )
    if missing and not allow_missing:
        raise MediaError(
            expected=f'a file for each of {counted(len(unique), "clip")} in {folder} ({", ".join(TYPES)})',
            came=f'{len(missing)} without: {", ".join(missing)}{_elsewhere(missing, folder)}',
            todo='add the files, or use --without-media to show texts alone where a clip is missing',
        )
    return clips


def _names(folder: Path) -> tuple[dict[str, Path], dict[str, list[Path]]]:
    """Files by their path below the folder, which is unique, and by their bare name, which may not be."""
    preference = list(TYPES)
    root = folder.resolve()
    files = [path for path in _files(folder) if path.suffix.lower() in TYPES and root in path.resolve().parents]
    by_path: dict[str, Path] = {}
    by_name: dict[str, list[Path]] = {}
    originals: dict[Path, list[str]] = {}
    for path in files:
        originals.setdefault(path.with_suffix(''), []).append(path.name)
    for path in sorted(
        files, key=lambda path: (not _is_converted(path), preference.index(path.suffix.lower()), path.as_posix())
    ):
        stem = path.stem.removesuffix(CONVERTED)
        replaced = originals.get(path.with_name(stem), []) if _is_converted(path) else []
        parent = path.parent.relative_to(folder)
        for name in dict.fromkeys((stem, path.name, *replaced)):
            by_path.setdefault(_normalised((parent / name).as_posix()), path)
            namesakes = by_name.setdefault(_normalised(name), [])
            if all(other.parent != path.parent for other in namesakes):
                namesakes.append(path)
    return by_path, by_name


def _is_converted(path: Path) -> bool:
    return path.stem.endswith(CONVERTED)


def _normalised(name: str) -> str:
    """A name in Unicode form NFC, since tables and disks may encode an accent differently."""
    return unicodedata.normalize('NFC', name)


def _files(folder: Path) -> list[Path]:
    """Regular files of a folder and its subfolders; hidden and unreadable folders are skipped."""
    paths = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        paths += [path for name in names if (path := Path(parent, name)).is_file()]
    return paths


def _elsewhere(missing: Sequence[str], folder: Path) -> str:
    """The end of a message on missing samples: those with a file that browsers do not play; '' if there is none."""
    stems = {Path(name).stem for name in missing}
    others = [path.name for path in _files(folder) if path.stem in stems and path.suffix.lower() not in TYPES]
    if not others:
        return ''
    return (
        f'; browsers do not play {", ".join(sorted(others)[:5])}: convert them, for example with '
        'ffmpeg -i IN -c:v libx264 -pix_fmt yuv420p -c:a aac -movflags +faststart OUT.mp4'
    )
