"""The page on judges says what the result files say."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _result(name: str) -> dict:
    return json.loads((ROOT / 'measurements' / 'results' / name).read_text())


def _words() -> str:
    return ' '.join((ROOT / 'docs' / 'ranking_judges.md').read_text().split())


def test_no_kill_of_a_judge_lost_an_answer():
    assert set(_result('run_kills.json')['judge']['broken'].values()) == {0}
    assert 'Kills at random moments lose no answer' in _words()


def test_the_figures_of_injected_orders_are_those_of_the_result():
    found = _result('judge_injection.json')
    every = {one['quoting']: one for one in found['summary'] if one['attack'] == 'all'}
    quoted, pasted = every['quoted'], every['pasted']
    asked = sum(one['questions'] for one in every.values())
    assert sum(counts['a1'] for counts in found['verdicts_before'].values()) == asked
    assert f'answered *a1* to all {asked} neutral questions' in _words()
    raw = [sum(one['as_given'][what] for one in every.values()) for what in ('turned_to_its_side', 'could_be_turned')]
    assert f'({raw[0]} of {raw[1]})' in _words()
    for one in (quoted, pasted):
        counts = one['calibrated']
        rest = one['questions'] - counts['could_be_turned']
        said = f'{counts["turned_to_its_side"]} of {counts["could_be_turned"]} verdicts to their side and'
        assert f'{said} {counts["turned_away"]} of {rest} away' in _words()
    shifts = [
        f'{one["mean_shift_log_odds"]:.2f} (standard error {one["standard_error"]:.2f})' for one in every.values()
    ]
    assert f'gained {shifts[0]} with quoting and {shifts[1]} with pasting' in _words()
