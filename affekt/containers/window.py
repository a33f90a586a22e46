"""Buffered access to the bytes of a file at any position, for walks over its parts."""

from __future__ import annotations

from types import TracebackType

from affekt.containers.source import Source

READ_AHEAD = 1 << 12
"""Bytes to read ahead in a walk that jumps; `CHAIN` in one that reads every byte."""
CHAIN = 1 << 18
MAX_PARTS = 1_000_000
"""Number of parts after which a walk ends."""


class Window:
    """A reader that keeps the last range it read, and counts the parts of a walk."""

    def __init__(self, source: Source, ahead: int = READ_AHEAD) -> None:
        self.size = source.size
        self.parts = 0
        self._file = source.open(60.0)
        self._ahead = ahead
        self._start, self._block = 0, b''

    def at(self, position: int, count: int) -> bytes:
        """`count` bytes from `position` on; fewer at the end of the file."""
        if not 0 <= position < self.size:
            return b''
        offset = position - self._start
        if offset < 0 or offset + count > len(self._block):
            self._file.touch()
            self._file.seek(position)
            self._start, self._block, offset = position, self._file.read(max(count, self._ahead)), 0
        return self._block[offset : offset + count]

    def number(self, position: int, width: int) -> int:
        """The big-endian number in `width` bytes at a position."""
        return int.from_bytes(self.at(position, width), 'big')

    def meets_another(self) -> bool:
        """Count a part; returns False, from then on always, once a walk has met more than a million."""
        self.parts += 1
        return self.parts <= MAX_PARTS

    @property
    def is_exhausted(self) -> bool:
        """Whether the walk was ended because of too many parts."""
        return self.parts > MAX_PARTS

    def __enter__(self) -> Window:
        return self

    def __exit__(
        self, error_class: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
