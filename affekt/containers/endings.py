"""File extensions of media, by the content that the reader opens; the only list of them.

Files are read by content, never by name. The list is used for two questions: which files of a folder are media, and
whether a name fits its content.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

FILM_ENDINGS: Mapping[str, tuple[str, ...]] = {
    'mov,mp4,m4a,3gp,3g2,mj2': ('.mp4', '.m4v', '.mov', '.qt', '.3gp', '.3g2', '.f4v'),
    'matroska,webm': ('.mkv', '.webm', '.mk3d'),
    'avi': ('.avi', '.divx'),
    'ogg': ('.ogv', '.ogx'),
    'mpegts': ('.ts', '.mts', '.m2ts', '.m2t'),
    'mpeg': ('.mpg', '.mpeg', '.mpe', '.m2p', '.vob'),
    'flv': ('.flv',),
    'asf': ('.wmv', '.asf'),
    'gif': ('.gif',),
    'apng': ('.apng',),
}
"""FFmpeg demuxer to the extensions of files that usually contain video."""

SOUND_ENDINGS: Mapping[str, tuple[str, ...]] = {
    'wav': ('.wav', '.wave', '.bwf', '.rf64'),
    'mp3': ('.mp3', '.mp2', '.mpga'),
    'flac': ('.flac',),
    'mov,mp4,m4a,3gp,3g2,mj2': ('.m4a', '.m4b'),
    'aac': ('.aac', '.adts'),
    'ogg': ('.ogg', '.oga', '.opus', '.spx'),
    'matroska,webm': ('.mka', '.weba'),
    'aiff': ('.aiff', '.aif', '.aifc'),
    'asf': ('.wma',),
    'amr': ('.amr',),
    'caf': ('.caf',),
    'w64': ('.w64',),
}
"""FFmpeg demuxer to the extensions of files that usually contain only audio."""

STILL_ENDINGS: Mapping[str, tuple[str, ...]] = {
    'JPEG': ('.jpg', '.jpeg', '.jpe', '.jfif'),
    'PNG': ('.png',),
    'BMP': ('.bmp', '.dib'),
    'WEBP': ('.webp',),
    'TIFF': ('.tif', '.tiff'),
    'HEIF': ('.heic', '.heif', '.hif', '.heics', '.heifs'),
    'AVIF': ('.avif', '.avifs'),
}
"""Image format to the extensions of photographs."""

SHARED_ENDINGS: Mapping[str, tuple[str, ...]] = {
    'apng': STILL_ENDINGS['PNG'],
    'mov,mp4,m4a,3gp,3g2,mj2': STILL_ENDINGS['HEIF'] + STILL_ENDINGS['AVIF'],
}
"""FFmpeg demuxer to extensions of photographs that are also valid for videos: animations in an image format."""

VIDEO = tuple(ending for endings in FILM_ENDINGS.values() for ending in endings)
AUDIO = tuple(ending for endings in SOUND_ENDINGS.values() for ending in endings)
PICTURES = tuple(ending for endings in STILL_ENDINGS.values() for ending in endings)
MEDIA = (*VIDEO, *AUDIO, *PICTURES)
"""All extensions, in lower case with the dot. A file that is named explicitly may have any."""


def is_media_name(name: str | PurePath) -> bool:
    """Whether a name has the extension of a media file, in any case: `Clip.MP4` does, `notes.txt` and `.mp4` do not."""
    return PurePath(name).suffix.lower() in MEDIA


def endings_of(content: str) -> tuple[str, ...]:
    """All extensions that fit a content (FFmpeg demuxer or image format); () for an unknown one."""
    tables = (FILM_ENDINGS, SOUND_ENDINGS, STILL_ENDINGS, SHARED_ENDINGS)
    return tuple(ending for table in tables for ending in table.get(content, ()))
