"""Sound that comes while it happens: the same rows as of a recording, and what is known at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sounds import blocks

from affekt.labels import EKMAN
from affekt.voice import COLUMNS, VocalEmotion, VoiceStream, observe_voice
from affekt.voice.stream import level_db

TENTH = 1600


def _heard(stream: VoiceStream, samples: np.ndarray) -> list:
    return [stream.hear(block.start_s, block.samples) for block in blocks(samples, TENTH)]


def test_rows_of_a_stream_are_those_of_a_recording(detector, encoder, sentence):
    twice = np.concatenate([sentence, np.zeros(16000, np.float32), sentence])
    emotion = VocalEmotion('tiny.en')
    whole = observe_voice(blocks(twice), encoder=encoder, emotion=emotion, detector=detector)
    stream = VoiceStream(detector, encoder=encoder, emotion=emotion)
    parts = []
    for now in _heard(stream, twice):
        for turn in now.turns:
            stream.add(turn)
            parts.append(stream.taken())
    for turn in stream.finish():
        stream.add(turn)
        parts.append(stream.taken())
    turns, frames = (pa.concat_tables(tables) for tables in zip(*parts, strict=True))
    assert turns.num_rows == whole.turns.num_rows == 2
    for name in ('start_s', 'end_s', 'valence', 'arousal', *[f'p_{name}' for name in EKMAN], *COLUMNS):
        np.testing.assert_allclose(turns[name].to_numpy(), whole.turns[name].to_numpy(), atol=1e-9, err_msg=name)
    for name in frames.column_names:
        np.testing.assert_allclose(frames[name].to_numpy(), whole.frames[name].to_numpy(), atol=1e-9, err_msg=name)
    assert stream.heard_s == pytest.approx(len(twice) / 16000)


def test_speech_is_told_within_a_third_of_a_second_and_its_end_within_half_a_second(detector, sentence):
    now = _heard(VoiceStream(detector), np.concatenate([sentence, np.zeros(16000, np.float32)]))
    (row,) = observe_voice(blocks(sentence), detector=detector).turns.to_pylist()
    speaks = [each.time_s for each in now if each.is_speech]
    assert row['start_s'] < speaks[0] < row['start_s'] + 0.3
    assert row['end_s'] < speaks[-1] < row['end_s'] + 0.5
    assert all(np.diff(speaks) < 0.3)


def test_a_turn_under_way_is_read_every_half_second_from_its_last_seconds(detector, encoder, sentence):
    stream = VoiceStream(detector, encoder=encoder, emotion=VocalEmotion('tiny.en'), window_s=1.2, every_s=0.5)
    due = [each for each in _heard(stream, sentence) if each.turn_so_far is not None]
    assert len(due) >= 1
    assert all(abs(step - 0.5) < 0.11 for step in np.diff([each.time_s for each in due]))
    assert all(16000 <= len(each.turn_so_far) <= 19200 for each in due)
    assert stream.read(due[0].turn_so_far).categories.sum() == pytest.approx(1.0, abs=1e-5)


def test_a_short_pause_goes_on_with_the_same_voice_and_a_long_one_does_not(detector, encoder, sentence):
    said, pause, silence = sentence[16000:40000], np.zeros(8000, np.float32), np.zeros(24000, np.float32)
    stream = VoiceStream(detector, encoder=encoder, emotion=VocalEmotion('tiny.en'), window_s=4.0)
    now = _heard(stream, np.concatenate([said, pause, said, silence, said]))
    lengths = {each.voice: len(each.turn_so_far) for each in now if each.turn_so_far is not None}
    assert list(lengths) == [1, 2]
    assert lengths[1] > len(said) + len(pause) > lengths[2]
    assert {each.voice for each in now if each.is_speech} == {1, 2}


def test_without_a_head_nothing_is_read(detector, sentence):
    stream = VoiceStream(detector)
    assert all(each.turn_so_far is None for each in _heard(stream, sentence))
    assert stream.read(sentence) is None


def test_a_gap_ends_a_turn(detector, sentence):
    stream = VoiceStream(detector)
    _heard(stream, sentence[: round(1.8 * 16000)])  # in the middle of the sentence
    after = stream.hear(20.0, np.zeros(TENTH, np.float32))
    assert len(after.turns) == 1
    assert after.turns[0].end_s <= 1.8 + 1e-6
    assert (after.is_speech, after.time_s) == (False, pytest.approx(20.1))


def test_the_level_is_that_of_full_scale():
    # a sine of amplitude 1 has the power 1/2: -3.01 dB
    times = np.arange(1600) / 16000
    assert level_db(np.sin(2 * np.pi * 100 * times).astype(np.float32)) == pytest.approx(-3.01, abs=0.01)
    assert level_db(np.zeros(10, np.float32)) == level_db(np.zeros(0, np.float32)) == -120.0
