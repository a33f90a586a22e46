"""Speakers told apart by voice: only where at least two are sure, and never one person for two without being unsure."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.people import speakers_by_voice
from affekt.people.speakers import APART


def speaker(rng, axis, turns, spread=0.25):
    """Vectors of length 1 around an axis of a space of 64 dimensions."""
    rows = spread * rng.normal(size=(turns, 64)) / 8
    rows[:, axis] += 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_two_voices_are_named_in_order_of_appearance(rng):
    first, second = speaker(rng, 3, 4), speaker(rng, 9, 4)
    turns = np.stack([row for pair in zip(first, second, strict=True) for row in pair])
    assert speakers_by_voice(turns, [2.0] * 8) == ['speaker 1', 'speaker 2'] * 4


def test_one_voice_is_not_told_apart(rng):
    assert speakers_by_voice(speaker(rng, 3, 12), [2.0] * 12) == [''] * 12


def test_a_turn_between_two_speakers_and_a_stranger_stay_unknown(rng):
    first, second = speaker(rng, 3, 4), speaker(rng, 9, 4)
    between = (first.mean(axis=0) + second.mean(axis=0))[None]
    between /= np.linalg.norm(between)
    turns = np.concatenate([first, second, between, speaker(rng, 20, 1)])
    assert speakers_by_voice(turns, [2.0] * 10) == ['speaker 1'] * 4 + ['speaker 2'] * 4 + ['', '']


def test_two_groups_that_are_alike_leave_all_unknown(rng):
    # two axes whose product is just above APART
    angle = np.arccos(APART + 0.05)
    first, second = np.zeros(64), np.zeros(64)
    first[0], second[0], second[1] = 1, np.cos(angle), np.sin(angle)
    turns = np.stack([first] * 4 + [second] * 4)
    assert speakers_by_voice(turns, [2.0] * 8) == [''] * 8


@pytest.mark.parametrize('seconds', [0.5, 1.0])
def test_too_little_speech_is_no_speaker(rng, seconds):
    # four turns of a second are 4 s, and less than 0.7 s is no turn to group
    turns = np.concatenate([speaker(rng, 3, 4), speaker(rng, 9, 4)])
    assert speakers_by_voice(turns, [seconds] * 8) == [''] * 8


def test_silence_is_nobody(rng):
    turns = np.concatenate([speaker(rng, 3, 4), np.zeros((2, 64)), speaker(rng, 9, 4)])
    assert speakers_by_voice(turns, [2.0] * 10)[4:6] == ['', '']


def test_without_turns_there_is_nobody():
    assert speakers_by_voice(np.zeros((0, 256), np.float32), []) == []


def test_the_order_of_turns_changes_no_group(rng):
    turns = np.concatenate([speaker(rng, 3, 5), speaker(rng, 9, 4), speaker(rng, 30, 6)])
    whose = np.array(speakers_by_voice(turns, [2.0] * 15))
    order = rng.permutation(15)
    again = np.array(speakers_by_voice(turns[order], [2.0] * 15))
    assert len(set(whose.tolist())) == 3
    assert ((whose[order][:, None] == whose[order]) == (again[:, None] == again)).all()
