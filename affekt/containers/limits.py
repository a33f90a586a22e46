"""Size limits of media files, checked on the values in the header and again while decoding."""

from __future__ import annotations

from dataclasses import dataclass, fields

from affekt.errors import LimitError, ValueRangeError

SMALLER = 'scale it down first, or '
"""Advice for an image that is too large, before the sentence on the limit."""


@dataclass(frozen=True)
class Limits:
    """Limits for one recording, all inclusive.

    The defaults allow three hours of 4K video and most photographs of 36 million pixels, and any size between these
    that can be read with less than 500 MB.
    """

    max_pixels: int = 36_000_000
    """Width times height of a frame in pixels, before rotation and scaling."""
    max_side: int = 65_535
    """Width or height of a frame in pixels; also the limit of JPEG."""
    max_picture_bytes: int = 420_000_000
    """Memory in bytes for reading one frame; with the default the whole program stays below 500 MB."""
    max_duration_s: float = 3 * 3600.0
    """Duration of a stream in seconds."""
    max_streams: int = 64
    """Number of streams of all kinds in one container."""
    max_audio_channels: int = 32
    """Channels of one audio stream."""
    max_audio_rate_hz: int = 768_000
    """Sample rate of one audio stream in hertz."""
    max_samples: int = 5_000_000
    """Frames and audio packets in the tables of an mp4; never more than one per four bytes of the file."""
    max_file_bytes: int = 32 * 2**30
    """Size of the file in bytes."""
    max_stall_s: float = 30.0
    """Time in seconds for which reading or decoding may run without producing anything."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ValueRangeError(expected=f'{field.name} above 0', came=repr(value), todo='give a positive limit')

    def check(self, name: str, value: float, what: str, advice: str = '') -> None:
        """Raise LimitError if `value` exceeds the limit called `name`; `what` describes the value."""
        limit = getattr(self, name)
        if value > limit:
            raise LimitError(
                expected=f'at most {_number(limit)} ({name}) for {what}',
                came=_number(value),
                todo=f'{advice}raise Limits.{name} if this file is trusted',
            )


def _number(value: float) -> str:
    return f'{value:,}' if isinstance(value, int) else f'{value:g}'
