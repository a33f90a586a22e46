"""Kind of a file by its content, and whether its container is complete.

FFmpeg decodes the existing bytes and does not always report a missing end. Containers state their own sizes, ends and
checksums; `boxes.py`, `ebml.py`, `riff.py`, `ogg_pages.py` and `mp3_frames.py` compare them with the file.
"""

from __future__ import annotations

from collections.abc import Callable

from affekt.containers import boxes, ebml, riff
from affekt.containers.animations import check_apng, check_codes, check_gif
from affekt.containers.endings import endings_of
from affekt.containers.flac_frames import check_flac
from affekt.containers.flv_tags import check_tags
from affekt.containers.fragments import check_iso_media
from affekt.containers.frame_chain import check_adts
from affekt.containers.losses import ContainerReport
from affekt.containers.mp3_frames import check_frames
from affekt.containers.ogg_pages import check_pages
from affekt.containers.program_stream import check_packs
from affekt.containers.source import Source
from affekt.containers.still_formats import picture_format
from affekt.containers.transport_stream import check_packets
from affekt.containers.windows_media import check_objects
from affekt.errors import MediaError

DEMUXERS = (
    'mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm', 'avi', 'wav', 'w64', 'mp3', 'flac', 'ogg', 'aac', 'aiff', 'caf', 'amr',
    'mpegts', 'mpeg', 'flv', 'asf', 'gif', 'apng',
)  # fmt: skip
"""FFmpeg demuxers that may run: no playlists, image sequences, devices or scripts."""

PLAYLISTS = (b'#EXTM3U', b'ffconcat', b'[playlist]', b'<?xml', b'<smil', b'<ASX', b'<asx', b'v=0\r\n', b'v=0\n')


def still_format(source: Source) -> str | None:
    """'JPEG', 'PNG', 'HEIF', … if the content is a photograph; None for anything else.

    Raises:
        MediaError: the content is a playlist, a list of other files, or a photograph in an unsupported format.
    """
    head = source.head(64)
    if head.lstrip(b'\xef\xbb\xbf \t\r\n').startswith(PLAYLISTS):
        raise MediaError(
            expected='a media file',
            came=f'a playlist or text ({head[:12]!r} …) in {source.name}',
            todo='pass the files that it names, one by one',
        )
    return picture_format(source)


def declared_sizes(source: Source) -> list[tuple[int, int]]:
    """(Width, height) of the video streams, from the headers of mp4, mov, mkv, webm and avi, before FFmpeg reads them.

    FFmpeg replaces them by the size of the compressed frames, for which it must decode some.
    """
    head = source.head(12)
    if head[4:8] in boxes.FIRST_NAMES:
        return boxes.declared_sizes(source)
    if head[:4] == b'\x1aE\xdf\xa3':
        return ebml.declared_sizes(source)
    if head[:4] == b'RIFF' and head[8:12] == b'AVI ':
        return riff.declared_sizes(source)
    return []


def extension_remark(source: Source, content: str) -> tuple[str, ...]:
    """A sentence if the file's extension belongs to another kind of content; otherwise ()."""
    endings = endings_of(content)
    if source.path is None or not endings:
        return ()
    suffix = source.path.suffix.lower()
    if suffix in endings:
        return ()
    return (f'the name ends in {suffix or "no extension"}, the content is {content.split(",")[0]}; read by content',)


def missing_bytes(source: Source, demuxer: str, codecs: tuple[str, ...]) -> ContainerReport:
    """Report of sizes, ends, parts and checksums that the container states and the file does not match.

    Args:
        source: the file.
        demuxer: FFmpeg demuxer of the file.
        codecs: codecs of its streams.
    """
    report = ContainerReport()
    check = CHECKS.get(demuxer)
    if demuxer == 'mp3' and not ''.join(codecs).startswith('mp3'):
        check = None  # layers I and II have other frame sizes
    if demuxer in NEVER_STATE_LENGTH:
        report.states_length = False
    if check is not None:
        check(source, report)
    return report


def _check_gif(source: Source, report: ContainerReport) -> None:
    """Check the chain of blocks, then the pixels in them."""
    check_gif(source, report)
    check_codes(source, report)


CHECKS: dict[str, Callable[[Source, ContainerReport], None]] = {
    'mov,mp4,m4a,3gp,3g2,mj2': check_iso_media,
    'matroska,webm': ebml.check_elements,
    'wav': riff.check_chunks,
    'avi': riff.check_chunks,
    'aiff': riff.check_chunks,
    'w64': riff.check_chunks,
    'caf': riff.check_chunks,
    'ogg': check_pages,
    'mp3': check_frames,
    'aac': check_adts,
    'flac': check_flac,
    'mpegts': check_packets,
    'mpeg': check_packs,
    'flv': check_tags,
    'asf': check_objects,
    'gif': _check_gif,
    'apng': check_apng,
}
NEVER_STATE_LENGTH = frozenset({'amr', 'mpeg'})
"""Demuxers of streams that are meant to be joined and cut at any position."""
