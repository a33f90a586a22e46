"""A small corpus of audio and images, and the settings of a run whose every step asks one server."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from clip_server import ClipServer

from affekt.captioning import CaptionSettings, Models, Place
from affekt.corpora import Facts, Manifest, Sample
from affekt.llm import Chat, Reply, Request
from affekt.media.synthetic import tone
from affekt.media.writing import write_audio, write_image

WORDS = ('Well, that is that.', 'I had not thought so.', 'You came after all!', 'Leave it there.', '')


def write_corpus(folder: Path, clips: int) -> Manifest:
    """So many clips, each with a sound, a picture and words; every fifth says nothing."""
    rows = []
    for at in range(clips):
        name = f'clip{at:03d}'
        write_audio(folder / f'{name}.wav', tone(0.2 + 0.1 * (at % 7), 200.0 + at), 16_000)
        image = np.full((60, 80, 3), (at % 200, 90, 120), np.uint8)
        write_image(folder / f'{name}.jpg', image)
        rows.append(Sample(name, video=f'{name}.jpg', audio=f'{name}.wav', text=WORDS[at % 5]))
    manifest = Manifest(Facts('tones', root=str(folder)), rows)
    manifest.save(folder / 'clips.parquet')
    return manifest


def settings_for(server: ClipServer, *, labels: bool = False, **chosen: object) -> CaptionSettings:
    """Every step by one server; no pauses to speak of."""
    place = Place(server.url, 'clip-1', timeout_s=0.5, attempts=6, pause_s=0.001)
    return CaptionSettings(Models(place, place, place, place if labels else None), **chosen)


@dataclass(frozen=True)
class DyingPlace(Place):
    """A place whose model ends the process that asks it for the seventh time, once, unless that is the one named."""

    marker: str = ''
    spared: int = 0
    """The process that is never ended."""

    def open(self, servers: contextlib.ExitStack) -> Chat:
        chat = super().open(servers)
        if os.getpid() == self.spared:
            return chat
        return Dying(chat, Path(self.marker))


class Dying:
    def __init__(self, chat: Chat, marker: Path) -> None:
        self._chat, self._marker, self._asked, self.model = chat, marker, 0, chat.model

    def ask(self, request: Request) -> Reply:
        self._asked += 1
        if self._asked >= 7 and not self._marker.exists():
            self._marker.touch()
            os.kill(os.getpid(), 9)
        return self._chat.ask(request)
