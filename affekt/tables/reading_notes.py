"""Notes of the tables that are read on the way to a result, for whoever asked for it.

A table is often read deep inside: its columns go on, and `Table.notes` stays behind. Who wants to pass the notes on
gathers them around the whole:

    with reading_notes() as notes:
        score(read_answers(truth), read_answers(prediction))
    print(notes)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextvars import ContextVar

_GATHERED: ContextVar[tuple[list[str], ...]] = ContextVar('reading notes', default=())


@contextlib.contextmanager
def reading_notes() -> Iterator[list[str]]:
    """The notes of all tables that this thread reads within the block, each once."""
    notes: list[str] = []
    token = _GATHERED.set((*_GATHERED.get(), notes))
    try:
        yield notes
    finally:
        _GATHERED.reset(token)


def note(sentences: Iterable[str]) -> None:
    """Add sentences to every list that is being gathered."""
    for notes in _GATHERED.get():
        notes.extend(sentence for sentence in sentences if sentence not in notes)
