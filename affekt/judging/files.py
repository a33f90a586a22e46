"""A judge's run on files: verdicts for `affekt rank`, every showing with its raw answer, and settings.

`verdicts.csv` has one row per pair: left, right, outcome (left, right, tie, skip), sample, rater, order (empty: both),
the verdict in each order, whether they agree, and the lengths of both texts. `verdicts.showings.csv` has one row per
showing, with its order, a weight of 1/2 if there are two, and the raw answer; a ranking of this file shows the effect
of being shown first. `verdicts.csv.settings.json` records everything on which the verdicts depend.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from affekt.errors import ComparisonError
from affekt.files import require_own_output, require_writable
from affekt.judging.described import Described, read_described
from affekt.judging.judge import ABSTAIN, Judge, Judgement, Judgements, judge_pairs
from affekt.judging.prompts import VERSION
from affekt.judging.report import JudgeReport, Price, report_on
from affekt.progress import Progress
from affekt.ranking import SKIP
from affekt.runs import hashes_of, versions, write_atomically
from affekt.tables import csv_bytes

OUT = Path('verdicts.csv')
"""Default path of the verdicts."""


def judge_descriptions(
    descriptions: Sequence[Path],
    rater: Judge,
    *,
    out: Path = OUT,
    media: Path | None = None,
    pairs: Path | None = None,
    column: str | None = None,
    at_once: int = 1,
    prices: Mapping[str, Price] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    raw_csv: bool = False,
) -> JudgeReport:
    """Judge descriptions, write the verdicts, and report on them.

    Args:
        descriptions, media, pairs, column: see `read_described`.
        rater: the judge.
        out: a .csv file, replaced atomically at the end, like its two companion files.
        at_once, progress: see `judge_pairs`.
        prices: price of a million tokens, by model.
        settings: further settings to save with the verdicts.
        raw_csv: write texts that a spreadsheet would run as formulas unchanged, without a protective apostrophe.

    Raises:
        ComparisonError: the output is not a .csv file, or the input has no pairs.
        FileError: the output is one of the inputs.
        AffektError: see `read_described` and `judge_pairs`; no file is changed then.
    """
    if out.suffix.lower() != '.csv':
        raise ComparisonError(expected='an --out that ends in .csv', came=out.name, todo='name it verdicts.csv')
    for path in (out, showings_path(out)):
        require_own_output(path, (*descriptions, pairs))
    require_writable(out)
    # 1. Pairs.
    described = read_described(descriptions, column=column, pairs=pairs, media=media)
    # 2. Both orders of every pair.
    judged = judge_pairs(described.pairs, rater, at_once=at_once, progress=progress)
    # 3. Report, compared with people's verdicts.
    report = report_on(judged, described.preferences, prices=prices, rng=np.random.default_rng(0))
    report = replace(report, left_out=described.left_out)
    # 4. Write; the verdicts themselves last.
    saved_settings = {**(settings or {}), **_settings(descriptions, pairs, column, judged, described)}
    write_atomically(out.with_name(f'{out.name}.settings.json'), json.dumps(saved_settings, indent=2).encode())
    showings = [row for judgement in judged.rows for row in _showings(judgement, judged)]
    write_atomically(showings_path(out), csv_bytes(SHOWING_COLUMNS, showings, raw=raw_csv))
    write_atomically(
        out, csv_bytes(VERDICT_COLUMNS, [_verdict(judgement, judged) for judgement in judged.rows], raw=raw_csv)
    )
    return report


def showings_path(out: Path) -> Path:
    """Path of the showings: verdicts.showings.csv next to verdicts.csv."""
    return out.with_name(f'{out.stem}.showings{out.suffix}')


VERDICT_COLUMNS = (
    'left', 'right', 'outcome', 'sample', 'rater', 'order', 'said_left_first', 'said_right_first', 'orders_agree',
    'left_length', 'right_length',
)  # fmt: skip
SHOWING_COLUMNS = ('left', 'right', 'outcome', 'sample', 'rater', 'order', 'weight', 'how', 'left_length',
                   'right_length', 'raw')  # fmt: skip


def _verdict(row: Judgement, judged: Judgements) -> dict[str, object]:
    """The row of a pair, with the combined outcome."""
    outcomes = [None if verdict is None else _outcome(verdict.outcome) for verdict in (row.left_first, row.right_first)]
    agrees = row.is_consistent
    return {
        **_common_columns(row, judged),
        'outcome': _outcome(row.outcome),
        'order': '',
        'said_left_first': outcomes[0],
        'said_right_first': outcomes[1],
        'orders_agree': '' if agrees is None else 'yes' if agrees else 'no',
    }


def _showings(row: Judgement, judged: Judgements) -> list[dict[str, object]]:
    """The rows of a pair's showings."""
    return [
        {
            **_common_columns(row, judged),
            'outcome': _outcome(verdict.outcome),
            'order': verdict.order,
            'weight': 1.0 / len(row.verdicts),
            'how': verdict.how,
            'raw': verdict.raw,
        }
        for verdict in row.verdicts
    ]


def _common_columns(row: Judgement, judged: Judgements) -> dict[str, object]:
    pair = row.pair
    return {
        'left': pair.left,
        'right': pair.right,
        'sample': pair.sample,
        'rater': judged.judge,
        'left_length': len(pair.left_text.strip()),
        'right_length': len(pair.right_text.strip()),
    }


def _outcome(outcome: str) -> str:
    return SKIP if outcome == ABSTAIN else outcome


def _settings(
    descriptions: Sequence[Path], pairs: Path | None, column: str | None, judged: Judgements, described: Described
) -> dict[str, Any]:
    inputs = [*descriptions, *([] if pairs is None else [pairs])]
    return {
        'judge': judged.judge,
        'prompts': VERSION,
        'inputs': hashes_of(inputs),
        'column': column,
        'pairs': len(described.pairs),
        'left_out': described.left_out,
        'versions': versions(),
    }
