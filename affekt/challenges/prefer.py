"""MER-Prefer (MER2026 track 3): writing, strict checking and scoring of submissions.

The candidates are a csv of name, a1 and a2; a submission has name and preference for each of them, in the same order:
the released scorer matches by row and ignores names, so a missing or moved row invalidates all that follow. The scored
samples are a hidden part of the candidates. Systems are ranked by weighted F1 of two classes: tied truths are dropped,
and a preference *same* counts as a1.

Source: MER2026_Track3/README.md in github.com/zeroQiaoba/MERTools.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affekt.arrays import Ints
from affekt.errors import TableError, listed, short, shown_faults
from affekt.metrics import Interval, bootstrap_interval
from affekt.preference import even_accuracy, official_scores
from affekt.preference.pairs import OFFICIAL, VERDICTS
from affekt.runs import read_regular_file, write_atomically
from affekt.tables import by_name, csv_bytes, read_columns, required_rows
from affekt.wording import counted

_HEADER = ['name', 'preference']
_WORDS = tuple(OFFICIAL.values())


@dataclass(frozen=True)
class PreferSubmission:
    """A valid submission."""

    path: Path
    rows: int
    answers: Mapping[str, int]
    """Number of answers a1, a2 and same."""


@dataclass(frozen=True)
class PreferScore:
    """The track's ranking score, and related scores, all in [0, 1]."""

    waf: Interval
    """Weighted F1 of two classes."""
    accuracy: Interval
    """Accuracy of two classes."""
    even: Interval
    """Accuracy with *same* as half correct, so that the order of sides does not matter."""
    decided: int
    """Number of scored samples."""
    ties: int
    """Number of tied truths, which are not scored."""


def write_prefer_submission(names: Sequence[str], prediction: Ints, path: Path) -> PreferSubmission:
    """Write preferences in the order of the candidates.

    Args:
        names: names of the candidates, in order, each once.
        prediction: (N,) 1 for a1, -1 for a2, 0 for same.
        path: path that ends in .csv.

    Raises:
        TableError: the preferences are invalid; all problems are in one message, and nothing is written.
    """
    words = [OFFICIAL.get(int(verdict), '') for verdict in prediction]
    if len(words) != len(names):
        raise TableError(
            expected=f'a preference for each of {counted(len(names), "candidate")}', came=f'{len(words):,}',
            todo='give one for each candidate, in order',
        )  # fmt: skip
    # Names are never changed, as the challenge compares them.
    content = csv_bytes(_HEADER, zip(names, words, strict=True), raw=True).decode()
    submission = _checked(path, content, names)
    write_atomically(path, content.encode())
    return submission


def check_prefer_submission(path: Path, names: Sequence[str]) -> PreferSubmission:
    """Check a submission as strictly as the challenge, and report all problems.

    Args:
        path: path of the submission.
        names: names of the candidates, in order.

    Raises:
        TableError: the submission is invalid; all problems are in one message, with their rows.
    """
    try:
        content = read_regular_file(path).decode('utf-8-sig')
    except OSError as error:
        raise TableError(
            expected='a submission', came=f'{path}: {error.strerror or error}', todo='check the path'
        ) from error
    except UnicodeDecodeError as error:
        raise TableError(
            expected='a submission in UTF-8', came=f'{path}: {error.reason} at byte {error.start}', todo='save it so'
        ) from error
    return _checked(path, content, names)


def score_prefer(
    truth: Mapping[str, int], prediction: Mapping[str, int], *, rng: np.random.Generator, resamples: int = 1000
) -> PreferScore:
    """The track's score with bootstrap intervals over samples.

    Args:
        truth: name of a sample to its verdict (1, -1, 0).
        prediction: name of a sample to its verdict; samples outside the truth are ignored.
        rng: generator of the resamples.
        resamples: number of resamples for the intervals.

    Raises:
        TableError: samples of the truth have no prediction, or every truth is a tie.
    """
    if missing := [name for name in truth if name not in prediction]:
        raise TableError(
            expected='a prediction for every sample of the truth',
            came=f'{len(missing)} without: {listed(missing)}',
            todo='predict all candidates',
        )
    true = np.array(list(truth.values()))
    predicted = np.array([prediction[name] for name in truth])
    if not true.any():
        raise TableError(expected='samples with a preference', came='ties only', todo='check the truth')

    def interval(score_name: str) -> Interval:
        def metric(true_verdicts: Ints, verdicts: Ints) -> float:
            if score_name == 'even':
                return even_accuracy(true_verdicts, verdicts)
            return float(getattr(official_scores(true_verdicts, verdicts), score_name))

        repeated_rng = np.random.default_rng(seed)
        return bootstrap_interval(metric, true, predicted, rng=repeated_rng, resamples=resamples)

    seed = int(rng.integers(2**63))
    ties = int(np.sum(true == 0))
    return PreferScore(interval('waf2'), interval('acc2'), interval('even'), len(true) - ties, ties)


def read_preferences(path: Path) -> dict[str, int]:
    """Name of a sample to its verdict, from a table with name and preference, in order.

    Raises:
        TableError: the file is missing or damaged, lacks a column, has a sample without a name or twice, or has another
            verdict.
    """
    columns = read_columns(path)
    answers = by_name(columns, path, _HEADER[:1], _HEADER[1:])
    if answers is None:
        raise TableError(
            expected='the columns name and preference', came=f'{path} with {columns.seen()}', todo='name them so'
        )
    words = {name: str(word).strip().lower() for name, word in answers.items()}
    if problems := [f'{name}: {short(word)!r}' for name, word in words.items() if word not in VERDICTS]:
        raise TableError(
            expected=f'{", ".join(_WORDS)} for each sample', came=f'{path} with {listed(problems)}', todo='correct it'
        )
    return {name: VERDICTS[word] for name, word in words.items()}


def _checked(path: Path, content: str, names: Sequence[str]) -> PreferSubmission:
    """The submission with this content; an error with all of its problems."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise TableError(expected='every candidate once', came=f'{listed(repeated)} again', todo='take the file anew')
    problems = [] if path.suffix == '.csv' else [f'the name {path.name} does not end in .csv']
    rows = _rows(content, problems)
    row_of: dict[str, int] = {}
    candidates, counts = set(names), Counter[str]()
    for row, (name, word) in rows:
        if not name:
            problems.append(f'row {row}: no name')
        elif name in row_of:
            problems.append(f'row {row}: {name} again, first in row {row_of[name]}')
        elif name not in candidates:
            problems.append(f'row {row}: {short(name)} is no candidate')
        if word not in _WORDS:
            problems.append(f'row {row}: {short(word)!r} is none of {", ".join(_WORDS)}')
        row_of.setdefault(name, row)
        counts[word] += 1
    if (missing := [name for name in names if name not in row_of]) and (rows or not problems):
        problems.append(f'{counted(len(missing), "candidate")} without an answer: {listed(missing)}')
    if not problems:
        misplaced = next(
            (row for (row, (name, _)), expected in zip(rows, names, strict=True) if name != expected), None
        )
        if misplaced is not None:
            problems.append(
                f'row {misplaced}: {names[misplaced - 2]} belongs here; the scorer matches rows by position'
            )
    if problems:
        raise TableError(
            expected='a submission to MER-Prefer that can be scored',
            came=f'{path.name} with {counted(len(problems), "problem")}',
            todo='correct them, or write the file with `affekt prefer predict`',
            faults=shown_faults(problems),
        )
    return PreferSubmission(path, len(rows), {word: counts[word] for word in _WORDS})


def _rows(content: str, problems: list[str]) -> list[tuple[int, tuple[str, str]]]:
    """Row number, name and preference of each row; malformed rows become problems."""
    rows = required_rows(content, _HEADER, problems)
    return [(row, (cells[0], cells[1])) for row, cells in rows if len(cells) == 2]
