"""Collection of the notes of all tables that are read while a result is computed.

A table is often read deep within a computation, which passes on its columns but not `Table.notes`. A caller that needs
the notes collects them around the computation:

    with reading_notes() as notes:
        score(read_answers(truth), read_answers(prediction))
    print(notes)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextvars import ContextVar

_COLLECTING: ContextVar[tuple[list[str], ...]] = ContextVar('reading notes', default=())


@contextlib.contextmanager
def reading_notes() -> Iterator[list[str]]:
    """Collect the notes of all tables that this thread reads within the block, each once."""
    notes: list[str] = []
    token = _COLLECTING.set((*_COLLECTING.get(), notes))
    try:
        yield notes
    finally:
        _COLLECTING.reset(token)


def note(sentences: Iterable[str]) -> None:
    """Add sentences to all lists of notes that are being collected."""
    for notes in _COLLECTING.get():
        notes.extend(sentence for sentence in sentences if sentence not in notes)
