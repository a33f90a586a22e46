"""Speech detection: Silero's detector on a stream of samples, and the turns derived from its probabilities.

A second detector (`loud_voice.py`) finds shouts that Silero misses, and rejects sirens.

The input is blocks of 16 kHz samples, the output `Turn`s in order, not overlapping, each at most 28 s: the limit of
Whisper's encoder. Memory holds one turn at a time. Read `TurnFinder.push` first. Axes: N samples, K detector frames of
32 ms.

Source of the detector: Silero VAD 6.2 (MIT), an ONNX file that takes 64 samples of context, 512 new ones and a state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from affekt.arrays import Floats32
from affekt.errors import ShapeError, ValueRangeError
from affekt.voice.loud_voice import LoudVoice

RATE_HZ = 16000
FRAME = 512
CONTEXT = 64
FRAME_S = FRAME / RATE_HZ

_WINDOW = 64  # frames that are checked for loud voices at once
_BEHIND, _AHEAD = 32, 16  # frames of context before and after them


class SampleBlock(Protocol):
    """A block of `Recording.samples`: samples (N,) at 16 kHz and the time of the first."""

    @property
    def start_s(self) -> float:
        """Seconds from the recording's start."""

    @property
    def samples(self) -> Floats32:
        """(N,) mono in [-1, 1]."""


@dataclass(frozen=True)
class TurnRules:
    """Thresholds by which frames of speech become turns.

    Attributes:
        enter: a turn starts when the probability of speech reaches this, in (0, 1].
        leave: it can end when the probability falls below this, in [0, enter].
        min_speech_s: minimum duration of speech in seconds; shorter turns are dropped.
        min_silence_s: shortest pause that ends a turn, in seconds.
        padding_s: time kept before and after a turn, in seconds, at most half of `min_silence_s`.
        max_turn_s: longest turn in seconds; a longer one is cut at its least probable speech in the second half.
    """

    enter: float = 0.5
    leave: float = 0.35
    min_speech_s: float = 0.25
    min_silence_s: float = 0.5
    padding_s: float = 0.2
    max_turn_s: float = 28.0

    def __post_init__(self) -> None:
        is_valid = 0 < self.enter <= 1 and 0 <= self.leave <= self.enter and self.min_speech_s >= 0
        is_valid = is_valid and 0 <= self.padding_s <= self.min_silence_s / 2 and 2 <= self.max_turn_s <= 28
        if not is_valid:
            raise ValueRangeError(
                expected='0 <= leave <= enter <= 1, padding at most half the silence, turns of 2 to 28 s',
                came=f'{self}',
                todo='change the rules',
            )


@dataclass(frozen=True)
class Turn:
    """A segment of speech with padding.

    Attributes:
        start_s: start in seconds of the recording, padding included.
        end_s: end in seconds, later than `start_s` by exactly the length of the samples.
        samples: (N,) float32 mono at 16 kHz.
        speech_probability: mean probability by the detector over the speech, in [0, 1].
        before_s: padding before the speech in seconds, part of the turn.
        after_s: padding after the speech in seconds.
        is_loud_voice: whether most of it is loud voicing that the detector alone does not take for speech.
    """

    start_s: float
    end_s: float
    samples: Floats32 = field(repr=False)
    speech_probability: float
    before_s: float = 0.0
    after_s: float = 0.0
    is_loud_voice: bool = False

    @property
    def duration_s(self) -> float:
        """Seconds from start to end, padding included."""
        return self.end_s - self.start_s

    @property
    def speech_start_s(self) -> float:
        """Start of the speech, in seconds from the start of the recording."""
        return self.start_s + self.before_s

    @property
    def speech_end_s(self) -> float:
        """End of the speech, in seconds from the start of the recording."""
        return self.end_s - self.after_s


class SpeechDetector:
    """Silero's probability of speech, frame by frame; it keeps its state until `reset`."""

    def __init__(self, path: Path | None = None, *, threads: int = 1) -> None:
        """Load the ONNX file.

        Args:
            path: path of the file; None for that of `affekt.weights`, downloaded and verified.
            threads: number of threads of the runtime, >= 1.

        Raises:
            WeightsError: the file is missing or not the expected one.
        """
        import onnxruntime

        if path is None:
            from affekt.weights import model_path

            path = model_path('silero_vad.onnx')
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
        self.reset()

    def reset(self) -> None:
        """Reset the state of the detector."""
        self._state: Any = np.zeros((2, 1, 128), np.float32)
        self._input = np.zeros((1, CONTEXT + FRAME), np.float32)

    def __call__(self, frame: Floats32) -> float:
        """The probability that a frame contains speech.

        Args:
            frame: (512,) next 32 ms at 16 kHz.

        Returns:
            A probability in [0, 1].

        Raises:
            ShapeError: the frame is not (512,).
        """
        if frame.shape != (FRAME,):
            raise ShapeError(expected='a frame (512,)', came=f'{frame.shape}', todo='push blocks to a TurnFinder')
        self._input[0, :CONTEXT] = self._input[0, -CONTEXT:]
        self._input[0, CONTEXT:] = frame
        feeds = {'input': self._input, 'state': self._state, 'sr': np.asarray(RATE_HZ, np.int64)}
        probability, self._state = self._session.run(None, feeds)
        return float(probability[0, 0])

    def apart(self, samples: Floats32) -> Floats32:
        """The probabilities for separate audio; the state of the detector is kept.

        Args:
            samples: (N,) samples at 16 kHz.

        Returns:
            (K,) with K = N // 512.
        """
        saved = self._state, self._input.copy()
        self.reset()
        frames = samples[: samples.shape[0] // FRAME * FRAME].reshape(-1, FRAME)
        probabilities = np.array([self(frame) for frame in frames], np.float32)
        self._state, self._input = saved
        return probabilities


class TurnFinder:
    """Finds turns in a stream: push blocks, then finish.

    `heard` has the detector's (K,) probabilities of the last push or finish, for plots. With a witness for loud voices,
    frames wait until two seconds can be judged together, so that turns are returned that much later.
    """

    def __init__(
        self,
        detector: SpeechDetector,
        rules: TurnRules | None = None,
        start_s: float = 0.0,
        witness: LoudVoice | None = None,
    ) -> None:
        """Start at a time of the recording.

        Args:
            detector: speech detector; it is reset here.
            rules: thresholds; by default `TurnRules()`.
            start_s: time of the first sample to be pushed, in seconds.
            witness: finds loud voices that the detector misses; None for no such check.
        """
        self.rules = rules or TurnRules()
        self.detector, self.witness = detector, witness
        self.heard: Floats32 = np.zeros(0, np.float32)
        self._begin(start_s)

    def _begin(self, start_s: float) -> None:
        """Clear the stream and set the clock."""
        self.detector.reset()
        self.start_s = start_s
        self._samples: Floats32 = np.zeros(0, np.float32)  # from sample _offset on
        self._scores: list[float] = []  # of the frames from _offset on that are already part of turns
        self._alone: list[float] = []  # the detector's own, of all frames from _offset on
        self._offset = 0  # whole frames dropped, counted in samples
        self._count = 0  # samples pushed
        self._first = -1  # frame where the open turn starts, or -1
        self._quiet = -1  # first frame of the current silence, or -1
        self._taken = 0  # samples up to which turns were returned

    @property
    def clock_s(self) -> float:
        """Time after the last pushed sample, in seconds."""
        return self.start_s + self._count / RATE_HZ

    def push(self, samples: Floats32) -> list[Turn]:
        """Add samples; return the turns that have ended.

        1. Append; 2. score each complete frame; 3. open, close or cut turns; 4. drop samples that no turn needs.

        Args:
            samples: (N,) next mono samples at 16 kHz.

        Returns:
            Turns in order; often none.

        Raises:
            ShapeError: the samples are not (N,).
            ValueRangeError: a sample is not a finite number.
        """
        _require_samples(samples)
        self._samples = np.concatenate([self._samples, samples.astype(np.float32, copy=False)])
        self._count += samples.shape[0]
        heard = []
        while (len(self._alone) + 1) * FRAME <= self._samples.shape[0]:
            begin = len(self._alone) * FRAME
            heard.append(self.detector(self._samples[begin : begin + FRAME]))
            self._alone.append(heard[-1])
        self.heard = np.asarray(heard, np.float32)
        turns: list[Turn] = []
        while len(self._alone) - len(self._scores) >= (_WINDOW + _AHEAD if self.witness else 1):
            turns.extend(self._judge(_WINDOW if self.witness else 1))
        self._forget()
        return turns

    def finish(self) -> list[Turn]:
        """Return the turns that the end of the recording closes; the finder can then be used again."""
        heard = []
        remaining = self._samples[len(self._alone) * FRAME :]
        if remaining.size:
            heard.append(self.detector(np.pad(remaining, (0, FRAME - remaining.shape[0]))))
            self._alone.append(heard[-1])
        turns: list[Turn] = []
        while len(self._alone) > len(self._scores):
            turns.extend(self._judge(_WINDOW))
            self._forget()
        if self._first >= 0:
            last = self._quiet if self._quiet >= 0 else self._frame
            turns.extend(self._close(last * FRAME))
        self.heard = np.asarray(heard, np.float32)
        self._begin(self.clock_s)
        return turns

    def _judge(self, most: int) -> list[Turn]:
        """Process at most `most` of the next frames; a witness checks them with the frames around them."""
        scored = len(self._scores)
        count = min(most, len(self._alone) - scored)
        scores = np.asarray(self._alone[scored : scored + count])
        if self.witness:
            begin, end = max(0, scored - _BEHIND), min(scored + count + _AHEAD, len(self._alone))
            context = self._samples[begin * FRAME : end * FRAME]
            context = np.pad(context, (0, (end - begin) * FRAME - context.shape[0]))
            alone = np.asarray(self._alone[begin:end], np.float32)
            corrected = self.witness.judged(context, alone, self.rules.enter)
            scores = corrected[scored - begin : scored - begin + count]
        return [turn for score in scores for turn in self._step(float(score))]

    def restart(self, start_s: float) -> list[Turn]:
        """End the stream and set the clock to a later time, after a gap in the recording."""
        turns = self.finish()
        self._begin(start_s)
        return turns

    @property
    def _frame(self) -> int:
        """Number of frames scored since the start."""
        return self._offset // FRAME + len(self._scores)

    def _step(self, score: float) -> list[Turn]:
        """Process the score of one frame; returns the turns that it ends."""
        rules = self.rules
        frame = self._frame
        self._scores.append(score)
        if self._first < 0:
            if score >= rules.enter:
                self._first, self._quiet = frame, -1
            return []
        if score >= rules.enter:
            self._quiet = -1
        elif score < rules.leave and self._quiet < 0:
            self._quiet = frame
        if self._quiet >= 0 and (frame + 1 - self._quiet) * FRAME_S >= rules.min_silence_s:
            return self._close(self._quiet * FRAME)
        if (frame + 2 - self._first) * FRAME_S + 2 * rules.padding_s > rules.max_turn_s:
            return self._cut()
        return []

    def _cut(self) -> list[Turn]:
        """End a turn that is too long at the least probable speech in its second half; a new turn starts there."""
        begin = self._first - self._offset // FRAME
        scores = np.asarray(self._scores[begin:])
        smooth = np.convolve(scores, np.ones(5) / 5, mode='same')
        half = scores.shape[0] // 2
        weakest = half + int(np.argmin(smooth[half:-1])) if scores.shape[0] > 2 else scores.shape[0] - 1
        cut = self._first + weakest
        turns = self._turn(self._first * FRAME, cut * FRAME, pad_end=False)
        self._first = cut
        return turns

    def _close(self, end: int) -> list[Turn]:
        """End the open turn before a sample."""
        turns = []
        if (end - self._first * FRAME) / RATE_HZ >= self.rules.min_speech_s:
            turns = self._turn(self._first * FRAME, end, pad_end=True)
        self._first = self._quiet = -1
        return turns

    def _turn(self, begin: int, end: int, *, pad_end: bool) -> list[Turn]:
        """The padded turn between two samples, within the pushed samples and after the previous turn."""
        padding = round(self.rules.padding_s * RATE_HZ)
        frames = slice((begin - self._offset) // FRAME, max(1, -(-(end - self._offset) // FRAME)))
        scores, alone = np.asarray(self._scores[frames]), np.asarray(self._alone[frames])
        first, last = max(begin, self._taken, self._offset), min(end, self._count)
        begin = max(begin - padding, self._taken, self._offset)
        end = min(end + padding if pad_end else end, self._count)
        if last <= first:
            return []
        self._taken = end
        samples = self._samples[begin - self._offset : end - self._offset].copy()
        start_s, end_s = self.start_s + begin / RATE_HZ, self.start_s + end / RATE_HZ
        before_s, after_s = (first - begin) / RATE_HZ, (end - last) / RATE_HZ
        is_loud_voice = bool(np.mean(scores > alone[: scores.shape[0]]) > 0.5)
        return [Turn(start_s, end_s, samples, float(np.mean(scores)), before_s, after_s, is_loud_voice)]

    def _forget(self) -> None:
        """Drop whole frames that no further turn can contain."""
        reach = -(-round(self.rules.padding_s * RATE_HZ) // FRAME) + 1
        reach = max(reach, _BEHIND) if self.witness else reach
        keep_from = (self._first if self._first >= 0 else self._frame) - reach
        drop = min(max(0, keep_from - self._offset // FRAME), len(self._scores))
        if drop:
            self._samples = self._samples[drop * FRAME :]
            del self._scores[:drop], self._alone[:drop]
            self._offset += drop * FRAME


def speech_turns(
    blocks: Iterable[SampleBlock],
    detector: SpeechDetector | None = None,
    rules: TurnRules | None = None,
    *,
    hears_shouts: bool = True,
) -> Iterator[Turn]:
    """The turns of a recording, one at a time.

    Args:
        blocks: `recording.samples()` or any iterator of blocks with `start_s` and `samples` (N,) at 16 kHz. A jump
            of the clock by more than 50 ms ends the turn.
        detector: speech detector; loaded by default.
        rules: thresholds; by default `TurnRules()`.
        hears_shouts: whether to use `loud_voice.py` in addition to Silero.

    Yields:
        Turns in order, not overlapping, within the recording; none if there is no speech.

    Raises:
        ShapeError, ValueRangeError: as for `TurnFinder.push`.
        WeightsError: the file of the detector is not available.
    """
    detector = detector or SpeechDetector()
    witness = LoudVoice(detector) if hears_shouts and isinstance(detector, SpeechDetector) else None
    finder = TurnFinder(detector, rules, witness=witness)
    for index, block in enumerate(blocks):
        if index == 0 or block.start_s - finder.clock_s > 0.05:
            yield from finder.restart(block.start_s)
        yield from finder.push(block.samples)
    yield from finder.finish()


def _require_samples(samples: Floats32) -> None:
    if samples.ndim != 1:
        raise ShapeError(expected='samples (N,)', came=f'{samples.shape}', todo='mix the channels down to one')
    if not np.isfinite(samples).all():
        raise ValueRangeError(
            expected='finite samples', came='nan or infinity', todo='repair the recording, or leave the block out'
        )
