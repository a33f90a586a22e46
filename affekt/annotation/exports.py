"""Votes as tables: comparisons that `affekt rank` reads, one row per rater, and Label Studio tasks."""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from affekt.annotation.label_studio import label_studio_tasks
from affekt.annotation.raters import RaterFigures, flags_of, rater_figures
from affekt.annotation.scheduling import standing
from affekt.annotation.state import Vote, left_out_sentences
from affekt.annotation.study import JOURNAL, open_votes, votes_that_count
from affekt.errors import RunError
from affekt.preference import DescribedPair
from affekt.ranking import JOINED
from affekt.runs import read_regular_file, write_atomically
from affekt.tables import csv_bytes

COMPARISONS, RATERS, LABEL_STUDIO = 'comparisons.csv', 'raters.csv', 'label_studio.json'
LEFT_OUT = 'left_out.csv'
PREDICTIONS = 'predictions.json'
"""File for the predictions of a Label Studio export, which are passed on."""
PLACES = 'places.json'
"""File with the location of each clip in Label Studio: as its export has it, or the actual file name."""
COLUMNS = ('left', 'right', 'outcome', 'sample', 'rater', 'order', 'left_length', 'right_length', 'seconds', 'watched',
           'seen', 'heard', 'flags', 'time')  # fmt: skip


def comparisons_csv(
    votes: Sequence[Vote],
    tasks: Mapping[str, DescribedPair],
    flags: Mapping[str, Sequence[str]] | None = None,
    *,
    raw: bool = False,
) -> str:
    """A table of votes, skips included, oldest first.

    Args:
        votes: votes that count.
        tasks: task key to its pair; the lengths are characters of its texts.
        flags: rater to flags, written beside each vote of the rater.
        raw: whether to omit the apostrophe before texts that start like a formula.
    """
    rows = []
    for vote in sorted(votes, key=lambda vote: (vote.time, vote.id)):
        task = tasks[vote.task]
        lengths = len(task.left_text), len(task.right_text)
        watched = '' if math.isnan(vote.watched) else round(vote.watched, 3)
        flagged = JOINED.join((flags or {}).get(vote.rater, ()))
        seconds, time = (round(value, 3) if vote.shown or value else '' for value in (vote.seconds, vote.time))
        measured = (seconds, watched, vote.seen, vote.heard, flagged, time)
        rows.append((task.left, task.right, vote.outcome, task.sample, vote.rater, vote.first, *lengths, *measured))
    return csv_bytes(COLUMNS, rows, raw=raw).decode()


def raters_csv(figures: Sequence[RaterFigures], *, raw: bool = False) -> str:
    """A table of the figures of raters; the cell of a share or median without votes is empty."""
    names = [field.name for field in fields(RaterFigures)]
    rows = []
    for rater in figures:
        values = [getattr(rater, name) for name in names]
        rows.append(['' if isinstance(value, float) and math.isnan(value) else value for value in values])
    return csv_bytes(names, rows, raw=raw).decode()


def export_votes(folder: Path, *, raw: bool = False) -> tuple[Path, ...]:
    """Write comparisons.csv, raters.csv and label_studio.json beside the votes of a study; return their paths.

    A fourth table, left_out.csv, is written if the journal contains votes that cannot be counted. Only work votes are
    compared, without those of raters who failed the test; the journal keeps everything. With `raw`, no apostrophe is
    put before texts that start like a formula.

    Raises:
        RunError: the folder holds no study, or its journal is damaged.
    """
    state, settings = open_votes(folder)
    statuses = {name: standing(state, rater, settings).status for name, rater in state.raters.items()}
    votes = votes_that_count(state.votes(), statuses)
    figures = rater_figures(state.votes(), statuses, state.tasks, settings.test_share)
    write_atomically(folder / COMPARISONS, comparisons_csv(votes, state.tasks, flags_of(figures), raw=raw).encode())
    write_atomically(folder / RATERS, raters_csv(figures, raw=raw).encode())
    asked = [state.tasks[key] for key in state.asked]
    tasks = label_studio_tasks(asked, votes, _kept_predictions(folder / PREDICTIONS), _kept_places(folder / PLACES))
    write_atomically(folder / LABEL_STUDIO, json.dumps(tasks, indent=1).encode())
    written = (folder / COMPARISONS, folder / RATERS, folder / LABEL_STUDIO)
    if not state.left_out:
        return written
    rows = [(vote.id, vote.rater, vote.why, round(vote.time, 3)) for vote in state.left_out]
    write_atomically(folder / LEFT_OUT, csv_bytes(('id', 'rater', 'why', 'time'), rows, raw=raw))
    return *written, folder / LEFT_OUT


def export_notes(folder: Path) -> tuple[str, ...]:
    """Notes for readers of the tables: flagged raters, and journal entries that are not counted.

    Raises:
        RunError: as `export_votes`.
    """
    state, settings = open_votes(folder)
    statuses = {name: standing(state, rater, settings).status for name, rater in state.raters.items()}
    flags = flags_of(rater_figures(state.votes(), statuses, state.tasks, settings.test_share))
    named = '; '.join(f'{name} ({JOINED.join(words)})' for name, words in flags.items())
    return (
        *((f'flagged raters, whose votes are in the tables: {named}',) if flags else ()),
        *left_out_sentences(state),
    )


def left_out_notes(folder: Path) -> tuple[str, ...]:
    """Notes on journal entries that are not counted.

    Raises:
        RunError: as `export_votes`.
    """
    return left_out_sentences(open_votes(folder)[0])


@contextlib.contextmanager
def votes_table(path: Path) -> Iterator[Path]:
    """The comparisons of a study's folder, written to a temporary table from its votes; any other path unchanged.

    Nothing is written into the folder, which may be read-only or hold tables that must stay as they are.

    Raises:
        RunError: the journal of the study is damaged.
    """
    if not (path / JOURNAL).is_file():
        yield path
        return
    state, settings = open_votes(path)
    statuses = {name: standing(state, rater, settings).status for name, rater in state.raters.items()}
    flags = flags_of(rater_figures(state.votes(), statuses, state.tasks, settings.test_share))
    text = comparisons_csv(votes_that_count(state.votes(), statuses), state.tasks, flags, raw=True)
    with tempfile.TemporaryDirectory(prefix='affekt-') as folder:
        table = Path(folder) / COMPARISONS
        table.write_text(text, encoding='utf-8', newline='')
        yield table


def _kept_predictions(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Task key to its predictions, as an import stored them."""
    return {
        key: [prediction for prediction in listed if isinstance(prediction, dict)]
        for key, listed in _kept(path).items()
        if isinstance(listed, list)
    }


def _kept_places(path: Path) -> dict[str, str]:
    """Clip to its location in Label Studio, as stored when the study began."""
    return {sample: place for sample, place in _kept(path).items() if isinstance(place, str)}


def _kept(path: Path) -> dict[str, Any]:
    """The JSON object in a file beside the votes; {} if the file does not exist.

    Raises:
        RunError: the file is damaged.
    """
    if not path.exists():
        return {}
    try:
        kept = json.loads(read_regular_file(path))
    except (ValueError, RecursionError) as error:
        raise RunError(
            expected=f'readable JSON in {path}', came=str(error), todo='restore it from a backup, or remove it'
        ) from error
    if not isinstance(kept, dict):
        raise RunError(expected=f'a JSON object in {path}', came='another value', todo='restore it, or remove it')
    return kept
