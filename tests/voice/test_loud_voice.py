"""Shouts that the speech detector does not know, and sounds that nobody makes with a voice."""

from __future__ import annotations

import numpy as np
import pytest
from sounds import blocks, read_sound

from affekt.voice import LoudVoice, TurnFinder, observe_voice, speech_turns
from affekt.voice.loud_voice import lengthened

RATE_HZ = 16000


def clock(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * RATE_HZ)) / RATE_HZ


def buzz(f0_hz: np.ndarray, harmonics: int = 8) -> np.ndarray:
    """A source with falling harmonics whose pitch follows `f0_hz`."""
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE_HZ
    return sum(np.sin(k * phase) / k for k in range(1, harmonics + 1))


def steady(frequency_hz: float, seconds: float = 3.0, harmonics: int = 8) -> np.ndarray:
    return buzz(np.full(round(seconds * RATE_HZ), frequency_hz), harmonics)


def melody(seed: int, *, vibrato: float = 0.0, decay: float = 2.0, base_hz: float = 330.0) -> np.ndarray:
    """Sixteen notes of an instrument."""
    rng = np.random.default_rng(seed)
    notes = []
    for _ in range(16):
        time = clock(rng.uniform(0.15, 0.4))
        pitch = base_hz * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 11, 12]) / 12)
        wave = buzz(pitch * (1 + vibrato * np.sin(2 * np.pi * 5.5 * time)), int(7500 // pitch))
        notes.append(wave * np.minimum(1, time / 0.01) * np.exp(-decay * time))
    return np.concatenate(notes)


def sweep(low_hz: float, high_hz: float, per_second: float, *, is_sudden: bool, harmonics: int = 6) -> np.ndarray:
    """A siren."""
    time = clock(5)
    course = (per_second * time) % 1 if is_sudden else 0.5 - 0.5 * np.cos(2 * np.pi * per_second * time)
    return buzz(low_hz + (high_hz - low_hz) * course, harmonics)


def applause() -> np.ndarray:
    rng = np.random.default_rng(2)
    sound = np.zeros(5 * RATE_HZ)
    for begin in rng.integers(0, sound.size - 800, 700):
        sound[begin : begin + 800] += rng.standard_normal(800) * np.exp(-np.arange(800) / 120)
    return sound


NOBODY = {
    'a sine of 440 Hz': lambda: np.sin(2 * np.pi * 440 * clock(3)),
    'a sine of 1000 Hz': lambda: np.sin(2 * np.pi * 1000 * clock(3)),
    'a bright tone of 600 Hz': lambda: steady(600, harmonics=12),
    'a tone of 600 Hz switched four times a second': lambda: steady(600) * (np.sin(2 * np.pi * 4 * clock(3)) > 0),
    'a tone of 500 Hz that swells four times a second': lambda: steady(500) * (1 + np.sin(2 * np.pi * 4 * clock(3))),
    'a chord': lambda: sum(steady(f) for f in (330, 415, 494, 660)),
    'a plucked melody': lambda: melody(1, decay=5.0),
    'a bowed melody': lambda: melody(2, vibrato=0.012, decay=0.3, base_hz=440),
    'a flute': lambda: melody(3, vibrato=0.006, decay=0.3, base_hz=587),
    'a slow siren': lambda: sweep(400, 1000, 0.25, is_sudden=False),
    'a yelping siren': lambda: sweep(500, 900, 4, is_sudden=True),
    'a two-tone horn': lambda: buzz(np.where(clock(4) % 1 < 0.5, 500.0, 660.0)),
    'hum': lambda: steady(50),
    'white noise': lambda: np.random.default_rng(0).standard_normal(3 * RATE_HZ),
    'applause': applause,
}


@pytest.fixture(scope='module')
def shouts(shared_data):
    """Strong anger and fear of three women, of which the detector alone makes no turn."""
    names = ('06/03-01-05-02-01-01-06', '06/03-01-06-02-02-02-06', '18/03-01-05-02-02-01-18')
    return [read_sound(shared_data / 'ravdess_speech' / f'Actor_{name}.flac') for name in names]


def test_a_shout_that_the_detector_misses_is_a_turn(detector, shouts):
    for sound in shouts:
        assert list(speech_turns(blocks(sound), detector, hears_shouts=False)) == []
        (turn,) = speech_turns(blocks(sound), detector)
        assert turn.is_loud_voice
        assert turn.speech_end_s - turn.speech_start_s > 1.5


def test_a_shout_is_heard_whatever_the_blocks(detector, shouts):
    whole, pieces = (
        [(turn.start_s, turn.end_s) for turn in speech_turns(blocks(shouts[0], size), detector)]
        for size in (60000, 4999)
    )
    assert whole == pieces != []


def test_a_shout_is_heard_however_quiet_the_recording(detector, shouts):
    # 26 dB less: the detector's own scores change with the level, those of the second witness do not
    (loud,) = speech_turns(blocks(shouts[2]), detector)
    (quiet,) = speech_turns(blocks(shouts[2] * np.float32(0.05)), detector)
    assert (quiet.start_s, quiet.end_s, quiet.is_loud_voice) == (loud.start_s, loud.end_s, True)


def test_a_shout_is_measured_and_named_as_such(detector, shouts):
    (row,) = observe_voice(blocks(shouts[0]), detector=detector).turns.to_pylist()
    assert row['is_loud_voice']
    assert 500 < row['f0_mean_hz'] < 700


@pytest.mark.parametrize('name', NOBODY)
def test_nobody_is_heard_in(name, detector):
    sound = NOBODY[name]()
    padded = np.concatenate([np.zeros(8000), sound / np.abs(sound).max() * 0.8, np.zeros(8000)]).astype(np.float32)
    assert not any(turn.is_loud_voice for turn in speech_turns(blocks(padded), detector))


def test_nobody_speaks_in_the_music_behind_a_video(detector, shared_data):
    music = read_sound(shared_data / 'clips' / 'driving_d14.mp4')
    assert list(speech_turns(blocks(music), detector)) == []


@pytest.mark.parametrize('spoilt', ['noise', 'reverberation', 'clipping'])
def test_a_shout_is_heard_in_a_bad_recording(spoilt, detector, shouts):
    rng = np.random.default_rng(0)
    sound = shouts[2].astype(np.float64)
    if spoilt == 'noise':  # 10 dB below the shout
        sound = sound + rng.standard_normal(sound.shape) * np.sqrt(np.mean(sound[16000:-8000] ** 2) / 10)
    elif spoilt == 'reverberation':
        room = rng.standard_normal(8000) * np.exp(-np.arange(8000) / 1800)
        sound = np.convolve(sound, np.concatenate([[8.0], room]))[: sound.size] / 20
    else:
        sound = np.clip(6 * sound, -1, 1)
    turns = list(speech_turns(blocks(sound.astype(np.float32)), detector))
    assert sum(turn.duration_s for turn in turns) > 1


def test_a_siren_that_the_detector_takes_for_speech_is_no_turn(detector):
    siren = (0.4 * sweep(200, 700, 2, is_sudden=False, harmonics=10)).astype(np.float32)
    assert list(speech_turns(blocks(siren), detector, hears_shouts=False)) != []
    assert list(speech_turns(blocks(siren), detector)) == []


def test_a_voice_whose_level_moves_is_never_taken_for_a_machine():
    time = clock(2.048)
    heard = np.ones(64, np.float32)
    witness = LoudVoice(Deaf())
    tone = (0.2 * steady(300, 2.048)).astype(np.float32)
    # two decibels up and down, as a held vowel has: its standard deviation is 1.4 dB
    vowel = (tone * 10 ** (2 * np.sin(2 * np.pi * 3 * time) / 20)).astype(np.float32)
    noise = (0.2 * np.random.default_rng(1).standard_normal(time.shape)).astype(np.float32)
    assert [float(witness.judged(sound, heard, 0.5).mean()) for sound in (tone, vowel, noise)] == [0.0, 1.0, 1.0]


def test_calm_speech_needs_no_second_witness(detector, sentence):
    with_it, without = (list(speech_turns(blocks(sentence), detector, hears_shouts=use)) for use in (True, False))
    assert [(turn.start_s, turn.end_s, turn.is_loud_voice) for turn in with_it] == [
        (turn.start_s, turn.end_s, False) for turn in without
    ]


def test_hearing_something_apart_leaves_the_detector_as_it_was(detector, sentence):
    frames = sentence[: 60 * 512].reshape(-1, 512)
    detector.reset()
    uninterrupted = [detector(frame) for frame in frames]
    detector.reset()
    before = [detector(frame) for frame in frames[:40]]
    detector.apart(sentence)
    assert before + [detector(frame) for frame in frames[40:]] == uninterrupted


class Deaf:
    """Hears no speech at the recording's own pace and always some at a slower one."""

    def reset(self) -> None:
        pass

    def __call__(self, frame: np.ndarray) -> float:
        return 0.0

    def apart(self, samples: np.ndarray) -> np.ndarray:
        return np.ones(samples.shape[0] // 512, np.float32)


def test_an_hour_of_loud_sound_keeps_five_seconds_of_it_in_memory():
    finder = TurnFinder(Deaf(), witness=LoudVoice(Deaf()))
    block = (0.1 * np.random.default_rng(1).standard_normal(10 * RATE_HZ)).astype(np.float32)
    for _ in range(6):
        assert finder.push(block) == []
        assert finder._samples.shape[0] < 5 * RATE_HZ


def test_only_what_is_periodic_and_varies_in_level_is_raised():
    rng = np.random.default_rng(4)
    time = clock(2.048)
    voice = steady(400, 2.048) * (1 - 0.9 * np.cos(2 * np.pi * 3 * time)) + 0.3 * rng.standard_normal(time.shape)
    level = steady(400, 2.048) + 0.3 * rng.standard_normal(time.shape)
    noise = rng.standard_normal(time.shape)
    unheard = np.zeros(64, np.float32)
    witness = LoudVoice(Deaf())
    raised = [witness.raised((0.2 * sound).astype(np.float32), unheard, 0.5) for sound in (voice, level, noise)]
    assert [float((scores >= 0.5).mean()) > 0.5 for scores in raised] == [True, False, False]


@pytest.mark.parametrize(('longer', 'than'), [(7, 4), (2, 1), (3, 1), (3, 2), (1, 3)])
@pytest.mark.parametrize('count', [1, 5, 511, 4799])
def test_samples_are_lengthened_as_scipy_does(longer, than, count):
    from scipy.signal import resample_poly

    samples = np.random.default_rng(count).standard_normal(count).astype(np.float32)
    ours, theirs = lengthened(samples, longer, than), resample_poly(samples, longer, than)
    assert ours.dtype == np.float32
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 2e-6
