"""The files of finished batches, whoever writes them: this process, others, or workers of Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from affekt.errors import TableError
from affekt.features.arrow_files import MADE_AGAIN
from affekt.features.recipes import Features, Recipe, Unable
from affekt.features.store import SUFFIX, Provenance, Store, write_features
from affekt.runs import Run, remove_run

Part = list[Features | Unable]
Lost = list[tuple[str, str]]
"""Samples without features, or with a part of them, and why."""


@dataclass(frozen=True)
class Parts:
    """The files of finished batches, whoever writes them."""

    folder: Path
    recipe: Recipe
    corpus: str
    count: int
    """Batches in all."""

    def path(self, index: int) -> Path:
        """Where the file of batch `index` lies."""
        return self.folder / f'{batch_key(index)}{SUFFIX}'

    def write(self, index: int, part: Part) -> Lost:
        """Write what became of a batch, whole or not at all, and tell what has no features."""
        able = [outcome for outcome in part if isinstance(outcome, Features)]
        lost = [
            (outcome.sample, outcome.reason if isinstance(outcome, Unable) else outcome.lacking)
            for outcome in part
            if isinstance(outcome, Unable) or outcome.lacking
        ]
        write_features(self.path(index), able, provenance_of(self.corpus, self.recipe, (index + 1, self.count), lost))
        return lost

    def lost(self, index: int) -> Lost | None:
        """What the file of batch `index` says has no features; None where there is no file."""
        path = self.path(index)
        if not path.exists() or is_damaged(path):
            return None
        return list(Store(path, partial=True).provenance.missing)

    def tries(self, index: int) -> Path:
        """Counts how often a worker died at a batch."""
        return self.folder / f'.{self.path(index).name}-tries'

    def remove(self) -> None:
        """Remove these files and their run; what else somebody put there stays."""
        every = [path for index in range(self.count) for path in (self.path(index), self.tries(index))]
        remove_run(self.folder, [path.name for path in every])

    def adopted(self, run: Run, index: int) -> bool:
        """Whether a batch is finished; a file that a killed run wrote and did not come to note is noted now."""
        if run.finished(batch_key(index)) is None and (lost := self.lost(index)) is not None:
            run.note(batch_key(index), self.path(index).name, missing=lost)
        return run.finished(batch_key(index)) is not None


def batch_key(index: int) -> str:
    """The note of a batch in the journal."""
    return f'batch-{index:06d}'


def provenance_of(
    corpus: str, recipe: Recipe, shard: tuple[int, int], missing: Sequence[tuple[str, str]]
) -> Provenance:
    """How features of these samples were made."""
    return Provenance(
        recipe.name, recipe.hash, recipe.dimension, recipe.facts, recipe.columns, corpus, shard, tuple(missing),
        modality=recipe.modality,
    )  # fmt: skip


def is_damaged(path: Path) -> bool:
    """Whether a file of features that was written here is no longer whole, so that it is made again.

    Raises:
        TableError: it is of a newer format.
    """
    try:
        Store(path, partial=True)
    except TableError as error:
        if error.todo != MADE_AGAIN:
            raise
        return True
    return False
