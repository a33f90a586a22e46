"""From a row of a manifest to its clip: from a video, audio, a folder of frames, or several."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from affekt.clips.clip import AudioPart, Clip, ClipSettings, VideoPart, clip_of, frames_of, opened, sound_of
from affekt.clips.frame_folders import folder_frames, images_path
from affekt.corpora import Manifest, Sample
from affekt.errors import AffektError, WeightsError
from affekt.files import files_below
from affekt.runs import file_sha256

if TYPE_CHECKING:
    from affekt.faces import FaceLandmarker

Part = TypeVar('Part', VideoPart, AudioPart)


def sample_clip(
    manifest: Manifest, row: Sample, settings: ClipSettings | None = None, landmarker: FaceLandmarker | None = None
) -> Clip:
    """The clip of one sample; a modality that cannot be read is missing, with the reason.

    Frames are those of the row's folder of faces, else of its video; audio is that of its audio file, else of its
    video. Modalities in the column `missing` are not read.

    Args:
        manifest: the manifest of the row.
        row: the sample.
        settings: settings of making clips; None for the published size with aligned faces.
        landmarker: finds the faces; None opens the published one if a video must be read.

    Raises:
        MediaError: neither frames nor audio can be used; the error says why.
        WeightsError: faces are requested, and the face model is missing.
    """
    settings = settings or ClipSettings()
    withheld = (row.missing or '').split(',')
    video, audio = VideoPart(None, None), AudioPart(None)
    if 'video' in withheld:
        video = VideoPart(None, None, 'withheld by the manifest')
    elif 'video' in settings.modalities:
        video = _tried(VideoPart(None, None), lambda: _video_part(manifest, row, settings, landmarker))
    if 'audio' in withheld:
        audio = AudioPart(None, 'withheld by the manifest')
    elif 'audio' in settings.modalities:
        audio = _tried(AudioPart(None), lambda: _audio_part(manifest, row, settings))
    return clip_of(row.sample, video, audio)


def _tried(empty: Part, read: Callable[[], Part]) -> Part:
    try:
        return read()
    except WeightsError:  # an error of this machine, not of the sample
        raise
    except AffektError as error:
        return empty._replace(reason=error.came)


def _video_part(
    manifest: Manifest, row: Sample, settings: ClipSettings, landmarker: FaceLandmarker | None
) -> VideoPart:
    folder, video = manifest.media(row, 'frames'), manifest.media(row, 'video')
    if folder is not None:
        return folder_frames(folder, settings.size)
    if video is not None:
        return frames_of(opened(video), settings, manifest.window_s(row, 'video'), landmarker)
    return VideoPart(None, None, 'the manifest names none')


def _audio_part(manifest: Manifest, row: Sample, settings: ClipSettings) -> AudioPart:
    for column in ('audio', 'video'):
        path = manifest.media(row, column)
        if path is not None:
            return sound_of(opened(path), manifest.window_s(row, column), settings.longest_s)
    return AudioPart(None, 'the manifest names none')


def sources_of(manifest: Manifest, row: Sample, settings: ClipSettings) -> list[Path]:
    """The files and folders that `sample_clip` reads for a row."""
    folder, video, audio = (manifest.media(row, column) for column in ('frames', 'video', 'audio'))
    video_path = (folder or video) if 'video' in settings.modalities else None
    audio_path = (audio or video) if 'audio' in settings.modalities else None
    return list(dict.fromkeys(path for path in (video_path, audio_path) if path is not None))


def stated(manifest: Manifest, row: Sample, settings: ClipSettings) -> str:
    """The identity of a row's sources by names, spans and sizes, without reading them."""
    sizes = [_size(path) for path in sources_of(manifest, row, settings)]
    names = [row.frames if row.frames else row.video, row.audio]
    windows = [manifest.window_s(row, column) for column in ('video', 'audio')]
    return repr((row.sample, names, windows, row.missing, sizes))


def _size(path: Path) -> tuple[int, int]:
    """Numbers of files and bytes that a path names; (0, 0) where it names nothing."""
    try:
        if path.is_file():
            return 1, path.stat().st_size
        images = images_path(path)
        sizes = [(images / name).stat().st_size for name in files_below(images)] if images is not None else []
        return len(sizes), sum(sizes)
    except OSError:
        return 0, 0


def content(manifest: Manifest, row: Sample, settings: ClipSettings) -> str:
    """Hash of every byte of a row's sources; '' if one cannot be read."""
    digest = hashlib.sha256()
    try:
        for path in sources_of(manifest, row, settings):
            source = path if path.is_file() else images_path(path)
            if source is None:
                return ''
            for file in [source] if source.is_file() else [source / name for name in files_below(source)]:
                status = file.stat()
                digest.update(_digest(file, status.st_size, status.st_mtime_ns))
    except OSError:
        return ''
    return digest.hexdigest()[:32]


@lru_cache(maxsize=64)
def _digest(file: Path, size: int, changed_ns: int) -> bytes:
    """The sha256 of a file as it was at that moment: many rows may be segments of one recording."""
    return bytes.fromhex(file_sha256(file))
