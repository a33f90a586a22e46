"""What the first and last bytes say: the kind of file by content, and whether the container was cut short.

FFmpeg decodes what is there and does not always say that the end is missing. Containers state their own sizes, ends
and checksums; `boxes.py`, `ebml.py`, `ogg_pages.py` and `mp3_frames.py` hold those statements against the file.
"""

from __future__ import annotations

from affekt.errors import MediaError
from affekt.media.boxes import BOX_NAMES, missing_boxes
from affekt.media.ebml import missing_elements
from affekt.media.mp3_frames import missing_frames
from affekt.media.ogg_pages import missing_pages
from affekt.media.source import Source, short_by

DEMUXERS = (
    'mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm', 'avi', 'wav', 'w64', 'mp3', 'flac', 'ogg', 'aac', 'aiff', 'caf', 'amr',
    'mpegts', 'mpeg', 'flv', 'asf', 'gif',
)  # fmt: skip
"""FFmpeg demuxers that may run. No playlist, no image sequence, no device, no script."""

STILL_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b'\xff\xd8\xff', 'JPEG'),
    (0, b'\x89PNG\r\n\x1a\n', 'PNG'),
    (0, b'BM', 'BMP'),
    (8, b'WEBP', 'WEBP'),
)

EXTENSIONS: dict[str, tuple[str, ...]] = {
    'mov,mp4,m4a,3gp,3g2,mj2': ('.mp4', '.mov', '.m4a', '.m4v', '.3gp', '.3g2'),
    'matroska,webm': ('.mkv', '.webm', '.mka'),
    'avi': ('.avi',),
    'wav': ('.wav',),
    'mp3': ('.mp3',),
    'flac': ('.flac',),
    'ogg': ('.ogg', '.oga', '.ogv', '.opus'),
    'aac': ('.aac',),
    'mpegts': ('.ts', '.mts', '.m2ts'),
    'JPEG': ('.jpg', '.jpeg', '.jpe', '.jfif'),
    'PNG': ('.png',),
    'BMP': ('.bmp', '.dib'),
    'WEBP': ('.webp',),
}

PLAYLISTS = (b'#EXTM3U', b'ffconcat', b'[playlist]', b'<?xml', b'<smil', b'<ASX', b'<asx', b'v=0\r\n', b'v=0\n')


def still_format(source: Source) -> str | None:
    """'JPEG', 'PNG', 'BMP' or 'WEBP' where the first bytes say so; None for anything else.

    Raises:
        MediaError: the content is a playlist or a description of other files.
    """
    head = source.head(64)
    if head.lstrip(b'\xef\xbb\xbf \t\r\n').startswith(PLAYLISTS):
        raise MediaError(
            expected='a media file',
            came=f'a playlist or text ({head[:12]!r} …) in {source.name}',
            todo='pass the files that it names, one by one',
        )
    for offset, magic, name in STILL_MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return name
    return None


def extension_remark(source: Source, content: str) -> tuple[str, ...]:
    """One sentence where the file's extension belongs to another kind of content, else nothing."""
    if source.path is None or content not in EXTENSIONS:
        return ()
    suffix = source.path.suffix.lower()
    if suffix in EXTENSIONS[content]:
        return ()
    return (f'the name ends in {suffix or "no extension"}, the content is {content.split(",")[0]}; read by content',)


def missing_bytes(source: Source, demuxer: str) -> tuple[str, ...]:
    """Sentences where the container states a size or an end that the file does not have; empty where all is there."""
    head = source.head(64)
    if head[4:8] in BOX_NAMES:
        return missing_boxes(source)
    if head[:4] == b'RIFF':
        return _missing_riff(source, head)
    if head[:4] == b'\x1aE\xdf\xa3':
        return missing_elements(source)
    if head[:4] == b'OggS':
        return missing_pages(source)
    if demuxer == 'mp3':
        return missing_frames(source)
    return ()


def _missing_riff(source: Source, head: bytes) -> tuple[str, ...]:
    """RIFF (wav, avi): a 32-bit size after the name; 0 and 2**32 - 1 are left by writers that could not go back."""
    stated = int.from_bytes(head[4:8], 'little')
    if stated in (0, 0xFFFFFFFF):
        return ()
    return short_by(stated + 8, source.size, 'the RIFF chunk')
