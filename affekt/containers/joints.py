"""Concatenated files (`cat a b > c`): the position at which another recording begins.

FFmpeg reads the first and stops, decodes the second as audio of the first, or counts its size as duration. What follows
a recording is therefore hidden from FFmpeg where the first does not state its end, and always reported.
"""

from __future__ import annotations

import re

from affekt.containers.losses import ContainerReport
from affekt.containers.window import Window

PIECE = 1 << 20
LONG_MARKS = (
    rb'(?:RIFF|RIFX|RF64|BW64)....(?:WAVE|AVI )|FORM....AIF[FC]|caff\x00\x01\x00\x00desc|riff\x2e\x91\xcf\x11\xa5\xd6'
    rb'|fLaC[\x00\x80]\x00\x00\x22|\x00\x00[\x00-\x0f].ftyp[ -~]{4}|\x1a\x45\xdf\xa3.{1,8}\x42\x86\x81\x01'
    rb'|FLV\x01[\x00-\x05]\x00\x00\x00\x09|\x30\x26\xb2\x75\x8e\x66\xcf\x11|\x89PNG\r\n\x1a\n|#!AMR(?:-WB)?\n'
)
"""First bytes of containers, long enough not to occur by chance. Frames of MP3 and AAC have too few of their own."""
SHORT_MARKS = rb'|OggS\x00\x02|\x1a\x45\xdf\xa3|\.snd\x00\x00|GIF8[79]a|\x00\x00\x01\xba[\x21-\x7f]'
ANYWHERE = re.compile(LONG_MARKS, re.DOTALL)
HERE = re.compile(LONG_MARKS + SHORT_MARKS, re.DOTALL)
LONGEST_MARK = 20


def begins_a_recording(window: Window, position: int) -> bool:
    """Whether the bytes at a position are the first ones of a container."""
    return HERE.match(window.at(position, LONGEST_MARK)) is not None


def next_recording(window: Window, start: int) -> int | None:
    """The first position at or after `start` at which a container begins; None for none. Reads up to there."""
    position = start
    while position < window.size:
        block = window.at(position, PIECE + LONGEST_MARK)
        if mark := ANYWHERE.search(block):
            return position + mark.start()
        position += PIECE
    return None


def note_rest(
    window: Window, position: int, sentence: str, report: ContainerReport, topic: str = 'chain', size: int | None = None
) -> None:
    """Note the bytes from a position to the end: as another recording if one begins there, otherwise as `sentence`.

    Args:
        window: the file.
        position: the first byte.
        sentence: sentence to use if no recording begins there.
        report: report that gets the sentence.
        topic: topic of `sentence`.
        size: number of bytes to report, if tags among them do not count.
    """
    size = window.size - position if size is None else size
    if begins_a_recording(window, position):
        report.add('unread', f'not read: another recording begins at byte {position}, {size:,} bytes', size)
    else:
        report.add(topic, sentence, size)
