"""The audio of a recording: mono, one rate, contiguous blocks, so that sample n is at n / rate_hz seconds.

Timestamps place the audio on the recording's clock. Missing packets, and the time before audio that begins late, are
filled with silence of the right length; where packets overlap, the second copy is left out. Differences of up to 40 ms
count as rounding of timestamps, as in containers with millisecond clocks, and are ignored.

Damaged samples (nan, infinity, more than 24 dB above full scale) become 0 and count as lost seconds. Slight overshoots
of decoders beyond full scale are clipped to [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soxr

from affekt.containers import Limits, Source, Stalled, StreamReport
from affekt.errors import LimitError, MediaError
from affekt.media.decoding import DamagedSpans, OpenStream, Tally, declared_seconds, decoded_units, stream_from
from affekt.media.downmix import Downmix
from affekt.media.probe import Probe
from affekt.wording import counted, subject

Samples = npt.NDArray[np.float32]

SETTLING_S = 1.0
"""Seconds after seeking until decoder and resampler give the same output as from the start."""
JITTER_S = 0.04
"""Difference in seconds up to which a timestamp counts as rounded."""
EXACT_S = 0.005
"""Tolerance in seconds of the timestamp right after a damaged packet."""
FREE_SILENCE_S, FEWEST_BYTES_A_SECOND = 600.0, 50
"""Pauses of more than ten minutes that also exceed one second per this many bytes of the file are damage."""
MAX_JUMP_S = 600.0
"""A timestamp further ahead than this, and past the declared end, is damage, not a pause."""
EDGE_S = 0.03
"""Tolerance in seconds of the declared end."""
MAX_LEAD_S = 0.1
"""Largest lead-in of an encoder in seconds."""
LEAD_CODECS = ('aac', 'mp3', 'mp2', 'opus', 'vorbis', 'ac3', 'eac3')
"""Codecs whose encoders add a lead-in, which containers other than mp4 include in the declared length."""
IMPOSSIBLE = 16.0
"""Amplitude (24 dB above full scale) from which a sample is damaged."""
MAX_PLANES = 7
"""PyAV reads beyond the end where all eight planes are used; such audio is packed first."""
MAX_NEW_CHANNELS = 8
"""A unit with more channels than this, and than its stream declares, counts as damage."""
SILENCE_CHUNK = 1 << 18
"""Samples of silence yielded at once."""
SCALES = {'u8': 128.0, 's16': 32768.0, 's32': 2.0**31, 's64': 2.0**63, 'flt': 1.0, 'dbl': 1.0}
"""Sample format to its full scale."""


@dataclass(frozen=True)
class Block:
    """A block of audio."""

    start_s: float
    """Seconds from the recording's start to the first sample."""
    samples: Samples
    """(N,) mono, -1 to 1."""

    def __repr__(self) -> str:
        return f'Block({self.start_s:.3f} s, {len(self.samples)} samples)'


class AudioPass:
    """One pass over an audio stream; `report` is valid at any moment."""

    def __init__(self, source: Source, probe: Probe, limits: Limits, stream: int, must_decode: bool = True) -> None:
        self.must_decode = must_decode
        self.source, self.probe, self.limits, self.stream = source, probe, limits, stream
        self.tally = Tally()
        self.clock_s = 0.0
        self.gap_s = 0.0
        self.repeated_s = 0.0
        self.bad_s = 0.0
        self.start_s = 0.0
        self._moved_to_s = 0.0
        self.stretch_s = 0.0
        self._first_stated_s = 0.0
        self.jumped = 0
        self._failures = 0
        self._downmix = Downmix()
        self.unit_s = 0.0
        self.declared_s: float | None = None
        self.declared_start_s = 0.0
        self.is_over = False
        self._damaged = DamagedSpans()
        codec = probe.audio[stream].codec
        self._has_lead = codec.startswith(LEAD_CODECS) and not probe.demuxer.startswith('mov')

    def blocks(self, rate_hz: int, block_s: float, from_s: float = 0.0) -> Iterator[Block]:
        """Open, decode, mix, place on the clock, resample, cut into blocks; the first begins at `from_s` or before."""
        begin_s = max(0.0, math.floor(from_s - SETTLING_S))  # whole seconds are whole samples at every rate
        opened, is_part = stream_from(
            self.source, self.probe.audio_indices[self.stream], self.limits, self.probe, max(0.0, begin_s - SETTLING_S)
        )
        self.clock_s = self._moved_to_s = begin_s = begin_s if is_part else 0.0
        block_size = max(1, round(block_s * rate_hz))
        pieces: list[Samples] = []
        buffered = yielded = 0
        for piece in self._resampled(opened, rate_hz):
            pieces.append(piece)
            buffered += len(piece)
            if buffered < block_size:
                continue
            joined = np.concatenate(pieces)  # once per piece: it may hold thousands of small blocks
            for start in range(0, buffered - block_size + 1, block_size):
                yield Block(begin_s + yielded / rate_hz, _clipped(joined[start : start + block_size]))
                yielded += block_size
            pieces, buffered = [joined[buffered - buffered % block_size :]], buffered % block_size
        if buffered:
            yield Block(begin_s + yielded / rate_hz, _clipped(np.concatenate(pieces)))
        self.is_over = not is_part  # skipped parts are not known to decode
        if not self.tally.frames and self.must_decode and not is_part:
            raise MediaError(
                expected='audio that decodes',
                came=f'none from {self.tally.packets} packets of {self.source.name}',
                todo='the file is damaged; copy or export it again',
            )

    def _resampled(self, opened: OpenStream, rate_hz: int) -> Iterator[Samples]:
        """Mono pieces at `rate_hz`; a change of the source's rate on the way starts a new resampler."""
        current: tuple[int, Any] | None = None
        for source_hz, piece in self._placed(opened):
            if current is None or current[0] != source_hz:
                if current is not None and current[1] is not None:
                    yield current[1].resample_chunk(np.zeros(0, np.float32), last=True)
                current = (source_hz, _resampler(source_hz, rate_hz))
            yield piece if current[1] is None else current[1].resample_chunk(piece)
        if current is not None and current[1] is not None:
            yield current[1].resample_chunk(np.zeros(0, np.float32), last=True)

    def _placed(self, opened: OpenStream) -> Iterator[tuple[int, Samples]]:
        """(source rate, mono samples) without gaps, from the current time of the recording's clock on."""
        base = opened.stream.time_base or Fraction(1, 1000)
        try:
            self._note_declared(opened)
            for unit in decoded_units(opened, self.tally, self.limits):
                source_hz = int(unit.sample_rate)
                if source_hz < 1 or unit.samples < 1:
                    continue
                self.limits.check('max_audio_rate_hz', source_hz, f'the sample rate of {self.source.name}')
                channels, mono, names = self._mono(unit, source_hz)
                self.unit_s = max(self.unit_s, len(mono) / source_hz)
                before_s, unit_size = self.clock_s, len(mono)
                if self.tally.frames == 1:
                    self._first_stated_s = float((unit.duration or 0) * base)
                mono, silence = self._fit(mono, source_hz, unit.pts, base)
                self._note_damage(before_s)
                if silence > 0:
                    yield from self._downmix.flush(before_s)
                while silence > 0:
                    yield source_hz, np.zeros(min(silence, SILENCE_CHUNK), np.float32)
                    silence -= SILENCE_CHUNK
                opened.file.touch()
                if len(mono):
                    channels = channels[:, unit_size - len(mono) :]
                    yield from self._downmix.add(channels, mono, names, source_hz, self.clock_s)
                opened.file.touch()
        except Stalled as stalled:
            if not self.tally.frames:
                raise
            self.tally.add_note(f'stopped: {stalled}')
        finally:
            opened.close()
            self._note_damage(self.clock_s)
        yield from self._downmix.flush(self.clock_s)

    def _note_damage(self, begin_s: float) -> None:
        tally, lost = self.tally, (self.gap_s, self.bad_s, self.repeated_s, self.jumped)
        counts = (tally.damaged_packets, tally.marked_packets, tally.read_failures, len(tally.notes))
        self._damaged.note(begin_s, self.clock_s, *lost, *counts)

    def _note_declared(self, opened: OpenStream) -> None:
        stream = opened.stream
        self.declared_s = declared_seconds(self.probe, stream)
        if stream.start_time is not None:
            self.declared_start_s = max(0.0, float(stream.start_time * stream.time_base) - self.probe.origin_s)

    def _mono(self, unit: Any, source_hz: int) -> tuple[Samples, Samples, tuple[str, ...]]:
        """The channels (C, N) without low-frequency effects, their mean (N,), and their names; damage set to 0."""
        channel_count = max(1, len(unit.layout.channels))
        sample_format = unit.format.name.removesuffix('p')
        declared = self.probe.audio[self.stream].channels
        if channel_count > max(MAX_NEW_CHANNELS, declared):
            self.bad_s += unit.samples / source_hz
            self.tally.corrupt_frames += 1
            silent = np.zeros((1, unit.samples), np.float32)
            return silent, silent[0], ('',)
        if unit.format.is_planar and channel_count > MAX_PLANES:
            sample_format = 'flt'
            unit = av.AudioResampler(format=sample_format).resample(unit)[0]
        raw = unit.to_ndarray()
        if not unit.format.is_planar:
            raw = raw.reshape(-1, channel_count).T  # (1, N C) to (C, N)
        channels = raw.astype(np.float32)
        if sample_format == 'u8':
            channels -= 128.0
        if SCALES.get(sample_format, 1.0) != 1.0:
            channels /= np.float32(SCALES[sample_format])
        elif sample_format in {'flt', 'dbl'}:
            channels = self._without_damage(channels, source_hz)
        if channel_count == 1:
            return channels, np.ascontiguousarray(channels[0]), ('',)
        weights = np.array([channel.name != 'LFE' for channel in unit.layout.channels], np.float32)
        weights = weights if weights.any() else np.ones(channel_count, np.float32)
        mono: Samples = (weights / weights.sum()) @ channels
        names = tuple(channel.name for channel, is_kept in zip(unit.layout.channels, weights, strict=True) if is_kept)
        return channels[weights > 0], mono, names

    def _without_damage(self, channels: Samples, source_hz: int) -> Samples:
        is_damaged = ~(np.abs(channels) <= IMPOSSIBLE)  # nan compares False
        if is_damaged.any():
            self.bad_s += float(is_damaged.any(axis=0).sum()) / source_hz
            self.tally.corrupt_frames += 1
            channels = np.where(is_damaged, np.float32(0), channels)
        return channels

    def _fit(self, mono: Samples, source_hz: int, pts: int | None, base: Fraction) -> tuple[Samples, int]:
        """The part of `mono` that is new on the clock, and how many samples of silence come before it."""
        silence = 0
        is_first = self.tally.frames == 1 or (0 < self.clock_s == self._moved_to_s)  # earlier units are dropped
        if pts is not None:
            ahead_s = float(pts * base) - self.probe.origin_s - self.clock_s
            jitter_s = JITTER_S if self._failures == self.tally.damaged_packets else EXACT_S
            self._failures = self.tally.damaged_packets
            if ahead_s > jitter_s or (is_first and ahead_s > 0):
                silence = self._silence_for(ahead_s, source_hz, is_first)
            elif ahead_s < -JITTER_S or (is_first and ahead_s < 0):
                overlap = min(len(mono), round(-ahead_s * source_hz))
                self.repeated_s += 0.0 if is_first else overlap / source_hz
                self.tally.note_step_back(self.clock_s, self.clock_s + ahead_s)
                mono = mono[overlap:]
        self.clock_s += (silence + len(mono)) / source_hz
        if self.clock_s > self.limits.max_duration_s + 1:
            raise LimitError(
                expected=f'audio until {self.limits.max_duration_s:g} s (max_duration_s)',
                came=f'more in {self.source.name}',
                todo='raise Limits.max_duration_s if this file is trusted',
            )
        return mono, silence

    def _silence_for(self, ahead_s: float, source_hz: int, is_first: bool) -> int:
        known_end_s = max(self.declared_s or 0.0, self.probe.duration_s or 0.0, self.clock_s)
        longest_silence_s = max(FREE_SILENCE_S, self.source.size / FEWEST_BYTES_A_SECOND)
        if self.clock_s + ahead_s > known_end_s + MAX_JUMP_S or self.gap_s + ahead_s > longest_silence_s:
            self.jumped += 1
            return 0
        if is_first:
            self.start_s = ahead_s
        elif self._is_stretched(ahead_s, source_hz):
            self.stretch_s = ahead_s
        else:
            self.gap_s += ahead_s
        return round(ahead_s * source_hz)

    def _is_stretched(self, ahead_s: float, source_hz: int) -> bool:
        """Whether the first unit is declared to last until the second, although it has less audio: a late start.

        Writers of fragmented mp4 without an edit list move the first unit to 0 and stretch it.
        """
        is_second = self.tally.frames == 2 and self.probe.demuxer.startswith('mov')
        return is_second and abs(self._first_stated_s - self.clock_s - ahead_s) < 2 / source_hz

    @property
    def rescue(self) -> str:
        """A sentence on times at which the channels cancel each other and one of them is used; '' if there are none."""
        return self._downmix.rescue.sentence

    def report(self, trusts_marks: bool = True) -> StreamReport:
        """Report of what was decoded so far and what was declared; `trusts_marks` counts marked packets as lost."""
        tally, notes, spans = self.tally, list(self.tally.notes), list(self._damaged.spans)
        lost_s = self.gap_s + self.bad_s + (self.repeated_s if tally.clock_restarts else 0.0)
        if self.is_over and not tally.frames:
            notes.append(f'no audio decodes, from {tally.packets} packets')
        if self.is_over:
            lost_s += self._missing_at_ends(notes, spans)
        if self.gap_s > 0:
            notes.append(f'{self.gap_s:.2f} s without audio inside the stream, filled with silence')
        if self.bad_s > 0:
            notes.append(
                f'{self.bad_s:.3f} s of impossible values (nan, infinite, far too loud, too many channels) became 0'
            )
        if self.repeated_s > 0:
            notes.append(f'not read: {self.repeated_s:.2f} s whose times were over already')
        if self.jumped:
            notes.append(f'{subject(self.jumped, "impossible timestamp", "was", "were")} ignored')
        if tally.damaged_packets:
            notes.append(f'{tally.damaged_packets} of {subject(tally.packets, "packet")} damaged')
        if tally.marked_packets and trusts_marks:
            pronoun = 'it' if tally.marked_packets == 1 else 'them'
            notes.append(
                f'{subject(tally.marked_packets, "packet")} incomplete, or others are missing before {pronoun}'
            )
        if tally.read_failures:
            notes.append(f'reading failed {counted(tally.read_failures, "time")}')
        return StreamReport(
            declared_s=self.declared_s,
            decoded_s=max(0.0, self.clock_s - self.start_s - self.stretch_s - self.gap_s),
            frames=tally.frames,
            packets=tally.packets,
            damaged_packets=tally.damaged_packets,
            corrupt_frames=tally.corrupt_frames,
            lost_s=max(lost_s, tally.damaged_s),
            gap_s=self.gap_s,
            end_s=self.clock_s,
            damaged_spans=tuple(spans),
            ended_early=not self.is_over,
            notes=tuple(notes),
        )

    def _missing_at_ends(self, notes: list[str], spans: list[tuple[float, float]]) -> float:
        """Seconds missing at both ends; adds sentences to `notes`, also on surplus, and places to `spans`."""
        tolerance_s = EDGE_S + (min(1.5 * self.unit_s, MAX_LEAD_S) if self._has_lead else 0.0)
        declared_s, is_own = self.declared_s, True
        if declared_s is None:
            declared_s, is_own = self.probe.duration_s, self.probe.video is None
        if declared_s is None:
            return 0.0
        if self.probe.duration_is_estimate:
            tolerance_s += 1.0 + 0.05 * declared_s
        elif not is_own:
            tolerance_s += 1.0
        lost_s = 0.0
        missing_s = self.declared_start_s + declared_s - self.clock_s
        if missing_s > tolerance_s:
            lost_s += missing_s
            notes.append(f'{missing_s:.2f} s missing at the end (declared {declared_s:.2f} s)')
            spans.append((self.clock_s, math.inf))
        elif is_own and -missing_s > tolerance_s + 0.1:
            notes.append(f'{-missing_s:.2f} s more than declared ({declared_s:.2f} s)')
            spans.append((self.clock_s + missing_s, math.inf))
        if self.start_s - self.declared_start_s > 2 * self.unit_s + 0.1:
            lost_s += self.start_s - self.declared_start_s
            notes.append(f'the first audio that decodes is at {self.start_s:.2f} s')
            spans.append((0.0, self.start_s))
        return lost_s


def _resampler(source_hz: int, rate_hz: int) -> Any:
    if source_hz == rate_hz:
        return None
    return soxr.ResampleStream(source_hz, rate_hz, 1, dtype='float32', quality='HQ')


def _clipped(samples: Samples) -> Samples:
    return np.clip(samples, -1.0, 1.0)
