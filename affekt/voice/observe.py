"""The voice in a recording in one pass: turns, acoustics, vocal emotion and words; each turn is encoded once.

`observe_voice` is the entry point. One thread finds, encodes and measures turns; the other, a turn or two behind,
recognises their words. Memory holds these few turns of samples and one row per turn; a recording without speech gives
empty tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from affekt.arrays import Floats32
from affekt.labels import EKMAN
from affekt.tables import arrow_array, empty_table, floats, number_array
from affekt.voice.acoustics import COLUMNS, AcousticFrames, acoustic_frames, acoustic_summary, stacked
from affekt.voice.arousal import acoustic_arousal, arousal_sd
from affekt.voice.emotion import EmotionReading, VocalEmotion
from affekt.voice.encoder import Encoded, WhisperEncoder
from affekt.voice.pitch import HOP
from affekt.voice.speech import SampleBlock, SpeechDetector, Turn, TurnRules, speech_turns
from affekt.workers import made_ahead

STEP_S = 0.1
RATE_HZ = 16000
BLOCK_S = 10.0
AHEAD = 1
"""Maximum number of turns that wait for recognition."""

_AFFECT = ('valence', 'arousal', 'valence_sd', 'arousal_sd', 'quality', 'confidence', 'speech_probability', 'snr_db')

TURNS = pa.schema(
    [
        ('start_s', pa.float64()),
        ('end_s', pa.float64()),
        *[(name, pa.float64()) for name in EKMAN],
        *[(name, pa.float64()) for name in _AFFECT],
        ('abstained', pa.bool_()),
        ('abstains_because', pa.string()),
        ('unfamiliarity', pa.float64()),
        ('is_loud_voice', pa.bool_()),
        *[(f'p_{name}', pa.float64()) for name in EKMAN],
        *[(name, pa.float64()) for name in COLUMNS],
    ]
)
"""The table of turns, each from the start of its speech to the end, without padding.

The seven categories are nan if the head abstains or there is no head; `p_...` holds its output in any case.
`abstains_because`: '', 'unsure' or 'unfamiliar'; `unfamiliarity`: see `EmotionReading`; '' and nan without a head.
`quality` is the detector's mean probability of speech. `is_loud_voice`: found by loud, periodic voicing that the
detector alone does not take for speech (see `loud_voice.py`). `snr_db`: see `level_ratio_db`. Acoustic
columns: see READINGS."""

FRAMES = pa.schema(
    [
        ('time_s', pa.float64()),
        ('loudness_db', pa.float64()),
        ('f0_hz', pa.float64()),
        ('voiced', pa.float64()),
        ('hnr_db', pa.float64()),
    ]
)
"""Ten rows per second of speech: mean RMS level, median pitch (nan where unvoiced), voiced share, mean harmonicity."""


class Sounding(Protocol):
    """Interface of a recording for `observe_voice`."""

    def samples(self, rate_hz: int = ..., block_s: float = ..., stream: int | None = ...) -> Iterator[Any]:
        """Blocks with `start_s` and `samples`."""


class Spoken(Protocol):
    """A recogniser's result for a turn."""

    @property
    def words(self) -> Sequence[Any]:
        """The words in order."""


class Hearing(Protocol):
    """A recogniser: `affekt.text.Recognizer`, or any other."""

    def start(self) -> None:
        """Reset for a new recording."""

    def recognize(self, turn: Turn, encoded: Encoded, language: str | None = None) -> Spoken | None:
        """The words of a turn, or None."""


@dataclass(frozen=True)
class VoiceObservations:
    """Observations of the voice in a recording.

    Attributes:
        turns: table with schema TURNS, in order.
        frames: table with schema FRAMES, in order.
        utterances: the recogniser's results, in order; empty without one.
        heard_s: seconds of audio processed.
    """

    turns: pa.Table
    frames: pa.Table
    utterances: tuple[Any, ...]
    heard_s: float

    @property
    def speech_s(self) -> float:
        """Seconds within turns; 0 if nobody speaks."""
        spans = floats(self.turns['end_s']) - floats(self.turns['start_s'])
        return float(spans.sum())


def observe_voice(
    recording: Sounding | Iterable[SampleBlock],
    *,
    encoder: WhisperEncoder | None = None,
    emotion: VocalEmotion | None = None,
    recognizer: Hearing | None = None,
    language: str | None = None,
    detector: SpeechDetector | None = None,
    rules: TurnRules | None = None,
    stream: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> VoiceObservations:
    """Observe the voice in a recording: turns, acoustics, emotion and words.

    1. Find the turns, in a thread of its own; there 2. encode each once, if the head or the recogniser needs it,
    pool for the head, and measure its acoustics. 3. In the calling thread, recognise the words and the emotion.
    4. After the last turn, build the tables.

    Args:
        recording: with `samples(rate_hz, block_s, stream)`, or an iterable of blocks at 16 kHz.
        encoder: encoder for `emotion` and `recognizer`; loaded if None and one of them is given.
        emotion: emotion head; without it categories and valence are nan and arousal is the acoustic one.
        recognizer: recogniser of words; without it there are no utterances.
        language: language for the recogniser; None to detect it.
        detector: speech detector; loaded if None.
        rules: thresholds of turns; None for the defaults.
        stream: index of the audio stream; None for the default one, or an audible one if that is silent.
        progress: called with the seconds processed so far, after each block, in the detecting thread.

    Returns:
        The tables; empty if nobody speaks.

    Raises:
        WeightsError: a model file is not available.
        MediaError: the recording cannot be decoded.
        ShapeError, ValueRangeError: blocks are not (N,) finite samples.
    """
    if encoder is None and (emotion or recognizer):
        encoder = WhisperEncoder(emotion.encoder if emotion else 'tiny.en')
    if recognizer:
        recognizer.start()
    clock = _Clock(_blocks(recording, stream), progress)
    record = VoiceRecord(encoder, emotion, recognizer, language)
    with closing(made_ahead(map(record.measured, speech_turns(clock, detector, rules)), AHEAD)) as turns_measured:
        for measured in turns_measured:
            record.keep(measured)
    turns, frames, utterances = record.taken()
    return VoiceObservations(turns, frames, utterances, heard_s=clock.heard_s)


@dataclass(frozen=True)
class MeasuredTurn:
    """A turn with all measures that do not depend on its words.

    Attributes:
        turn: the turn, with padding.
        encoded: layers of the encoder; None if nothing needs them.
        features: features for the head; None without one.
        frames: frames of all its samples.
    """

    turn: Turn
    encoded: Encoded | None
    features: Floats32 | None
    frames: AcousticFrames


class VoiceRecord:
    """Rows of the turns of one recording.

    Args:
        encoder: encoder for `emotion` and `recognizer`.
        emotion, recognizer, language: see `observe_voice`.
    """

    def __init__(
        self,
        encoder: WhisperEncoder | None = None,
        emotion: VocalEmotion | None = None,
        recognizer: Hearing | None = None,
        language: str | None = None,
    ) -> None:
        self._encoder, self._emotion = encoder, emotion
        self._recognizer, self._language = recognizer, language
        self._parts = _TurnParts()
        self._last_step_s = -1.0

    def add(self, turn: Turn) -> Spoken | None:
        """Measure, encode and recognise one more turn; returns its words, if a recogniser finds any."""
        return self.keep(self.measured(turn))

    def measured(self, turn: Turn) -> MeasuredTurn:
        """The measures of a turn; may be called from another thread, ahead of `keep`."""
        encoded = self._encoder(turn.samples) if self._encoder and (self._emotion or self._recognizer) else None
        features = self._emotion.features(encoded) if self._emotion and encoded is not None else None
        return MeasuredTurn(turn, encoded, features, acoustic_frames(turn.samples))

    def keep(self, measured: MeasuredTurn) -> Spoken | None:
        """Recognise the words of one more turn and store its rows; returns its words."""
        turn, frames, spoken = measured.turn, measured.frames, None
        if self._recognizer and measured.encoded is not None:
            spoken = self._recognizer.recognize(turn, measured.encoded, self._language)
        words = (len(spoken.words) if spoken else 0) if self._recognizer else None
        if getattr(spoken, 'reason', ''):  # hallucinated words do not tell the speech rate
            words = None
        self._parts.ratios_db.append(level_ratio_db(frames))
        speech, frames, start_s = speech_only(turn, frames)
        summary = acoustic_summary(speech, frames, words)
        if self._emotion and measured.features is not None:
            arousal = float(acoustic_arousal(stacked([summary]))[0])
            speech_s = turn.speech_end_s - turn.speech_start_s
            self._parts.readings.append(self._emotion.read(measured.features, arousal, speech_s))
        self._parts.add(turn, tenths(frames, start_s), summary, spoken)
        return spoken

    def taken(self) -> tuple[pa.Table, pa.Table, tuple[Any, ...]]:
        """Return and drop the turns, frames and utterances since the last call."""
        parts, self._parts = self._parts, _TurnParts()
        frames = _frames_table(parts.steps, self._last_step_s)
        if frames.num_rows:
            self._last_step_s = float(frames['time_s'][-1].as_py())
        return _turns_table(parts), frames, tuple(parts.utterances)


class _Clock:
    """Passes blocks on and counts their seconds."""

    def __init__(self, blocks: Iterable[SampleBlock], progress: Callable[[float], None] | None) -> None:
        self.blocks, self.progress, self.heard_s = blocks, progress, 0.0

    def __iter__(self) -> Iterator[SampleBlock]:
        for block in self.blocks:
            yield block
            self.heard_s += block.samples.shape[0] / RATE_HZ
            if self.progress:
                self.progress(block.start_s + block.samples.shape[0] / RATE_HZ)


class _TurnParts:
    """What is stored of each turn, without its samples."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float, float]] = []
        self.loud: list[bool] = []
        self.ratios_db: list[float] = []
        self.summaries: list[Floats32] = []
        self.readings: list[EmotionReading] = []
        """One per turn; none without a head. Features, 12 kB per turn, are not kept."""
        self.steps: list[dict[str, npt.NDArray[np.float64]]] = []
        self.utterances: list[Spoken] = []

    def add(
        self, turn: Turn, steps: dict[str, npt.NDArray[np.float64]], summary: Floats32, spoken: Spoken | None
    ) -> None:
        """Append a turn."""
        self.spans.append((turn.speech_start_s, turn.speech_end_s, turn.speech_probability))
        self.loud.append(turn.is_loud_voice)
        self.summaries.append(summary)
        self.steps.append(steps)
        if spoken is not None:
            self.utterances.append(spoken)


def speech_only(turn: Turn, frames: AcousticFrames) -> tuple[Floats32, AcousticFrames, float]:
    """A turn without its padding, in whole frames.

    Args:
        turn: the turn, with padding.
        frames: frames of all its samples.

    Returns:
        The samples (M,), their M // 160 frames, and their start in the recording, in seconds; at least one frame.
    """
    first = round(turn.before_s * RATE_HZ) // HOP
    last = max(first + 1, round((turn.duration_s - turn.after_s) * RATE_HZ) // HOP)
    return turn.samples[first * HOP : last * HOP], frames.between(first, last), turn.start_s + first * HOP / RATE_HZ


def level_ratio_db(frames: AcousticFrames) -> float:
    """Level of the loud frames of a turn over the quiet ones, padding included: 95th minus 5th percentile.

    Args:
        frames: frames of all samples of a turn.

    Returns:
        dB in [0, 60]; nan without frames. 35 or more for speech without noise; 16 at a signal-to-noise ratio of 10 dB.
    """
    if not frames.loudness_db.size:
        return float('nan')
    quiet, loud = np.percentile(frames.loudness_db, [5, 95])
    return float(min(loud - quiet, 60.0))


def tenths(frames: AcousticFrames, start_s: float) -> dict[str, npt.NDArray[np.float64]]:
    """A turn's frames aggregated into steps of 0.1 s on the recording's clock.

    Args:
        frames: frames of one turn.
        start_s: start of the turn in seconds.

    Returns:
        The columns of FRAMES; `time_s` is the middle of each step.
    """
    step = np.floor((frames.time_s.astype(np.float64) + start_s) / STEP_S + 1e-6).astype(np.int64)
    if step.size == 0:
        return {name: np.zeros(0) for name in FRAMES.names}
    begins = np.flatnonzero(np.diff(step, prepend=step[0] - 1))
    groups = np.split(np.arange(step.size), begins[1:])
    voiced = frames.voiced
    pitch = [np.median(frames.f0_hz[g][voiced[g]]) if voiced[g].any() else np.nan for g in groups]
    harmonic = [frames.hnr_db[g][voiced[g]].mean() if voiced[g].any() else np.nan for g in groups]
    return {
        'time_s': np.asarray((step[begins] + 0.5) * STEP_S, np.float64),
        'loudness_db': np.array([frames.loudness_db[g].mean() for g in groups], np.float64),
        'f0_hz': np.array(pitch, np.float64),
        'voiced': np.array([voiced[g].mean() for g in groups], np.float64),
        'hnr_db': np.array(harmonic, np.float64),
    }


def _blocks(recording: Sounding | Iterable[SampleBlock], stream: int | None) -> Iterable[SampleBlock]:
    """The blocks of a recording at 16 kHz, or the given ones."""
    if hasattr(recording, 'samples'):
        blocks: Iterator[SampleBlock] = recording.samples(rate_hz=RATE_HZ, block_s=BLOCK_S, stream=stream)
        return blocks
    return recording


def _turns_table(parts: _TurnParts) -> pa.Table:
    """The table with schema TURNS, one row per turn."""
    count = len(parts.spans)
    if count == 0:
        return empty_table(TURNS)
    summaries = stacked(parts.summaries)
    arousal = acoustic_arousal(summaries)
    spans = np.array(parts.spans)
    columns: dict[str, Any] = {name: np.full(count, np.nan) for name in TURNS.names}
    columns |= {'start_s': spans[:, 0], 'end_s': spans[:, 1], 'speech_probability': spans[:, 2], 'quality': spans[:, 2]}
    columns |= {name: summaries[:, column].astype(np.float64) for column, name in enumerate(COLUMNS)}
    columns['arousal'], columns['snr_db'] = arousal.astype(np.float64), np.array(parts.ratios_db)
    columns['arousal_sd'] = np.where(
        np.isfinite(arousal), arousal_sd(spans[:, 1] - spans[:, 0], columns['snr_db']), np.nan
    )
    columns['abstains_because'] = np.full(count, '', object)
    columns['abstained'], columns['is_loud_voice'] = np.ones(count, bool), np.array(parts.loud)
    for row, reading in enumerate(parts.readings):
        _fill(columns, row, reading)
    return pa.table({field.name: arrow_array(columns[field.name], field.type) for field in TURNS}, schema=TURNS)


def _fill(columns: dict[str, Any], row: int, reading: EmotionReading) -> None:
    """Write one turn's reading into the columns."""
    columns['confidence'][row] = reading.confidence
    columns['abstained'][row] = reading.abstains
    columns['abstains_because'][row], columns['unfamiliarity'][row] = reading.abstains_because, reading.unfamiliarity
    columns['arousal'][row] = reading.arousal
    for name, probability in zip(EKMAN, reading.categories, strict=True):
        columns[f'p_{name}'][row] = probability
        if not reading.abstains:
            columns[name][row] = probability
    if not reading.abstains:
        columns['valence'][row] = reading.valence
    columns['valence_sd'][row] = reading.valence_sd
    # weighted like the two arousals, and summed linearly, since their errors may be correlated
    acoustic_sd = columns['arousal_sd'][row]
    columns['arousal_sd'][row] = (
        (reading.certainty * reading.arousal_sd + acoustic_sd) / (reading.certainty + 1)
        if np.isfinite(acoustic_sd) else reading.arousal_sd
    )  # fmt: skip


def _frames_table(steps: list[dict[str, npt.NDArray[np.float64]]], after_s: float) -> pa.Table:
    """The table with schema FRAMES of all steps after a time; a step that two turns share is that of the first."""
    if not steps:
        return empty_table(FRAMES)
    columns = {name: np.concatenate([turn_steps[name] for turn_steps in steps]) for name in FRAMES.names}
    is_new = np.diff(columns['time_s'], prepend=after_s) > STEP_S / 2
    return pa.table({name: number_array(values[is_new]) for name, values in columns.items()}, schema=FRAMES)
