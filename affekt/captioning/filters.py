"""Filters of captions: which to keep, and why each other one is left out.

Low level: the visible person speaks (`speaking.py`), and the description is neither very short nor very long: lengths
of descriptions are nearly log-normal, and those outside mean ± `length_sd` standard deviations of their logarithm are
left out. High level: the labels agree with the emotion and the sentiment that most classifiers predict (`votes.py`).
Captions that people rejected (`affekt annotate --check`) are left out too.

A clip is left out for its first reason, and the table lists all of its reasons; no clip is dropped silently.

Source: MER-Caption+, arXiv:2501.16566 section 3; it gives no number for the tails, so two standard deviations are ours.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affekt.captioning.captions import DESCRIBED, CaptionTable, read_captions
from affekt.captioning.speaking import THRESHOLD, SpeakingScore
from affekt.captioning.votes import AGAINST, TIED, Votes, agrees_with_emotion, agrees_with_sentiment, unplaced_votes
from affekt.errors import TableError, ValueRangeError, listed
from affekt.labels import WordTable
from affekt.runs import versions, write_atomically
from affekt.tables import csv_bytes, read_columns
from affekt.typed_json import json_file
from affekt.wording import counted

REASONS: Mapping[str, str] = {
    'not described': 'the run has no description of it',
    'struck': 'a person who checked it rejected it',
    'does not speak': 'the visible person does not move their mouth with the voice, or another one does more',
    'speaker unknown': 'no face or no voice says who speaks',
    'too short': 'its description is among the shortest',
    'too long': 'its description is among the longest',
    'no vote': 'no classifier has a prediction for it',
    'tied vote': 'classifiers do not agree',
    'unplaced vote': 'the word table places the voted emotion on no wheel, so that no label could agree with it',
    f'{AGAINST}emotion': 'no label shares a sector with the voted emotion on any wheel',
    f'{AGAINST}sentiment': 'the labels are of another sentiment than the voted one',
}
"""Reasons in the order in which they are checked, and their meaning."""
KEPT_TABLE, LEFT_OUT, SETTINGS = 'kept.csv', 'left_out.csv', 'filter.json'


@dataclass(frozen=True)
class FilterSettings:
    """Settings of the filters."""

    speaking: bool = False
    threshold: float = THRESHOLD
    """Minimum score of a clip whose visible person speaks."""
    keep_unknown: bool = False
    """Whether to keep clips in which the speaker is unknown."""
    length_sd: float = 2.0
    """Maximum distance of log length from its mean, in standard deviations; 0 keeps all lengths."""
    emotion: bool = True
    """Whether labels must agree with the voted emotion, if there are votes."""
    sentiment: bool = True

    def __post_init__(self) -> None:
        if not (self.length_sd >= 0 and math.isfinite(self.length_sd) and math.isfinite(self.threshold)):
            raise ValueRangeError(
                expected='standard deviations of 0 or more and a finite threshold',
                came=f'{self.length_sd:g}, {self.threshold:g}', todo='give for example 2 and 0.23',
            )  # fmt: skip


@dataclass(frozen=True)
class Filtered:
    """The result of a filter."""

    captions: CaptionTable
    reasons: Mapping[str, tuple[str, ...]]
    """Clip to the reasons why it is left out, in order; () if it is kept."""
    details: Mapping[str, str]
    """Clip to the details of its reasons."""
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    """Sentences on votes that could not be used."""

    @property
    def kept(self) -> list[str]:
        """The clips that are kept, in order."""
        return [name for name, reasons in self.reasons.items() if not reasons]

    def counts(self) -> dict[str, int]:
        """First reason to the number of clips, in the order of `REASONS`."""
        first = Counter(reasons[0] for reasons in self.reasons.values() if reasons)
        return {reason: first[reason] for reason in REASONS if first[reason]}


def filter_captions(
    captions: CaptionTable,
    settings: FilterSettings,
    table: WordTable,
    *,
    speaking: Mapping[str, SpeakingScore] | None = None,
    votes: Votes | None = None,
    struck: Mapping[str, str] | None = None,
) -> Filtered:
    """Filter captions, with the reasons for each one left out.

    Args:
        captions: captions of a run, with people's checks already in their labels.
        settings: settings of the filters.
        table: word table that maps labels to the wheels and to valence.
        speaking: clip to its score; needed if that filter is used.
        votes: votes of classifiers; None skips that filter.
        struck: clip to the remark of the person who rejected it.

    Raises:
        ValueRangeError: the filter of speakers is on, but there are no scores.
        TableError: no clip has a vote, or the table places none of the voted emotions.
    """
    if settings.speaking and speaking is None:
        raise ValueRangeError(
            expected='scores of who speaks', came='none', todo='make them with `affekt caption speaking CAPTIONS`'
        )
    unplaced = _unplaced(captions, votes, settings, table) if votes is not None else Counter[str]()
    low, high = length_limits(captions, settings.length_sd)
    reasons: dict[str, tuple[str, ...]] = {}
    details: dict[str, str] = {}
    columns = captions.columns
    for name, labels, description, status in zip(
        captions.names, captions.labels, columns['description'], columns['status'], strict=True
    ):
        reasons_against: dict[str, str] = {}
        if (status and status not in DESCRIBED) or not description:
            reasons_against['not described'] = status or 'empty'
        if struck and name in struck:
            reasons_against['struck'] = struck[name]
        if settings.speaking and speaking is not None:
            reasons_against |= _speaker(speaking.get(name), settings)
        if description and settings.length_sd and not low <= len(description) <= high:
            reasons_against['too short' if len(description) < low else 'too long'] = f'{len(description)} characters'
        if votes is not None and 'not described' not in reasons_against:
            reasons_against |= _voted(name, labels, votes, settings, table, unplaced)
        reasons[name] = tuple(reason for reason in REASONS if reason in reasons_against)
        if reasons_against:
            details[name] = '; '.join(
                f'{reason}: {reasons_against[reason]}' for reason in reasons[name] if reasons_against[reason]
            )
    saved = {
        **vars(settings), 'table': table.label, 'voters': votes.voters if votes else 0,
        'shortest': low if settings.length_sd else None, 'longest': high if settings.length_sd else None,
    }  # fmt: skip
    without_place = Counter(
        votes.emotion(name) for name, against in reasons.items() if votes is not None and 'unplaced vote' in against
    )
    notes = (
        f'{counted(without_place.total(), "clip")} left out because the word table places no voted emotion of theirs: '
        f'{_with_counts(without_place)}',
    )
    return Filtered(captions, reasons, details, saved, notes if without_place else ())


def _unplaced(captions: CaptionTable, votes: Votes, settings: FilterSettings, table: WordTable) -> Counter[str]:
    """Voted emotions that the table does not place, with the number of clips of each.

    Raises:
        TableError: no clip has a vote, or no voted emotion is placed.
    """
    voted = {*votes.emotions, *votes.sentiments}
    if voted.isdisjoint(captions.names) and len(captions):
        raise TableError(
            expected=f'votes on clips of {captions.path}, such as {captions.names[0]!r}',
            came=f'none; the votes are on {listed(sorted(voted), 2) or "no clip"}',
            todo='give predictions for these clips, under the same names',
        )
    if not settings.emotion:
        return Counter()
    unplaced = unplaced_votes(votes, captions.names, table)
    placed = sum(votes.emotion(name) not in ('', TIED, *unplaced) for name in captions.names)
    if unplaced and not placed:
        raise TableError(
            expected=f'voted emotions that the word table {table.label} places on a wheel', came=_with_counts(unplaced),
            todo='write them as words of that table, choose another --tables, or leave them out with --no-emotion',
        )  # fmt: skip
    return unplaced


def _with_counts(words: Counter[str], most: int = 8) -> str:
    """Words with their counts, the most frequent first, at most `most` of them.

    >>> _with_counts(Counter({'happyness': 3, 'class 4': 1}))
    'happyness (3), class 4 (1)'
    """
    shown = [f'{word} ({count:,})' for word, count in words.most_common(most)]
    return ', '.join([*shown, *([f'{len(words) - most} more'] if len(words) > most else [])])


def length_limits(captions: CaptionTable, length_sd: float) -> tuple[float, float]:
    """The minimum and maximum number of characters that are kept: mean ± `length_sd` standard deviations of the
    logarithm.

    Returns:
        (0, inf) if all lengths are kept, or fewer than three captions describe anything.
    """
    described = [
        len(text)
        for text, status in zip(captions.columns['description'], captions.columns['status'], strict=True)
        if text and (not status or status in DESCRIBED)
    ]
    if not length_sd or len(described) < 3:
        return 0.0, math.inf
    logs = np.log(described)
    mean, sd = float(logs.mean()), float(logs.std(ddof=1))
    # rounded outwards, so that lengths exactly on a limit are kept, as when all are equal
    return math.floor(math.exp(mean - length_sd * sd) + 1e-6), math.ceil(math.exp(mean + length_sd * sd) - 1e-6)


def _speaker(score: SpeakingScore | None, settings: FilterSettings) -> dict[str, str]:
    speaks = None if score is None else score.speaks(settings.threshold)
    if speaks is None:
        return {} if settings.keep_unknown else {'speaker unknown': score.why if score else 'no score'}
    assert score is not None
    return {} if speaks else {'does not speak': f'score {score.score:.2f}, lead {score.lead:.2f}'}


def _voted(
    name: str,
    labels: Sequence[str],
    votes: Votes,
    settings: FilterSettings,
    table: WordTable,
    unplaced: Mapping[str, int],
) -> dict[str, str]:
    reasons_against: dict[str, str] = {}
    for target, is_used, vote, agrees in (
        ('emotion', settings.emotion and votes.emotions, votes.emotion(name), agrees_with_emotion),
        ('sentiment', settings.sentiment and votes.sentiments, votes.sentiment(name), agrees_with_sentiment),
    ):
        if not is_used:
            continue
        if not vote:
            reasons_against['no vote'] = target
        elif vote == TIED:
            reasons_against['tied vote'] = target
        elif target == 'emotion' and vote in unplaced:
            reasons_against['unplaced vote'] = vote
        elif not agrees(labels, vote, table):
            reasons_against[f'{AGAINST}{target}'] = f'{vote} against {", ".join(labels) or "no label"}'
    return reasons_against


def write_filtered(out: Path, filtered: Filtered, *, raw_csv: bool = False) -> None:
    """Write `kept.csv` (in the form of captions, for commands that read these), `left_out.csv` and `filter.json`.

    Raises:
        StorageError: the folder cannot be written.
    """
    captions = filtered.captions
    columns = list(captions.columns)
    at = {name: index for index, name in enumerate(captions.names)}
    kept = [[captions.columns[column][at[name]] for column in columns] for name in filtered.kept]
    rows = [
        [name, reasons[0], ', '.join(reasons), filtered.details[name], captions.columns['description'][at[name]],
         captions.columns['openset'][at[name]]]
        for name, reasons in filtered.reasons.items()
        if reasons
    ]  # fmt: skip
    heads = ('name', 'reason', 'reasons', 'details', 'description', 'openset')
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / LEFT_OUT, csv_bytes(heads, rows, raw=raw_csv))
    write_atomically(out / KEPT_TABLE, csv_bytes(columns, kept, raw=raw_csv))
    about = {
        'captions': str(captions.path), 'clips': len(captions), 'kept': len(kept), 'left_out': filtered.counts(),
        'settings': filtered.settings, 'notes': list(filtered.notes), 'versions': versions(),
    }  # fmt: skip
    write_atomically(out / SETTINGS, json_file(about))


def read_left_out(folder: Path) -> dict[str, str]:
    """Clip to the first reason for which a filter left it out.

    Raises:
        TableError: the folder has no such table.
    """
    from affekt.tables import read_table

    table = read_table(folder / LEFT_OUT)
    return dict(zip(map(str, table['name']), map(str, table['reason']), strict=True)) if table.rows else {}


def read_struck(checks: Path) -> dict[str, str]:
    """Clips that people rejected, from a folder of `affekt annotate --check`, each with the number of people who
    checked it.

    Raises:
        TableError: the folder has no exported checks, or has checks that are not in the export.
    """
    from affekt.tables import read_table

    table = read_table(_exported(checks))
    return {
        str(row['name']): f'{row["checkers"]} checked it' for row in table.records() if row.get('verdict') == 'struck'
    }


def with_checks(captions: CaptionTable, checks: Path) -> CaptionTable:
    """The captions with people's corrections; unchecked clips stay unchanged.

    Args:
        captions: captions of a run.
        checks: a folder of `affekt annotate --check`.

    Raises:
        TableError: see `read_struck`; or a checked clip is not among the captions.
    """
    exported = _exported(checks)
    checked = read_captions(exported)
    checkers = read_columns(exported).get('checkers') or [1] * len(checked)
    row_of = {name: row for row, name in enumerate(checked.names) if str(checkers[row]) != '0'}
    if unknown := sorted(set(checked.names) - set(captions.names)):
        raise TableError(
            expected=f'checks of the clips of {captions.path}',
            came=f'{checks}, which has {counted(len(unknown), "other clip")} ({listed(unknown, 2)})',
            todo='give the captions that were checked',
        )
    rows = [row_of.get(name) for name in captions.names]
    columns = {
        column: tuple(
            cell if row is None else checked.columns[column][row] for cell, row in zip(cells, rows, strict=True)
        )
        for column, cells in captions.columns.items()
    }
    labels = tuple(
        labels_before if row is None else checked.labels[row]
        for labels_before, row in zip(captions.labels, rows, strict=True)
    )
    return CaptionTable(captions.path, captions.names, columns, labels)


def _exported(checks: Path) -> Path:
    """The exported table of a folder of checks.

    Raises:
        TableError: there is none, or it is older than the last mark.
    """
    table, marks = checks / 'checked.csv', checks / 'checks.jsonl'
    if not table.is_file() or (marks.is_file() and marks.stat().st_mtime_ns > table.stat().st_mtime_ns):
        raise TableError(
            expected=f'{table} with all that was checked',
            came='an export that is older than the last mark' if table.is_file() else 'no such file',
            todo=f'write it: affekt annotate --check --export-only --out {checks}',
        )
    return table
