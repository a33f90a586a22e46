"""What the first and last bytes say: the kind of file by content, and whether the container was cut short.

FFmpeg decodes what is there and does not always say that the end is missing. Four containers state their own size or
end; those statements are read here and compared with the file.
"""

from __future__ import annotations

from affekt.errors import MediaError
from affekt.media.source import Source

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


def missing_bytes(source: Source) -> tuple[str, ...]:
    """Sentences where the container states a size or an end that the file does not have; empty where all is there."""
    head = source.head(64)
    if head[4:8] in {b'ftyp', b'moov', b'mdat', b'free', b'wide', b'skip', b'styp'}:
        return _missing_boxes(source)
    if head[:4] == b'RIFF':
        return _missing_riff(source, head)
    if head[:4] == b'\x1aE\xdf\xa3':
        return _missing_ebml(source, head)
    if head[:4] == b'OggS':
        return _missing_ogg_end(source)
    return ()


def _short_by(stated_end: int, size: int, what: str) -> tuple[str, ...]:
    if stated_end <= size:
        return ()
    return (f'cut short: {what} should end at byte {stated_end}, the file has {size}',)


def _missing_boxes(source: Source) -> tuple[str, ...]:
    """ISO base media: a chain of boxes (32-bit size, name), the last of which must end at the end of the file."""
    position, seen = 0, set[bytes]()
    with source.open(60.0) as file:
        while position + 8 <= source.size and len(seen) < 64:
            file.seek(position)
            header = file.read(16)
            size, name = int.from_bytes(header[:4], 'big'), header[4:8]
            if size == 1:
                size = int.from_bytes(header[8:16], 'big')
            if size == 0:
                return ()  # reaches to the end of the file, whatever that is
            if size < 8 or not all(32 <= letter < 127 or letter == 0xA9 for letter in name):
                return (f'damaged: no box begins at byte {position} of {source.size}',)
            seen.add(name)
            position += size
            if position > source.size:
                return _short_by(position, source.size, f'the box {name.decode("latin1")!r}')
    return ()


def _missing_riff(source: Source, head: bytes) -> tuple[str, ...]:
    """RIFF (wav, avi): a 32-bit size after the name; 0 and 2**32 - 1 are left by writers that could not go back."""
    stated = int.from_bytes(head[4:8], 'little')
    if stated in (0, 0xFFFFFFFF):
        return ()
    return _short_by(stated + 8, source.size, 'the RIFF chunk')


def _missing_ebml(source: Source, head: bytes) -> tuple[str, ...]:
    """Matroska and WebM: the segment after the EBML header states its size, unless it was streamed."""
    header_size, width = _vint(head[4:12])
    start = 4 + width + header_size
    with source.open(60.0) as file:
        file.seek(start)
        segment = file.read(12)
    if segment[:4] != b'\x18S\x80g':
        return (f'damaged: no segment begins at byte {start}',)
    size, width = _vint(segment[4:12])
    if width == 0 or size == (1 << 7 * width) - 1:
        return ()
    return _short_by(start + 4 + width + size, source.size, 'the segment')


def _vint(octets: bytes) -> tuple[int, int]:
    """An EBML number and its width in bytes; (0, 0) where the first byte is 0."""
    if not octets or octets[0] == 0:
        return 0, 0
    width = 9 - octets[0].bit_length()
    value = octets[0] & ((1 << (8 - width)) - 1)
    for octet in octets[1:width]:
        value = value << 8 | octet
    return value, width


def _missing_ogg_end(source: Source) -> tuple[str, ...]:
    """Ogg: the last page of a stream carries the flag 4 and ends where the file ends."""
    tail = source.tail(1 << 17)
    at = tail.rfind(b'OggS')
    if at < 0 or len(tail) < at + 27:
        return ('cut short: no page of the stream begins near the end of the file',)
    segments = tail[at + 27 : at + 27 + tail[at + 26]]
    end = at + 27 + tail[at + 26] + sum(segments)
    if end > len(tail):
        return _short_by(source.size - len(tail) + end, source.size, 'the last page')
    if not tail[at + 5] & 4:
        return ('cut short: the last page is not marked as the end of its stream',)
    return ()
