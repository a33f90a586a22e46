"""Turns against a detector whose answers are written down, then on real speech."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import Block, blocks

from affekt.errors import ShapeError, ValueRangeError
from affekt.voice import TurnFinder, TurnRules, speech_turns
from affekt.voice.speech import FRAME, FRAME_S, RATE_HZ


class Scripted:
    """Says that a frame holds speech where its samples are not zero: their value is the probability."""

    def reset(self) -> None:
        pass

    def __call__(self, frame: np.ndarray) -> float:
        return float(frame.max())


def sound(*stretches: tuple[float, int]) -> np.ndarray:
    """Probability and number of frames, one after the other."""
    return np.concatenate([np.full(count * FRAME, value, np.float32) for value, count in stretches])


def test_a_turn_spans_its_speech_and_the_padding():
    # 1 s has 31.25 frames: speech in frames 31..62 starts at 0.992 s and ends at 2.016 s; 0.2 s on either side
    turns = list(speech_turns(blocks(sound((0, 31), (0.9, 32), (0, 40))), Scripted()))
    assert [(t.start_s, t.end_s) for t in turns] == [(pytest.approx(0.792), pytest.approx(2.216))]
    assert (turns[0].speech_start_s, turns[0].speech_end_s) == (pytest.approx(0.992), pytest.approx(2.016))
    assert turns[0].samples.shape == (round(1.424 * RATE_HZ),)
    assert turns[0].speech_probability == pytest.approx(0.9)


def test_a_pause_shorter_than_the_rule_does_not_end_a_turn():
    # 0.5 s of silence are 15.6 frames: 15 keep the turn whole, 16 end it
    kept = list(speech_turns(blocks(sound((1, 20), (0, 15), (1, 20), (0, 30))), Scripted()))
    ended = list(speech_turns(blocks(sound((1, 20), (0, 16), (1, 20), (0, 30))), Scripted()))
    assert (len(kept), len(ended)) == (1, 2)


def test_a_doubtful_stretch_keeps_a_turn_open_but_opens_none():
    # 0.4 lies between leave 0.35 and enter 0.5
    assert list(speech_turns(blocks(sound((0.4, 60))), Scripted())) == []
    turns = list(speech_turns(blocks(sound((0.9, 10), (0.4, 40), (0, 30))), Scripted()))
    assert turns[0].end_s == pytest.approx(50 * FRAME_S + 0.2)


def test_a_click_is_no_turn():
    # 7 frames are 0.224 s, less than 0.25 s; 8 are 0.256 s
    assert list(speech_turns(blocks(sound((0, 40), (1, 7), (0, 40))), Scripted())) == []
    assert len(list(speech_turns(blocks(sound((0, 40), (1, 8), (0, 40))), Scripted()))) == 1


def test_a_long_turn_is_cut_where_speech_is_least_likely():
    # 40 s of speech, weak in the five frames around 20 s; the cut lies in the second half of the first 28 s
    frames = 1250
    script = np.full(frames, 0.9, np.float32)
    script[620:625] = 0.55
    turns = list(speech_turns(blocks(np.repeat(script, FRAME)), Scripted()))
    assert len(turns) == 2
    assert turns[0].end_s == pytest.approx(622 * FRAME_S, abs=3 * FRAME_S)
    assert turns[1].start_s == pytest.approx(turns[0].end_s)
    assert all(turn.duration_s <= 28 for turn in turns)


def test_an_unbroken_hour_needs_little_memory_and_no_turn_exceeds_28_seconds():
    finder = TurnFinder(Scripted())
    block = np.full(RATE_HZ * 10, 0.9, np.float32)
    durations = []
    for _ in range(36):
        durations += [turn.duration_s for turn in finder.push(block)]
        assert finder._samples.shape[0] < 40 * RATE_HZ
    assert max(durations) <= 28
    assert sum(durations) > 320


def test_a_jump_of_the_clock_ends_a_turn():
    speech = sound((1, 40))
    turns = list(speech_turns([Block(0.0, speech), Block(5.0, speech)], Scripted()))
    assert [round(turn.start_s, 3) for turn in turns] == [0.0, 5.0]
    assert turns[0].end_s == pytest.approx(40 * FRAME_S)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.4, 0.9]), st.integers(1, 120)), min_size=1, max_size=12),
    st.integers(300, 40000),
)
def test_turns_are_ordered_apart_and_within_the_recording_whatever_the_blocks(stretches, size):
    samples = sound(*stretches)
    turns = list(speech_turns(blocks(samples, size), Scripted()))
    edges = [edge for turn in turns for edge in (turn.start_s, turn.end_s)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= samples.shape[0] / RATE_HZ + 1e-9 for edge in edges)
    for turn in turns:
        begin = round(turn.start_s * RATE_HZ)
        np.testing.assert_array_equal(turn.samples, samples[begin : begin + turn.samples.shape[0]])
        assert turn.samples.shape[0] == round(turn.duration_s * RATE_HZ)
    whole = list(speech_turns(blocks(samples, samples.shape[0]), Scripted()))
    assert [(t.start_s, t.end_s) for t in turns] == [(t.start_s, t.end_s) for t in whole]


def test_silence_and_noise_hold_no_turn(detector, rng):
    assert list(speech_turns(blocks(np.zeros(48000, np.float32)), detector)) == []
    noise = (0.05 * rng.standard_normal(48000)).astype(np.float32)
    assert list(speech_turns(blocks(noise), detector)) == []


def test_shifting_the_sound_shifts_the_turn(detector, sentence):
    silence = np.zeros(2 * RATE_HZ, np.float32)
    first = list(speech_turns(blocks(sentence), detector))
    later = list(speech_turns(blocks(np.concatenate([silence, sentence])), detector))
    assert len(first) == len(later) == 1
    assert later[0].start_s - first[0].start_s == pytest.approx(2.0, abs=2 * FRAME_S)
    assert later[0].end_s - first[0].end_s == pytest.approx(2.0, abs=2 * FRAME_S)


def test_a_read_text_of_seven_stretches_has_seven_turns(detector, reading):
    assert len(list(speech_turns(blocks(reading), detector))) == 7


def test_what_is_not_mono_or_not_finite_is_refused():
    finder = TurnFinder(Scripted())
    with pytest.raises(ShapeError):
        finder.push(np.zeros((2, 100), np.float32))
    with pytest.raises(ValueRangeError):
        finder.push(np.array([0.0, np.nan], np.float32))


def test_rules_that_contradict_themselves_are_refused():
    with pytest.raises(ValueRangeError):
        TurnRules(enter=0.3, leave=0.5)
    with pytest.raises(ValueRangeError):
        TurnRules(padding_s=0.4, min_silence_s=0.5)
