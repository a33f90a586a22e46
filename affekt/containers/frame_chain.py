"""Audio as a plain chain of frames (ADTS), in which a gap is the only sign of damage.

Source: ISO/IEC 14496-3, section 1.A.2.2 (ADTS).
"""

from __future__ import annotations

from collections.abc import Callable

from affekt.containers.joints import begins_a_recording, note_rest
from affekt.containers.losses import ContainerReport
from affekt.containers.source import Source
from affekt.containers.window import CHAIN, Window

END_TAGS = (b'TAG', b'LYRICS', b'APETAGEX', b'ID3')
SYNC = b'\xff'
ADTS_HEADER = 6
MAX_TAGS = 100
APE_FOOTER = 32
LONGEST_LYRICS = 5120


def check_adts(source: Source, report: ContainerReport) -> None:
    """Note gaps in the chain of frames of AAC without a container, and a last frame that is cut off."""
    report.states_length = False
    with Window(source, CHAIN) as window:
        check_chain(window, tag_length(source), ADTS_HEADER, _adts_length, report)


def check_chain(
    window: Window, position: int, header: int, length_of: Callable[[bytes], int], report: ContainerReport
) -> None:
    """Note bytes between frames, and an incomplete last frame.

    Args:
        window: the file.
        position: expected position of the first frame.
        header: number of bytes that determine the size of a frame.
        length_of: returns the size of a frame from these bytes; 0 where no frame begins.
        report: report that gets the sentences.
    """
    while position + header <= window.size:
        length = length_of(window.at(position, header))
        if length:
            position += length
            continue
        tag = tag_at(window.at(position, 10))
        if tag and position + tag < window.size:
            position += tag
            continue
        if not unread_behind(window, position):
            return
        following = _next_frame(window, position + 1, header, length_of)
        lost_bytes = (window.size if following is None else following) - position
        sentence = f'damaged: no frame begins at byte {position} of {window.size}; {lost_bytes:,} bytes cannot be read'
        if begins_a_recording(window, position):
            note_rest(window, position, sentence, report)
            return
        report.add('chain', sentence, lost_bytes)
        if following is None:
            return
        position = following
    report.cut(position, window.size, 'the last frame')


def tag_length(source: Source) -> int:
    """Size in bytes of consecutive ID3v2 tags at the start; 0 where there is none.

    The size in a tag is four times seven bits after its flags; flag 16 adds a footer of ten bytes.
    """
    position = 0
    with Window(source) as window:
        for _ in range(MAX_TAGS):
            length = tag_at(window.at(position, 10))
            position += length
            if not length:
                break
    return position


def tag_at(head: bytes) -> int:
    """Size of the ID3v2 tag with this ten-byte header; 0 where there is none."""
    if head[:3] != b'ID3' or len(head) < 10:
        return 0
    size = sum((octet & 0x7F) << shift for octet, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    return 10 + size + (10 if head[5] & 16 else 0)


def unread_behind(window: Window, position: int) -> int:
    """Bytes from a position on that are neither tags nor zeros; tags before them are not counted."""
    for _ in range(MAX_TAGS):
        length = tag_at(window.at(position, 10))
        position += length
        if not length:
            break
    size = max(0, tags_begin(window) - position)
    is_blank = size <= CHAIN and not window.at(position, size).strip(b'\0')
    return 0 if is_blank else window.size - position


def is_tag(packet: bytes) -> bool:
    """Whether the last frame of FFmpeg is a tag that players write after the audio, or all zeros."""
    return packet.startswith(END_TAGS) or b'APETAGEX' in packet or not packet.strip(b'\0')


def tags_begin(window: Window) -> int:
    """Position of the tags at the end, which state their sizes in their last bytes."""
    end = window.size
    for _ in range(MAX_TAGS):
        length = _tag_before(window, end)
        if not 0 < length <= end:
            break
        end -= length
    return end


def _tag_before(window: Window, end: int) -> int:
    """Size of the tag (ID3v1, Lyrics3, APE) that ends here; 0 where there is none or its beginning contradicts it."""
    if window.at(end - 128, 3) == b'TAG':
        return 128
    if window.at(end - 227, 4) == b'TAG+':
        return 227
    lyrics = window.at(end - 15, 15)  # six digits and a name
    if lyrics.endswith(b'LYRICS200') and lyrics[:6].isdigit():
        length = int(lyrics[:6]) + len(lyrics)
        return length if window.at(end - length, 11) == b'LYRICSBEGIN' else 0
    # name 8, version 4, bytes of the entries and this footer 4, entries 4, flags 4: the highest one says "has a header"
    footer = window.at(end - APE_FOOTER, APE_FOOTER)
    if footer.startswith(b'APETAGEX') and len(footer) == APE_FOOTER:
        has_header = bool(footer[23] & 0x80)
        length = int.from_bytes(footer[12:16], 'little') + (APE_FOOTER if has_header else 0)
        opening = window.at(end - length, 8)
        # a damaged size must not hide audio
        return length if opening == b'APETAGEX' or not (has_header or opening.startswith(SYNC)) else 0
    if lyrics.endswith(b'LYRICSEND'):
        block = window.at(max(0, end - LONGEST_LYRICS), min(end, LONGEST_LYRICS))
        offset = block.rfind(b'LYRICSBEGIN')
        return len(block) - offset if offset >= 0 else 0
    return 0


def _next_frame(window: Window, position: int, header: int, length_of: Callable[[bytes], int]) -> int | None:
    """Position of the next frame that is followed by another one; None if there is none."""
    while position + header <= window.size:
        block = window.at(position, CHAIN)
        offset = block.find(SYNC)
        while offset >= 0:
            length = length_of(block[offset : offset + header])
            after = position + offset + length
            if length and (length_of(window.at(after, header)) or after == window.size):
                return position + offset
            offset = block.find(SYNC, offset + 1)
        position += max(1, len(block) - header)
    return None


def _adts_length(header: bytes) -> int:
    """Size of the frame with this header; 0 where there is none: sync 12 bits, layer 0, size 13 bits."""
    if len(header) < ADTS_HEADER or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length > ADTS_HEADER else 0
