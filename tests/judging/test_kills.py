"""Runs that are killed at random moments and started again: nothing lost, nothing asked for twice."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / 'measurements' / 'judge_kills.py'


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='runs are forked, which this system cannot')
def test_forty_kills_lose_no_answer_and_repeat_no_question(tmp_path):
    spec = importlib.util.spec_from_file_location('judge_kills', BENCHMARK)
    judge_kills = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(judge_kills)
    found = judge_kills.kill_and_resume(40, 11, tmp_path, samples=6)
    assert found['kills'] == 40
    assert {what: count for what, count in found['broken'].items() if count} == {}
    assert found['most_on_their_way_at_one_kill'] <= judge_kills.AT_ONCE
