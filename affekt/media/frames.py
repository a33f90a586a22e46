"""The frames of a recording: one at a time, upright, each with its own timestamp.

Subsampling. With `rate_hz`, the frame on screen at each time of the grid 0, 1/r, 2/r, … is yielded, once, with its own
time. A frame is on screen from its time until the next one's. At 25 frames per second and `rate_hz=10`:

    grid       0    0.1    0.2    0.3
    frames     0    0.08   0.2    0.28

Frames that are not picked are decoded (others depend on them) but never converted to RGB.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.containers import Limits, Source, Stalled, StreamReport
from affekt.errors import LimitError, MediaError
from affekt.media.decoding import DamagedSpans, OpenStream, Tally, declared_seconds, decoded_units, stream_from
from affekt.media.picture_memory import check_picture_memory
from affekt.media.pictures import Orientations, collect_listed, to_rgb
from affekt.media.probe import Probe, usable_aspect
from affekt.wording import counted, subject

ROUNDING_S = 0.0016
"""Containers with a millisecond clock round both ends of a step."""
LONG_PAUSE_S = 1.0
"""A longer pause counts as missing frames even where the rate varies."""
FEW_LISTED = 3
"""Number of first frames after which garbage is collected: the side data of the first frame are listed (see
`Orientations`), and it may be on screen until the third comes."""
ONE_PICTURE_A_PACKET = frozenset(
    {'mjpeg', 'mpeg4', 'msmpeg4v1', 'msmpeg4v2', 'msmpeg4', 'wmv1', 'wmv2', 'h263', 'flv', 'png', 'ffv1', 'rawvideo'}
)
"""Decoders that output a frame per packet; others have hidden frames, or two fields per frame."""
WHOLE_SAMPLES = frozenset({'mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm', 'flv'})
"""Containers in which a packet of H.264 or HEVC is a frame or one of its two fields; then half have no output."""
AVI_DELAY = 4
"""AVI has no times of its own for reordered frames: writers leave an empty slot near the start."""
MAX_JUMP_S = 600.0
"""A timestamp further ahead than this, and past the declared end, is damage, not a pause."""


@dataclass(frozen=True)
class Frame:
    """One frame and its time."""

    time_s: float
    """Seconds from the recording's start."""
    image: npt.NDArray[np.uint8]
    """(H, W, 3) RGB, 0 to 255, upright, square pixels."""
    is_damaged: bool = False
    """True if the decoder marked the frame as damaged; it may be filled from earlier frames."""

    def __repr__(self) -> str:
        return f'Frame({self.time_s:.3f} s, {self.image.shape[1]}x{self.image.shape[0]})'


@dataclass
class _Timed:
    """A decoded frame before conversion."""

    time_s: float
    unit: Any


class VideoPass:
    """One pass over the frames; `report` is valid at any moment."""

    def __init__(self, source: Source, probe: Probe, limits: Limits, must_decode: bool = True) -> None:
        self.must_decode = must_decode
        self.source, self.probe, self.limits = source, probe, limits
        self.tally = Tally()
        self.first_s: float | None = None
        self.end_s = 0.0
        self._moved_to_s = 0.0
        self.gap_s = 0.0
        self.repeated = 0
        self.unread_s = 0.0
        self.jumped = 0
        self.is_over = False
        self.declared_s: float | None = None
        self.declared_frames: int | None = None
        self.declared_start_s = 0.0
        self.step_s = 1 / probe.video.rate_hz if probe.video and probe.video.rate_hz else 0.04
        self.is_constant_rate = False
        self._damaged = DamagedSpans()

    def frames(self, rate_hz: float | None, max_side: int | None, from_s: float = 0.0) -> Iterator[Frame]:
        """Open, decode, pick, convert, starting with the frame on screen at `from_s`."""
        if self.probe.video_index is None:
            return
        opened, is_part = stream_from(self.source, self.probe.video_index, self.limits, self.probe, from_s)
        self._moved_to_s = from_s if is_part else 0.0
        orientations = Orientations()
        try:
            self._note_declared(opened)
            aspect = usable_aspect(opened.stream.sample_aspect_ratio)
            tolerance_s = min(0.001, float(opened.stream.time_base or 0) + 1e-6)
            for timed in self._picked(opened, rate_hz, tolerance_s, from_s):
                orientation = orientations.of(timed.unit)
                frame = Frame(
                    timed.time_s,
                    to_rgb(timed.unit, orientation, aspect, max_side),
                    bool(timed.unit.is_corrupt),
                )
                del timed  # frees a large frame before the next is decoded
                opened.file.touch()
                yield frame
                del frame
                opened.file.touch()
            self.is_over = not is_part  # skipped parts are not known to decode
        finally:
            opened.close()
        if not self.tally.frames and self.must_decode and not is_part:
            raise MediaError(
                expected='at least one frame that decodes',
                came=f'none from {self.tally.packets} packets of {self.source.name}',
                todo='the file is damaged; copy or export it again',
            )

    def _note_declared(self, opened: OpenStream) -> None:
        stream = opened.stream
        self.declared_s = declared_seconds(self.probe, stream)
        # AVI counts slots, and an empty slot repeats the previous frame
        self.declared_frames = None if self.probe.demuxer == 'avi' else int(stream.frames) or None
        if stream.start_time is not None:
            self.declared_start_s = float(stream.start_time * stream.time_base) - self.probe.origin_s
        rates = {stream.average_rate or stream.guessed_rate, stream.base_rate}  # damage can hide the average
        self.is_constant_rate = len(rates) == 1 and None not in rates

    def _picked(self, opened: OpenStream, rate_hz: float | None, tolerance_s: float, from_s: float) -> Iterator[_Timed]:
        """The frames that are on screen at a grid time from `from_s` on; all of them where there is no grid."""
        if rate_hz is None:
            yield from (timed for timed in self._timed(opened) if timed.time_s >= from_s)
            return
        grid_index = ceil((from_s - tolerance_s) * rate_hz) if from_s > 0 else 0
        on_screen: _Timed | None = None
        for timed in self._timed(opened):
            # grid times before this frame's time belong to earlier frames
            first_index = max(0, ceil((timed.time_s - tolerance_s) * rate_hz))
            if on_screen is not None and grid_index < first_index:
                yield on_screen
                grid_index = first_index
            elif on_screen is None:
                grid_index = max(grid_index, first_index)
            on_screen = timed
        if on_screen is not None and grid_index / rate_hz < self.end_s - tolerance_s:
            yield on_screen

    def _timed(self, opened: OpenStream) -> Iterator[_Timed]:
        """Frames with strictly increasing times on the recording's clock."""
        last_s: float | None = None
        base = opened.stream.time_base or Fraction(1, 1000)
        numerator, denominator = base.numerator, base.denominator  # their quotient rounds as a Fraction does
        try:
            for unit in decoded_units(opened, self.tally, self.limits):
                self._check_limits(unit, opened.pictures_held)
                ticks = unit.pts if unit.pts is not None else unit.dts
                if ticks is None:
                    time_s = self.end_s
                    self.tally.add_note('frames without a time were put right after the previous one')
                else:
                    time_s = ticks * numerator / denominator - self.probe.origin_s
                if not self._is_plausible(time_s, last_s):
                    continue
                before_s = self.end_s
                self._advance(time_s, last_s, unit.duration * numerator / denominator)
                self.tally.corrupt_frames += int(bool(unit.is_corrupt))
                self._note_damage(before_s)
                last_s = time_s
                timed = _Timed(time_s, unit)
                del unit
                yield timed
                del timed
                if self.tally.frames <= FEW_LISTED:
                    collect_listed()
        except Stalled as stalled:
            if not self.tally.frames:
                raise
            self.tally.add_note(f'stopped: {stalled}')
        finally:
            self._note_damage(self.end_s)

    def _note_damage(self, begin_s: float) -> None:
        tally, lost = self.tally, (self.gap_s, self.unread_s, self.repeated, self.jumped)
        counts = (tally.damaged_packets, tally.marked_packets, tally.read_failures, tally.corrupt_frames)
        self._damaged.note(begin_s, self.end_s, *lost, *counts, len(tally.notes))

    def _check_limits(self, unit: Any, pictures_held: int) -> None:
        description = f'a {unit.width}x{unit.height} frame of {self.source.name}'
        self.limits.check('max_pixels', unit.width * unit.height, description)
        codec = '' if self.probe.video is None else self.probe.video.codec
        check_picture_memory(
            unit.width, unit.height, unit.format.name, codec, self.source.name, self.limits, pictures_held
        )

    def _is_plausible(self, time_s: float, last_s: float | None) -> bool:
        """False, and counted, for a frame that repeats or steps back, or whose time is absurd."""
        if last_s is not None and time_s <= last_s:
            self.repeated += 1
            self.tally.note_step_back(self.end_s, time_s)
            self.unread_s += self.step_s if self.tally.clock_restarts else 0.0
            return False
        known_end_s = max(self.declared_s or 0.0, self.probe.duration_s or 0.0, self._moved_to_s, self.end_s)
        if time_s > known_end_s + MAX_JUMP_S:
            self.jumped += 1
            return False
        if time_s > self.limits.max_duration_s:
            raise LimitError(
                expected=f'frames until {self.limits.max_duration_s:g} s (max_duration_s)',
                came=f'one at {time_s:.1f} s in {self.source.name}',
                todo='raise Limits.max_duration_s if this file is trusted',
            )
        return True

    def _advance(self, time_s: float, last_s: float | None, duration_s: float) -> None:
        usual_s = duration_s if 0 < duration_s < 10 else self.step_s
        if last_s is None:
            self.first_s = time_s
        elif self._is_gap(time_s - last_s, time_s - self.end_s):
            self.gap_s += time_s - self.end_s
        self.end_s = time_s + usual_s

    def _is_gap(self, step_s: float, empty_s: float) -> bool:
        """Whether frames are missing between two: at a constant rate, a step of a whole number of usual steps.

        Other steps belong to a variable rate, where a frame simply stays on screen; then only seconds count.
        """
        if empty_s <= 0.5 * self.step_s:
            return False
        if self.probe.demuxer == 'avi' and self.tally.frames <= AVI_DELAY:
            return False
        off_s = abs(step_s - round(step_s / self.step_s) * self.step_s)
        if self.is_constant_rate and off_s < ROUNDING_S:
            return True
        return empty_s > LONG_PAUSE_S

    def report(self, trusts_marks: bool = True) -> StreamReport:
        """Report of what was decoded so far and what was declared; `trusts_marks` counts marked packets as lost."""
        first_s = self.first_s or 0.0
        decoded_s = max(0.0, self.end_s - first_s - self.gap_s) if self.tally.frames else 0.0
        notes, spans = list(self.tally.notes), list(self._damaged.spans)
        lost_s = self.gap_s + self.unread_s
        if self.is_over and not self.tally.frames:
            notes.append(f'no frame decodes, from {self.tally.packets} packets')
        if self.is_over:
            lost_s += self._missing_at_ends(notes, spans, first_s)
        if self.gap_s > 0:
            notes.append(f'{self.gap_s:.2f} s without frames inside the stream')
        if self.unread_s > 0:
            notes.append(f'not read: about {self.unread_s:.2f} s whose times were over already')
        notes += _damage_sentences(self.tally, self.repeated, self.jumped, trusts_marks)
        return StreamReport(
            declared_s=self.declared_s,
            decoded_s=decoded_s,
            frames=self.tally.frames,
            declared_frames=self.declared_frames,
            packets=self.tally.packets,
            damaged_packets=self.tally.damaged_packets,
            corrupt_frames=self.tally.corrupt_frames,
            lost_s=max(lost_s, self.tally.damaged_s),
            gap_s=self.gap_s,
            end_s=self.end_s,
            damaged_spans=tuple(spans),
            ended_early=not self.is_over,
            notes=tuple(notes),
        )

    def _missing_at_ends(self, notes: list[str], spans: list[tuple[float, float]], first_s: float) -> float:
        """Seconds missing at both ends and inside; adds a sentence on each loss to `notes`, and places to `spans`."""
        tolerance_s = 0.75 * self.step_s + 0.005
        if self.probe.duration_is_estimate:
            tolerance_s += 1.0 + 0.05 * (self.declared_s or self.probe.duration_s or 0.0)
        lost_s = 0.0
        if self.declared_s is not None:
            missing_s = self.declared_start_s + self.declared_s - self.end_s
            if missing_s > tolerance_s:
                lost_s += missing_s
                notes.append(f'{missing_s:.2f} s missing at the end (declared {self.declared_s:.2f} s)')
                spans.append((self.end_s, math.inf))
        elif self.probe.duration_s is not None:
            missing_s = self.probe.duration_s - self.end_s
            if missing_s > max(1.0, tolerance_s) or (missing_s > tolerance_s and not self.probe.audio):
                lost_s += missing_s
                notes.append(f'frames end {missing_s:.2f} s before the file ({self.probe.duration_s:.2f} s)')
                spans.append((self.end_s, math.inf))
        if first_s - self.declared_start_s > tolerance_s + 0.1:
            lost_s += first_s - self.declared_start_s
            notes.append(f'the first frame that decodes is at {first_s:.2f} s')
            spans.append((0.0, first_s))
        codec = '' if self.probe.video is None else self.probe.video.codec
        without_output = (
            self.tally.sizeable_packets - self.tally.damaged_packets - self.tally.discarded - self.tally.frames
        )
        is_small_share = (
            codec in ('h264', 'hevc')
            and self.probe.demuxer in WHOLE_SAMPLES
            and without_output * 4 < self.tally.packets
        )
        if (codec in ONE_PICTURE_A_PACKET or is_small_share) and without_output > 0 and self.tally.frames:
            lost_s = max(lost_s, without_output * self.step_s)
            notes.append(f'{without_output} of {self.tally.packets} packets gave no frame')
        missing_frames = (self.declared_frames or 0) - self.tally.frames - self.tally.discarded
        if missing_frames > 0 and (self.tally.frames or missing_frames > 1):
            notes.append(f'{missing_frames} of {self.declared_frames} declared frames did not decode')
            lost_s = max(lost_s, missing_frames * self.step_s)
        return lost_s


def _damage_sentences(tally: Tally, repeated: int, jumped: int, trusts_marks: bool) -> list[str]:
    notes = []
    if tally.damaged_packets:
        notes.append(f'{tally.damaged_packets} of {subject(tally.packets, "packet")} damaged')
    if tally.corrupt_frames:
        notes.append(f'{subject(tally.corrupt_frames, "frame")} marked as damaged')
    if tally.marked_packets and trusts_marks:
        pronoun = 'it' if tally.marked_packets == 1 else 'them'
        notes.append(f'{subject(tally.marked_packets, "packet")} incomplete, or others are missing before {pronoun}')
    if tally.read_failures:
        notes.append(f'reading failed {counted(tally.read_failures, "time")}')
    if repeated:
        notes.append(
            '1 frame repeats or steps back in time and was left out'
            if repeated == 1
            else f'{repeated:,} frames repeat or step back in time and were left out'
        )
    if jumped:
        notes.append(
            '1 frame has an impossible time and was left out'
            if jumped == 1
            else f'{jumped:,} frames have impossible times and were left out'
        )
    return notes
