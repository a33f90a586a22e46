"""Clips as official releases distribute them: one folder of face images each, audio in a separate file.

Images of a folder are read in lexical order of their names, as in published code. OpenFace's `CLIP_aligned` is found
where a list names `CLIP`; its table `CLIP.csv`, if present, gives the times and marks images without a tracked face.
`split_lists.py` reads the lists of folders.

T images.
"""

from __future__ import annotations

import contextlib
import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from affekt.clips.clip import (
    LONGEST_S,
    SIZE,
    AudioPart,
    Clip,
    Pixels,
    VideoPart,
    clip_of,
    opened,
    require_few_frames,
    resized,
    sound_of,
)
from affekt.clips.stored_pictures import stored_pictures
from affekt.errors import AffektError, MediaError
from affekt.files import only_regular

ALIGNED = '_aligned'
"""Suffix that OpenFace adds to the name of a clip for the folder of its images."""
OPENFACE_NAME = re.compile(r'frame_det_(\d+)_(\d+)$')
"""Name of an OpenFace image: number of the face, number of the frame from 1."""


def folder_clip(
    folder: Path, *, audio: Path | None = None, size: int = SIZE, name: str = '', longest_s: float = LONGEST_S
) -> Clip:
    """A clip from a folder of images, or a stored array of them, and an audio file of any rate.

    Args:
        folder: folder of `*.jpg`, `*.png` and the like, of OpenFace, or a file `(T, H, W, 3)` as in MER releases.
        audio: audio file; None for a clip without audio.
        size: width and height of the frames, pixels; images of another shape are squeezed, as in published code.
        name: name of the clip; '' for the folder's, without OpenFace's suffix.
        longest_s: longest duration of the audio in seconds; longer clips are refused.

    Raises:
        MediaError: the folder is missing, no image in it decodes and there is no audio, or the audio cannot be read.
        TableError: a stored array does not hold images.
        LimitError: there are more than `MOST_FRAMES`, or the audio is longer than allowed.
    """
    video = folder_frames(folder, size)
    audio_part = AudioPart(None) if audio is None else sound_of(opened(audio), None, longest_s)
    return clip_of(name or folder.name.removesuffix(ALIGNED), video, audio_part)


def folder_frames(folder: Path, size: int = SIZE) -> VideoPart:
    """The images of a folder in lexical order; undecodable ones are left out and counted.

    Raises:
        MediaError: the folder is missing.
        LimitError: it holds more than `MOST_FRAMES`.
        TableError: a stored array does not hold images.
    """
    path = images_path(folder)
    if path is None:
        todo = f'check the path; OpenFace writes {folder.name}{ALIGNED}'
        raise MediaError(expected='a folder of images', came=f'{folder}, which is not there', todo=todo)
    stored = stored_pictures(path)
    require_few_frames(len(stored), folder.name)
    if not len(stored):
        return VideoPart(None, None, 'no images in the folder')
    names = [image_path.stem for image_path in getattr(stored, 'paths', ())]
    selected, times_s, notes = _chosen(path, names) if names else (range(len(stored)), None, [])
    images: list[Pixels] = []
    kept: list[int] = []
    for position, index in enumerate(selected):
        try:
            images.append(resized(stored[index], size))
            kept.append(position)
        except AffektError:
            continue
    if undecoded := len(selected) - len(kept):
        notes.append(f'{undecoded:,} of {len(selected):,} images do not decode and are left out')
    if not images:
        return VideoPart(None, None, f'none of {len(stored):,} images can be used', tuple(notes))
    return VideoPart(np.stack(images), None if times_s is None else times_s[kept], '', tuple(notes))


def picture_count(folder: Path) -> int:
    """Number of images in a folder or a stored array; 0 if it is missing.

    Raises:
        TableError: a stored array does not hold images.
    """
    path = images_path(folder)
    return 0 if path is None else len(stored_pictures(path))


def images_path(folder: Path) -> Path | None:
    """The path of the images: the folder itself, or the one that OpenFace names; None if neither exists."""
    for path in (folder, folder.parent / f'{folder.name}{ALIGNED}'):
        with contextlib.suppress(OSError):  # a name too long for a file
            if path.exists():
                return path
    return None


def _chosen(
    folder: Path, names: Sequence[str]
) -> tuple[Sequence[int], np.ndarray[tuple[int], np.dtype[np.float64]] | None, list[str]]:
    """Indices of the images that are frames of the clip, their times in seconds if known, and notes for the user."""
    matches = [OPENFACE_NAME.search(name) for name in names]
    if not all(matches):
        return range(len(names)), None, _order_notes(names)
    faces = [int(match[1]) for match in matches if match]
    frames = [int(match[2]) for match in matches if match]
    (face, count), *other_faces = Counter(faces).most_common()
    notes = [f'{len(other_faces) + 1} faces in the folder; number {face} is read, which has {count:,} images'] * bool(
        other_faces
    )
    selected = [index for index, number in enumerate(faces) if number == face]
    openface_rows = _openface_times(folder, face)
    if not openface_rows or any(frames[index] not in openface_rows for index in selected):
        return selected, None, notes
    tracked = [index for index in selected if openface_rows[frames[index]][1]]
    if len(tracked) < len(selected):
        untracked = len(selected) - len(tracked)
        notes.append(f'{untracked:,} of {len(selected):,} images without a tracked face by OpenFace are left out')
    times_s = np.array([openface_rows[frames[index]][0] for index in tracked])
    return tracked, (times_s - (min(time for time, _ in openface_rows.values()))), notes


def _openface_times(folder: Path, face: int) -> dict[int, tuple[float, bool]]:
    """Frame to its time in seconds and whether the face was tracked, of OpenFace's table; empty where there is none."""
    table = folder.with_name(folder.name.removesuffix(ALIGNED) + '.csv')
    try:
        with open(table, encoding='utf-8', newline='', opener=only_regular) as file:
            rows = csv.DictReader(file, skipinitialspace=True)
            rows.fieldnames = [name.strip() for name in rows.fieldnames or ()]
            return {
                int(row['frame']): (float(row['timestamp']), float(row['success']) > 0)
                for row in rows
                if int(row.get('face_id') or face) == face
            }
    except (OSError, KeyError, ValueError, TypeError, csv.Error):
        return {}


def _order_notes(names: Sequence[str]) -> list[str]:
    """A sentence if lexical order differs from the order of the numbers in the names, as with 10 before 2; else []."""
    numbers = [re.findall(r'\d+', name) for name in names]
    if not all(numbers):
        return []
    last_numbers = [int(digits[-1]) for digits in numbers]
    if last_numbers == sorted(last_numbers):
        return []
    return ['names are not in the order of their numbers: lexical order is taken, as published']
