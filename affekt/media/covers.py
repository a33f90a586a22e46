"""Covers of films and sound files, which nothing here uses and FFmpeg decodes while it opens a file.

Each takes memory of its own until the file is open: twenty blank ones of 7 kB take gigabytes. So no picture is decoded
there that is larger than those of the film, and none in a file of sound. While frames are read, `Limits` hold.
"""

from __future__ import annotations

from affekt.containers import Source, declared_sizes

SOUND_MAGIC: tuple[tuple[int, bytes], ...] = (
    (0, b'fLaC'),
    (0, b'ID3'),
    (8, b'WAVE'),
    (8, b'AIFF'),
    (8, b'AIFC'),
    (0, b'caff'),
    (0, b'#!AMR'),
    (0, b'riff\x2e\x91\xcf\x11'),
)
MOVING_IN_OGG = (b'theora', b'BBCD', b'OVP80', b'video', b'kate', b'dirac')
OGG_HEADERS = 1 << 16
SMALL_COVER = 1_000_000


def pixels_while_opening(source: Source, most: int) -> int:
    """The largest picture, in pixels, that FFmpeg may decode to learn what a file holds.

    Args:
        source: the file.
        most: the ceiling where the container does not state sizes.

    Returns:
        1 for a container of sound or one that declares no picture track; somewhat more than the declared size of the
        largest picture track where there is one.
    """
    head = source.head(16)
    if any(head[at : at + len(magic)] == magic for at, magic in SOUND_MAGIC):
        return 1
    if head[:4] == b'OggS':
        start = source.head(OGG_HEADERS)
        return most if any(name in start for name in MOVING_IN_OGG) else 1
    if head[4:8] != b'ftyp' and head[:4] != b'\x1aE\xdf\xa3':
        return most
    declared = max((width * height for width, height in declared_sizes(source)), default=0)
    return min(most, max(SMALL_COVER, declared + declared // 4)) if declared else 1
