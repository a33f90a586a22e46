"""One walk over a recording: tables, clock, and what happens where nobody speaks."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import pytest
from sounds import Block, blocks

from affekt.labels import EKMAN
from affekt.voice import COLUMNS, FRAMES, TURNS, VocalEmotion, acoustic_frames, observe_voice, speech_turns
from affekt.voice.observe import tenths


@dataclass(frozen=True)
class Said:
    words: tuple[str, ...]


class Parrot:
    """Hears two words in every turn but the first."""

    def __init__(self) -> None:
        self.turns: list[float] = []

    def start(self) -> None:
        self.turns = []

    def recognize(self, turn, encoded, language=None):
        self.turns.append(turn.start_s)
        assert encoded.speech_frames == -(-turn.samples.shape[0] // 320)
        return Said(('a', 'b')) if len(self.turns) > 1 else None


def test_a_sentence_gives_a_turn_with_all_columns(detector, encoder, sentence):
    seen: list[float] = []
    found = observe_voice(
        blocks(sentence), encoder=encoder, emotion=VocalEmotion('tiny.en'), detector=detector, progress=seen.append
    )
    assert found.turns.schema == TURNS
    assert found.frames.schema == FRAMES
    (row,) = found.turns.to_pylist()
    assert 0.7 < row['start_s'] < 1.2 < 2.2 < row['end_s'] < 3.3
    assert sum(row[f'p_{name}'] for name in EKMAN) == pytest.approx(1, abs=1e-5)
    assert 80 < row['f0_mean_hz'] < 180
    assert -1 <= row['arousal'] <= 1
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(len(sentence) / 16000)
    assert found.heard_s == pytest.approx(len(sentence) / 16000)
    assert found.speech_s == pytest.approx(row['end_s'] - row['start_s'])


def test_padding_is_nobodys_speech(detector, sentence):
    # two sentences with two seconds of silence between: what is left out of the turns is the pause
    twice = np.concatenate([sentence, np.zeros(32000, np.float32), sentence])
    found = observe_voice(blocks(twice), detector=detector)
    turns = list(speech_turns(blocks(twice), detector))
    rows = found.turns.to_pylist()
    assert [row['start_s'] for row in rows] == [turn.start_s + turn.before_s for turn in turns]
    assert [row['end_s'] for row in rows] == [turn.end_s - turn.after_s for turn in turns]
    assert all(0.1 < turn.before_s <= 0.2 and 0.1 < turn.after_s <= 0.2 for turn in turns)
    assert found.speech_s == pytest.approx(sum(turn.duration_s - 0.4 for turn in turns), abs=0.1)


def test_frames_come_ten_times_a_second_within_the_turns(detector, sentence):
    found = observe_voice(blocks(sentence), detector=detector)
    times = found.frames['time_s'].to_numpy()
    np.testing.assert_allclose(np.diff(times), 0.1, atol=1e-9)
    (row,) = found.turns.to_pylist()
    assert row['start_s'] - 0.1 < times[0] <= times[-1] < row['end_s'] + 0.1
    pitch = found.frames['f0_hz'].to_numpy()
    assert 90 < np.nanmedian(pitch) < 150


def test_without_a_head_there_are_acoustics_and_arousal_but_no_categories(detector, sentence):
    (row,) = observe_voice(blocks(sentence), detector=detector).turns.to_pylist()
    assert row['abstained']
    assert all(np.isnan(row[name]) for name in (*EKMAN, 'valence', 'confidence'))
    assert np.isfinite(row['arousal'])
    assert np.isfinite(row['loudness_lufs'])


def test_each_turn_is_encoded_once_and_its_words_are_counted(detector, encoder, reading):
    parrot = Parrot()
    found = observe_voice(blocks(reading[: 16 * 16000]), encoder=encoder, recognizer=parrot, detector=detector)
    assert found.turns.num_rows == len(parrot.turns) == 3
    assert found.utterances == (Said(('a', 'b')),) * 2
    rows = found.turns.to_pylist()
    assert rows[0]['words_per_s'] == 0
    assert rows[1]['words_per_s'] == pytest.approx(2 / (rows[1]['end_s'] - rows[1]['start_s']), rel=0.02)


def test_words_that_cannot_be_read_end_the_thread_that_hears_ahead(detector, encoder, reading):
    class Broken(Parrot):
        def recognize(self, turn, encoded, language=None):
            raise RuntimeError('no words')

    with pytest.raises(RuntimeError, match='no words'):
        observe_voice(blocks(reading[: 8 * 16000]), encoder=encoder, recognizer=Broken(), detector=detector)
    assert 'affekt-ahead' not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize(
    'samples', [np.zeros(0), np.zeros(100), np.zeros(48000), np.ones(48000), np.full(48000, 1e-30)]
)
def test_where_nobody_speaks_the_tables_are_empty(detector, samples):
    found = observe_voice(blocks(samples.astype(np.float32)), detector=detector)
    assert found.turns.num_rows == found.frames.num_rows == 0
    assert found.speech_s == 0
    assert found.turns.schema == TURNS


def test_clipped_speech_is_still_measured(detector, encoder, sentence):
    clipped = np.clip(sentence * 200, -1, 1).astype(np.float32)
    found = observe_voice(blocks(clipped), encoder=encoder, emotion=VocalEmotion('tiny.en'), detector=detector)
    assert found.turns.num_rows >= 1
    numbers = np.array([[row[name] for name in COLUMNS[:-1]] for row in found.turns.to_pylist()])
    assert np.isfinite(numbers).all()


def test_a_recording_is_asked_for_its_stream():
    asked = []

    class Recording:
        def samples(self, rate_hz, block_s, stream):
            asked.append((rate_hz, block_s, stream))
            return iter([Block(0.0, np.zeros(1600, np.float32))])

    observe_voice(Recording(), stream=1, detector=Silent())
    assert asked == [(16000, 10.0, 1)]


class Silent:
    def reset(self) -> None:
        pass

    def __call__(self, frame: np.ndarray) -> float:
        return 0.0


def test_tenths_follow_the_clock_of_the_recording():
    # a turn from 1.05 s on: its first half step belongs to 1.0..1.1, whose middle is 1.05
    steps = tenths(acoustic_frames(np.zeros(4000, np.float32)), 1.05)
    np.testing.assert_allclose(steps['time_s'], [1.05, 1.15, 1.25])
    assert np.isnan(steps['f0_hz']).all()
