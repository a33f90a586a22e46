"""How large a media file may be before it is refused: checked on what the header declares, and again while decoding."""

from __future__ import annotations

from dataclasses import dataclass, fields

from affekt.errors import LimitError, ValueRangeError

SMALLER = 'scale it down first, or '
"""What helps against a picture that is too large, before the words on the limit itself."""


@dataclass(frozen=True)
class Limits:
    """Ceilings for one recording; every one is inclusive.

    The defaults let through 4K video of three hours, most photographs of 36 million pixels, and what lies between as
    far as reading it stays below 500 MB.
    """

    max_pixels: int = 36_000_000
    """Width times height of a frame, before rotation and scaling."""
    max_side: int = 65_535
    """Width or height of a frame; JPEG holds no more either."""
    max_picture_bytes: int = 420_000_000
    """Memory that reading one frame may take: with the program itself that stays below 500 MB."""
    max_duration_s: float = 3 * 3600.0
    """Longest stream, in seconds."""
    max_streams: int = 64
    """Streams of all kinds in one container."""
    max_audio_channels: int = 32
    """Channels of one sound stream."""
    max_audio_rate_hz: int = 768_000
    """Samples per second of one sound stream."""
    max_samples: int = 5_000_000
    """Pictures and packets of sound that the tables of an mp4 list; never more than one for four bytes of the file."""
    max_file_bytes: int = 32 * 2**30
    """Size of the file."""
    max_stall_s: float = 30.0
    """Longest time that reading or decoding may run without yielding anything."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ValueRangeError(expected=f'{field.name} above 0', came=repr(value), todo='give a positive limit')

    def check(self, name: str, value: float, what: str, advice: str = '') -> None:
        """Raise LimitError where `value` is above the limit called `name`; `what` says what was measured."""
        ceiling = getattr(self, name)
        if value > ceiling:
            raise LimitError(
                expected=f'at most {_number(ceiling)} ({name}) for {what}',
                came=_number(value),
                todo=f'{advice}raise Limits.{name} if this file is trusted',
            )


def _number(value: float) -> str:
    return f'{value:,}' if isinstance(value, int) else f'{value:g}'
