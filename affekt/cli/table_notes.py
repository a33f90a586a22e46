"""What was taken for granted when tables were read, for verbs whose results do not carry it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from affekt.terminal import say


@contextlib.contextmanager
def table_notes() -> Iterator[list[str]]:
    """The notes of the tables read within the block, said on standard error at its end, an error's too."""
    from affekt.tables import reading_notes

    with reading_notes() as notes:
        try:
            yield notes
        finally:
            for note in notes:
                say(note, err=True, style='yellow')
