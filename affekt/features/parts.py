"""Files of the finished batches of an extraction, written by this process, by others, or by workers of Ray."""

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
"""Samples without features, or with a part missing, each with the reason."""


@dataclass(frozen=True)
class Parts:
    """Files of finished batches."""

    folder: Path
    recipe: Recipe
    corpus: str
    count: int
    """Number of batches."""

    def path(self, index: int) -> Path:
        """Path of the file of batch `index`."""
        return self.folder / f'{batch_key(index)}{SUFFIX}'

    def write(self, index: int, part: Part) -> Lost:
        """Write the results of a batch, completely or not at all; returns its samples without features."""
        able = [outcome for outcome in part if isinstance(outcome, Features)]
        lost = [
            (outcome.sample, outcome.reason if isinstance(outcome, Unable) else outcome.lacking)
            for outcome in part
            if isinstance(outcome, Unable) or outcome.lacking
        ]
        write_features(self.path(index), able, provenance_of(self.corpus, self.recipe, (index + 1, self.count), lost))
        return lost

    def lost(self, index: int) -> Lost | None:
        """Samples without features according to the file of batch `index`; None if there is no file."""
        path = self.path(index)
        if not path.exists() or is_damaged(path):
            return None
        return list(Store(path, partial=True).provenance.missing)

    def tries(self, index: int) -> Path:
        """Path of the file that counts how often a worker died at a batch."""
        return self.folder / f'.{self.path(index).name}-tries'

    def remove(self) -> None:
        """Remove these files and their run; files of others stay."""
        paths = [path for index in range(self.count) for path in (self.path(index), self.tries(index))]
        remove_run(self.folder, [path.name for path in paths])

    def adopted(self, run: Run, index: int) -> bool:
        """Whether a batch is finished; a file that an interrupted run did not record is recorded."""
        if run.finished(batch_key(index)) is None and (lost := self.lost(index)) is not None:
            run.note(batch_key(index), self.path(index).name, missing=lost)
        return run.finished(batch_key(index)) is not None


def batch_key(index: int) -> str:
    """Key of a batch in the journal."""
    return f'batch-{index:06d}'


def provenance_of(
    corpus: str, recipe: Recipe, shard: tuple[int, int], missing: Sequence[tuple[str, str]]
) -> Provenance:
    """Provenance of features of these samples."""
    return Provenance(
        recipe.name, recipe.hash, recipe.dimension, recipe.facts, recipe.columns, corpus, shard, tuple(missing),
        modality=recipe.modality,
    )  # fmt: skip


def is_damaged(path: Path) -> bool:
    """Whether a file of features is damaged, so that it must be written again.

    Raises:
        TableError: the file is of a newer format.
    """
    try:
        Store(path, partial=True)
    except TableError as error:
        if error.todo != MADE_AGAIN:
            raise
        return True
    return False
