"""Submissions to challenges: written in their format, and checked as strictly as the challenge's own parser.

The official parser splits labels at quotes and commas and leaves inner brackets: text that it would misread is an error
here, before the file is submitted. All problems of a file are in one message, with their rows.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from affekt.benchmarks import NAMES
from affekt.challenges.tracks import Track, track_named
from affekt.errors import ArchiveError, TableError, listed, shown_faults
from affekt.labels import read_labels
from affekt.metrics import official_parse
from affekt.npz import read_npz
from affekt.runs import read_regular_file, write_atomically
from affekt.tables import by_name, csv_bytes, read_columns, required_rows
from affekt.wording import counted

_LONGEST_LABEL = 60
"""Maximum length of a label in characters; a longer one is a sentence."""

Cells = tuple[str, ...] | None
"""The cells of a row besides the name; None if it has too few or too many cells."""


@dataclass(frozen=True)
class Submission:
    """A valid submission."""

    track: str
    """Name of the track."""
    path: Path
    rows: int
    """Number of answers."""
    labels_per_answer: float
    """Mean number of labels; nan without answers."""
    empty_answers: int
    """Number of answers without a label."""
    follows_candidates: bool
    """Whether the rows are in the candidates' order, which scorers ignore."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Category to number of answers, for tracks with categories."""


def read_candidates(path: Path) -> tuple[str, ...]:
    """Names that a submission must answer, in order.

    Raises:
        TableError: there is no column of names, a name is empty, or it occurs twice.
    """
    return tuple(by_name(read_columns(path), path, NAMES, NAMES) or ())


def write_submission(
    name: str,
    prediction: Mapping[str, Any],
    path: Path,
    candidates: Sequence[str] | None = None,
    *,
    allow_empty: bool = False,
) -> Submission:
    """Write a submission in the challenge's format and check it.

    Args:
        name: name of the track.
        prediction: name of a sample to its text or list; a list in brackets keeps its labels as the official parser
            reads them, other texts are read by `read_labels`, an apostrophe within a word is written as a curly one.
            For tracks with categories, an answer as `ClosedSet.cells` takes it.
        path: path with an extension that the track accepts.
        candidates: names to answer, in order; None for those of the prediction.
        allow_empty: accept answers without a label, which score 0.

    Raises:
        UnknownNameError: unknown track.
        TableError: the answers are invalid; all problems are in one message, and nothing is written.
    """
    track = track_named(name)
    order = tuple(prediction) if candidates is None else tuple(candidates)
    ordered = set(order)
    names = [
        *(sample for sample in order if sample in prediction),
        *(sample for sample in prediction if sample not in ordered),
    ]
    cells, problems = _cells_of(track, {sample: prediction[sample] for sample in names})
    submission = _checked(track, path, list(zip(names, cells, strict=True)), order, allow_empty, problems)
    content = _as_csv(track, names, cells) if path.suffix == '.csv' else _as_npz(names, [cell[0] for cell in cells])
    write_atomically(path, content)
    return submission


def _cells_of(track: Track, prediction: Mapping[str, Any]) -> tuple[list[tuple[str, ...]], list[str]]:
    """Cells of each answer's row, and free words that the official parser would not return unchanged."""
    if track.closed:
        return [track.closed.cells(answer) for answer in prediction.values()], []
    labels = {sample: _labels_of(answer) for sample, answer in prediction.items()}
    problems = [
        f'{sample}: label {label!r} is read as {official_parse(label)}'
        for sample, words in labels.items()
        for label in words
        if official_parse(label) != [label]
    ]
    return [(f'[{", ".join(words)}]',) for words in labels.values()], problems


def _labels_of(answer: Any) -> list[str]:
    """Labels in a form that the official parser returns unchanged."""
    text = answer.strip() if isinstance(answer, str) else ''
    if text.startswith('[') and text.endswith(']'):
        return official_parse(text)
    words = read_labels(answer).labels if isinstance(answer, str) else map(str, answer or ())
    # The official parser splits at straight quotes.
    return [label.strip().lower().replace("'", '’') for label in words]


def check_submission(name: str, path: Path, candidates: Sequence[str], *, allow_empty: bool = False) -> Submission:
    """Check a submission as strictly as the challenge, and report all problems.

    Args:
        name: name of the track.
        path: path of the submission.
        candidates: names that must be answered.
        allow_empty: accept answers without a label, which score 0.

    Raises:
        UnknownNameError: unknown track.
        TableError: the submission is invalid; all problems are in one message, with their rows.
        ArchiveError: the archive is damaged.
    """
    track = track_named(name)
    problems: list[str] = []
    rows = _csv_rows(track, path, problems) if path.suffix == '.csv' else _npz_rows(path, problems)
    return _checked(track, path, rows, candidates, allow_empty, problems)


def _checked(
    track: Track,
    path: Path,
    rows: Sequence[tuple[str, Cells]],
    candidates: Sequence[str],
    allow_empty: bool,
    problems: Sequence[str],
) -> Submission:
    """The submission with these rows; an error with all of its problems."""
    faults = list(problems)
    if not path.name.endswith(track.kinds):
        faults.insert(0, f'the name {path.name} does not end in {" or ".join(track.kinds)}')
    first_row = 2 if path.suffix == '.csv' else 1
    allowed = set(candidates)
    row_of: dict[str, int] = {}
    sizes: list[int] = []
    counts: Counter[str] = Counter()
    for row, (sample, cells) in enumerate(rows, first_row):
        if not sample:
            faults.append(f'row {row}: no name')
        elif sample in row_of:
            faults.append(f'row {row}: {sample} again, first in row {row_of[sample]}')
        elif sample not in allowed:
            faults.append(f'row {row}: {sample} is no candidate')
        row_of.setdefault(sample, row)
        if cells is None:
            continue
        labels, problem = _labels_and_problem(track, cells)
        sizes.append(len(labels))
        if problem and not (allow_empty and not labels):
            faults.append(f'row {row}: {sample}: {problem}')
        counts.update(labels if track.closed and not problem else ())
    missing = [sample for sample in candidates if sample not in row_of]
    if missing and (rows or not problems):
        faults.append(f'{counted(len(missing), "candidate")} without an answer: {listed(missing)}')
    if track.rows is not None and rows and len(rows) != track.rows:
        faults.append(f'{len(rows):,} rows where the challenge takes {track.rows:,}')
    if faults:
        raise TableError(
            expected=f'a submission to {track.name} that can be scored',
            came=f'{path.name} with {counted(len(faults), "problem")}',
            todo='correct them, or write the file with `affekt track write`',
            faults=shown_faults(faults),
        )
    follows_candidates = [sample for sample, _ in rows] == list(candidates)
    mean_labels = float(np.mean(sizes)) if sizes else float('nan')
    return Submission(track.name, path, len(rows), mean_labels, sizes.count(0), follows_candidates, dict(counts))


def _labels_and_problem(track: Track, cells: tuple[str, ...]) -> tuple[list[str], str]:
    """The labels of a row, and its fault, '' for none."""
    if track.closed:
        # An empty cell is an error even where answers without labels are allowed: there is no class for it.
        return list(cells[:1]), track.closed.problem(cells)
    labels = official_parse(cells[0])
    return labels, _misread_part(cells[0], labels)


def _misread_part(cell: str, labels: Sequence[str]) -> str:
    """The part of a cell that the official parser would misread, in words; '' for a valid cell."""
    text = cell.strip()
    if not labels:
        return 'no label; it scores 0'
    if not (text.startswith('[') and text.endswith(']')):
        return f'{_quoted(cell)} is no list in brackets'
    if cell != text:
        return f'{_quoted(cell)} has blanks around its brackets'
    if '\n' in text or any('[' in label or ']' in label for label in labels):
        return f'{_quoted(cell)} cannot be parsed: brackets or line breaks inside'
    long = next((label for label in labels if len(label) > _LONGEST_LABEL), None)
    return f'{_quoted(long)} is a sentence, not a label' if long else ''


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + '…')


def _csv_rows(track: Track, path: Path, problems: list[str]) -> list[tuple[str, Cells]]:
    """Name and other cells of each row; faults of the file are added to the problems."""
    try:
        text = read_regular_file(path).decode('utf-8-sig')
    except OSError as error:
        raise TableError(
            expected='a submission', came=f'{path}: {error.strerror or error}', todo='check the path'
        ) from error
    except UnicodeDecodeError as error:
        problems.append(f'not UTF-8: {error.reason} at byte {error.start}')
        return []
    header = ('name', *track.columns)
    return [
        (cells[0] if cells else '', tuple(cells[1:]) if len(cells) == len(header) else None)
        for _, cells in required_rows(text, header, problems)
    ]


def _npz_rows(path: Path, problems: list[str]) -> list[tuple[str, Cells]]:
    """Name and labels of each entry; faults of the file are added to the problems."""
    if not path.is_file():
        raise TableError(expected='a submission', came=f'nothing at {path}', todo='check the path')
    try:
        archive = read_npz(path)
    except ArchiveError as error:
        problems.append(f'{error.came}')
        return []
    arrays = [archive.get(key) for key in ('filenames', 'fileitems')]
    if not all(isinstance(array, np.ndarray) and array.ndim == 1 for array in arrays):
        problems.append(f'arrays {", ".join(archive) or "(none)"} where filenames and fileitems belong')
        return []
    names, items = (list(map(str, array)) for array in arrays if array is not None)
    if len(names) != len(items):
        problems.append(f'{counted(len(names), "filename")} and {counted(len(items), "fileitem")}')
        return []
    return [(name, (item,)) for name, item in zip(names, items, strict=True)]


def _as_csv(track: Track, names: Sequence[str], cells: Sequence[tuple[str, ...]]) -> bytes:
    # Names are never changed, as the challenge compares them.
    rows = [(name, *cell) for name, cell in zip(names, cells, strict=True)]
    return csv_bytes(('name', *track.columns), rows, raw=True)


def _as_npz(names: Sequence[str], cells: Sequence[str]) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, filenames=np.array(names, dtype=str), fileitems=np.array(cells, dtype=str))
    return content.getvalue()
