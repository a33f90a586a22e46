"""Cover images of video and audio files, which are not used here but decoded by FFmpeg when it opens a file.

Each takes memory until the file is open: twenty blank ones of 7 kB take gigabytes. Therefore no image larger than the
video frames is decoded then, and none in an audio file. While frames are read, `Limits` apply.
"""

from __future__ import annotations

from affekt.containers import Source, declared_sizes

AUDIO_MAGIC: tuple[tuple[int, bytes], ...] = (
    (0, b'fLaC'),
    (0, b'ID3'),
    (8, b'WAVE'),
    (8, b'AIFF'),
    (8, b'AIFC'),
    (0, b'caff'),
    (0, b'#!AMR'),
    (0, b'riff\x2e\x91\xcf\x11'),
)
"""Offset and bytes that mark a container of audio alone."""
VIDEO_IN_OGG = (b'theora', b'BBCD', b'OVP80', b'video', b'kate', b'dirac')
"""Names in the first pages of an Ogg file with video."""
OGG_HEADERS = 1 << 16
"""Bytes of an Ogg file in which these names are sought."""
SMALL_COVER = 1_000_000
"""Pixels of a cover that are always allowed in a file with video."""


def pixels_while_opening(source: Source, limit: int) -> int:
    """Largest image, in pixels, that FFmpeg may decode while it opens a file.

    Args:
        source: the media file.
        limit: limit to use where the container states no sizes.

    Returns:
        1 for an audio container or one without a video track; somewhat more than the stated size of the largest video
        track if there is one.
    """
    head = source.head(16)
    if any(head[offset : offset + len(magic)] == magic for offset, magic in AUDIO_MAGIC):
        return 1
    if head[:4] == b'OggS':
        start = source.head(OGG_HEADERS)
        return limit if any(name in start for name in VIDEO_IN_OGG) else 1
    if head[4:8] != b'ftyp' and head[:4] != b'\x1aE\xdf\xa3':
        return limit
    declared = max((width * height for width, height in declared_sizes(source)), default=0)
    return min(limit, max(SMALL_COVER, declared + declared // 4)) if declared else 1
