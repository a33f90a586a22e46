"""Runs that are killed at random moments and started again: nothing lost, nothing asked for twice."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / 'measurements' / 'run_kills.py'


@pytest.fixture
def run_kills(monkeypatch):
    spec = importlib.util.spec_from_file_location('run_kills', BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.killed_asking, 'DESCRIPTIONS', 8)
    return module


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='runs are forked, which this system cannot')
def test_five_kills_of_judge_lose_no_answer_and_repeat_no_question(run_kills, tmp_path):
    figures = run_kills.kill_and_resume(run_kills.killed_asking.Judge(tmp_path / 'case'), 5, 11)
    assert figures['kills'] == 5
    assert figures['results_at_kills'] > 0
    assert {what: count for what, count in figures['broken'].items() if count} == {}


def test_questions_that_are_asked_again_are_counted(run_kills, tmp_path):
    case = run_kills.killed_asking.Judge(tmp_path / 'case')
    case.server.asked |= {'run-1': ['a', 'b'], 'run-2': ['b', 'c', 'c'], 'run-3': ['d']}
    # run 2 asks b, whose answer was kept, and asks c twice
    assert case.made_again({'run-1': (), 'run-2': ('a', 'b'), 'run-3': ('a', 'b', 'c')}) == 2


def test_figures_of_several_seeds_add_up(run_kills):
    whole = dict.fromkeys(run_kills.BROKEN, 0)
    first = {'kills': 60, 'rounds': 9, 'whole_run_s': 2.0, 'seconds': 100.2, 'broken': {**whole, 'lost': 1}}
    second = {'kills': 20, 'rounds': 2, 'whole_run_s': 3.0, 'seconds': 50.3, 'broken': {**whole, 'lost': 2}}
    verb = run_kills.with_seed(run_kills.with_seed(None, 1, first), 2, second)
    assert (verb['kills'], verb['rounds'], verb['seconds'], verb['broken']['lost']) == (80, 11, 150.5, 3)
    assert verb['seeds'] == {'1': first, '2': second}
    assert run_kills.with_seed(verb, 2, first)['kills'] == 120  # a seed drawn again replaces its figures
