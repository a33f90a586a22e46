"""Servers that are closed at the end, and a corpus of as many clips as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from caption_runs import write_corpus
from clip_server import ClipServer

from affekt.corpora import Manifest


@pytest.fixture
def serve() -> Iterator[Callable[..., ClipServer]]:
    opened: list[ClipServer] = []

    def serving(*given: object, **named: object) -> ClipServer:
        opened.append(ClipServer(*given, **named))
        return opened[-1]

    yield serving
    for server in opened:
        if not server.is_dead:
            server.close()


@pytest.fixture
def corpus(tmp_path) -> Callable[[int], Manifest]:
    folder = tmp_path / 'media'
    folder.mkdir()
    return lambda clips: write_corpus(folder, clips)
