"""What `run_kills.py` knows of a verb that it kills: its command line, what is noted, and what must come out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from affekt.corpora import Manifest, made_up_corpus
from affekt.runs import read_journal

TESTS = Path(__file__).resolve().parents[1] / 'tests'
"""Whose made-up networks, clips and servers are taken."""


class Case(ABC):
    """A verb with a small input."""

    name: ClassVar[str]

    @classmethod
    def prepare(cls) -> None:
        """Make the process that starts runs ready, once."""
        import_module('affekt.cli')

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    @abstractmethod
    def words(self, out: Path) -> list[str]:
        """The command line that works into a folder, and goes on there."""

    @abstractmethod
    def results(self, out: Path) -> Any:
        """What must be the same after any number of kills."""

    def journal(self, out: Path) -> Path:
        """The folder of the journal."""
        return out

    def noted(self, out: Path) -> list[tuple[str, tuple[Path, ...], str]]:
        """Key of every note, its files, and what of them is not whole."""
        run = self.journal(out)
        try:
            return [
                (entry.key, tuple(run / name for name in entry.files or ()), entry.damage(run))
                for entry in read_journal(run)
            ]
        except FileNotFoundError:  # a run that is finished takes its journal with it
            return []

    def is_finished(self, out: Path) -> bool:
        """Whether the journal may be gone."""
        return False

    def is_torn(self, out: Path, expected: Any) -> bool:
        """Whether results that are there only at the end stand there before."""
        return False

    def made_again(self, kept_before: Mapping[str, Collection[str]]) -> int:
        """How many results were made again, beyond what their files tell.

        Args:
            kept_before: each run to the keys that the journal held when it began.
        """
        return 0

    def left_over(self, out: Path) -> list[str]:
        """What lies in the folder of a finished run and is no result."""
        return [path.name for path in out.rglob('*') if 'affekt-part' in path.name or 'affekt-old' in path.name]


def small_corpus(folder: Path, count: int, sound: bool = False) -> Path:
    """A manifest of so many made-up samples, in order of the corpus but with every split among them."""
    corpus = made_up_corpus(media=folder / 'media' if sound else None)
    rows = corpus.samples[:: max(1, len(corpus.samples) // count)]
    Manifest(corpus.facts, rows).save(folder / 'manifest.parquet')
    return folder / 'manifest.parquet'
