"""Fragmented ISO media: fragments in the index that the file lacks, and wrong counts and times.

A fragment (moof) states for each track when it begins (tfdt) and the durations and sizes of its samples (trun); the
samples follow in an mdat. Two kinds of index list the fragments: mfra at the end, sidx at the start. FFmpeg does not
compare them with the file: a missing fragment silently shortens the recording.

Source: ISO/IEC 14496-12, sections 8.8 and 8.16.3.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import numpy as np

from affekt.containers.boxes import Box, boxes, check_boxes, decode_times, inside, movie_seconds, versioned_number
from affekt.containers.edits import remark_edits
from affekt.containers.losses import ContainerReport, anew_sentence, seconds_of
from affekt.containers.source import Source
from affekt.containers.window import Window

LEAST_TOLERANCE_S = 0.02
"""Least tolerance in seconds: clocks of two tracks are rounded to each other."""
SPARE_BYTES = 64
"""Difference in bytes between a run's sizes and its data that is not reported."""
END_TOLERANCE_S = 0.5
"""Difference in seconds between the stated and the covered duration that is not reported."""
FIRST_BOXES = 64
"""Number of outermost boxes within which each track has its first fragment."""
SIZE_PATH = (b'mdia', b'minf', b'stbl', b'stsz')
DURATION, SIZE, FLAGS, COMPOSITION = 0x100, 0x200, 0x400, 0x800
"""Flags of the columns of a run (trun), in this order."""


class Defaults(NamedTuple):
    """Duration in ticks and size in bytes of samples for which a run states none."""

    duration: int = 0
    size: int = 0


@dataclass
class TrackPart:
    """The samples of one track in one fragment; times in seconds on the track's clock."""

    fragment: int
    """Position of the fragment."""
    start_s: float | None
    length_s: float
    longest_s: float
    bytes: int
    uncounted_s: float = 0.0
    """Duration in seconds of samples that the run lists but does not count."""


def check_iso_media(source: Source, report: ContainerReport) -> None:
    """Note differences between the index and the content of an mp4, mov or m4a, and further recordings in the file."""
    with Window(source) as window:
        first, *others = check_boxes(window, report)
        _check_fragments(window, first, report)
        remark_edits(window, first, report)
        for later in others:
            _note_unread(window, later, report)


def first_ticks(source: Source) -> dict[int, int]:
    """Track number to the ticks of its first fragment; empty if a track has samples outside fragments.

    A part of a longer stream begins late, and FFmpeg takes the end on the stream's clock for its duration.
    """
    listed: dict[int, int] = {}
    stated: dict[int, int] = {}
    others: set[int] = set()
    with Window(source) as window:
        for _, box in zip(range(FIRST_BOXES), boxes(window, 0, source.size), strict=False):
            if box.name == b'moov':
                for track in inside(window, [(box.body, box.end)], b'trak'):
                    counts = [window.number(start + 8, 4) for start, _ in inside(window, [track], *SIZE_PATH)]
                    if any(counts):
                        others |= {
                            versioned_number(window, start, (20, 4), (12, 4))
                            for start, _ in inside(window, [track], b'tkhd')
                        }
            elif box.name == b'sidx':
                # version and flags 4, track 4, ticks per second 4, first time
                time = versioned_number(window, box.body, (12, 8), (12, 4))
                listed.setdefault(window.number(box.body + 4, 4), time)
            elif box.name == b'moof':
                for number, time in decode_times(window, box).items():
                    stated.setdefault(number, time)
    # the list counts from the first frame shown, after an edit; the fragment from the first frame decoded
    latest = {number: max(listed.get(number, 0), stated.get(number, 0)) for number in listed | stated}
    return {number: time for number, time in latest.items() if time and number not in others}


def _note_unread(window: Window, recording: list[Box], report: ContainerReport) -> None:
    start, size = recording[0].start, recording[-1].end - recording[0].start
    scales, defaults, length_s = _header(window, recording)
    parts = _track_parts(window, recording, scales, defaults, ContainerReport())
    length_s = max(length_s, *(_end(fragments) for fragments in parts.values()), 0.0)
    has_media = any(box.name in (b'mdat', b'moof') for box in recording)
    content = 'recording' if has_media else 'index of a recording (moov)'
    sentence = f'not read: another {content} begins at byte {start}, {size:,} bytes{seconds_of(length_s)}'
    if parts:
        sentence = anew_sentence(start, size, length_s)
    report.add('unread', sentence, size, length_s)


def _check_fragments(window: Window, chain: list[Box], report: ContainerReport) -> None:
    """Note differences between the fragments, their index and the file."""
    starts = [box.start for box in chain if box.name == b'moof']
    indices = [box for box in chain if box.name in (b'mfra', b'sidx')]
    if not starts and not indices:
        report.states_length = not _may_continue(window, chain)
        return
    scales, defaults, stated_s = _header(window, chain)
    parts = _track_parts(window, chain, scales, defaults, report)
    lost_s = {track: _check_times(track, fragments, report) for track, fragments in parts.items()}
    ends_s = {track: _end(fragments) for track, fragments in parts.items()}
    late_s = 0.0
    for box in indices:
        if box.name == b'mfra':
            _check_random_access(window, box, starts, ends_s, scales, lost_s, report)
        else:
            late_s += _check_segment_index(window, box, report)
    covered_s = max(ends_s.values(), default=0.0)
    if stated_s > covered_s + END_TOLERANCE_S and ends_s:
        sentence = f'cut short: the header states {stated_s:.2f} s, the fragments cover {covered_s:.2f} s'
        report.add('length', sentence)
        late_s = max(late_s, stated_s - covered_s)
    report.lost_s += max(late_s, *lost_s.values(), 0.0)
    # an index may state only the duration of what it lists, without the fragments
    begins_s = min((part.start_s or 0.0 for fragments in parts.values() for part in fragments), default=0.0)
    report.states_length = stated_s > begins_s or _lists_all(chain)


def _may_continue(window: Window, chain: list[Box]) -> bool:
    """Whether the header announces fragments without stating their duration."""
    movies = [(box.body, box.end) for box in chain if box.name == b'moov'][:1]
    return bool(inside(window, movies, b'mvex')) and not inside(window, movies, b'mvex', b'mehd')


def _lists_all(chain: list[Box]) -> bool:
    """Whether the file has an index of the whole recording; segments of a stream each have their own."""
    names = [box.name for box in chain]
    in_front = names[: names.index(b'moof')] if b'moof' in names else names
    return b'mfra' in names or (b'sidx' in in_front and names.count(b'sidx') == in_front.count(b'sidx'))


def _header(window: Window, chain: list[Box]) -> tuple[dict[int, int], dict[int, Defaults], float]:
    """Ticks per second and defaults of each track, and the duration in seconds in the header (0 for none)."""
    movies = [(box.body, box.end) for box in chain if box.name == b'moov'][:1]
    scales: dict[int, int] = {}
    for track in inside(window, movies, b'trak'):
        for start, _ in inside(window, [track], b'tkhd'):
            number = versioned_number(window, start, (20, 4), (12, 4))
            for body, _ in inside(window, [track], b'mdia', b'mdhd'):
                scales[number] = versioned_number(window, body, (20, 4), (12, 4))
    defaults = {}
    for start, _ in inside(window, movies, b'mvex', b'trex'):
        # version and flags 4, track 4, description 4, duration 4, size 4
        defaults[window.number(start + 4, 4)] = Defaults(window.number(start + 12, 4), window.number(start + 16, 4))
    stated_s = max((movie_seconds(window, box) for box in chain if box.name == b'moov'), default=0.0)
    for start, _ in inside(window, movies, b'mvex', b'mehd'):
        for body, _ in inside(window, movies, b'mvhd'):
            scale = versioned_number(window, body, (20, 4), (12, 4))
            stated_s = max(stated_s, versioned_number(window, start, (4, 8), (4, 4)) / max(1, scale))
    return scales, defaults, stated_s


def _track_parts(
    window: Window, chain: list[Box], scales: dict[int, int], defaults: dict[int, Defaults], report: ContainerReport
) -> dict[int, list[TrackPart]]:
    """Track number to its parts in file order; notes runs and data that disagree."""
    parts: dict[int, list[TrackPart]] = defaultdict(list)
    listed = data = 0
    fragment: Box | None = None
    for box in [*chain, None]:
        is_whole = 'cut' not in report.topics or box is not None
        if (box is None or box.name == b'moof') and fragment is not None and data and is_whole:
            _compare_bytes(fragment, listed, data, report)
            listed = data = 0
        if box is None:
            break
        if box.name == b'mdat' and fragment is not None:
            data += box.end - box.body
        if box.name != b'moof':
            continue
        fragment = box
        for start, end in inside(window, [(box.body, box.end)], b'traf'):
            track, part = _track_part(window, box.start, start, end, scales, defaults, report)
            parts[track].append(part)
            listed += part.bytes
    return parts


def _compare_bytes(fragment: Box, listed: int, data: int, report: ContainerReport) -> None:
    if abs(data - listed) > SPARE_BYTES:
        sentence = f'damaged: the fragment at byte {fragment.start} lists {listed:,} bytes of samples, {data:,} follow'
        report.add('bytes', sentence, data - listed)


def _track_part(
    window: Window, fragment: int, start: int, end: int, scales: dict[int, int], defaults: dict[int, Defaults],
    report: ContainerReport,
) -> tuple[int, TrackPart]:  # fmt: skip
    """The samples of one track in a fragment (traf)."""
    track, track_defaults, start_ticks = 0, Defaults(), None
    ticks = longest = size = 0
    uncounted_ticks = 0
    for box in boxes(window, start, end):
        if box.name == b'tfhd':
            track, track_defaults = _fragment_header(window, box, defaults)
        elif box.name == b'tfdt':
            start_ticks = versioned_number(window, box.body, (4, 8), (4, 4))
        elif box.name == b'trun':
            stated, durations, sizes = _run(window, box, track_defaults)
            if stated != len(durations):
                uncounted_ticks += int(durations[stated:].sum())
                sentence = f'damaged: the run at byte {box.start} of the file states {stated:,} samples, '
                report.add('run', f'{sentence}{len(durations):,} are listed')
                durations, sizes = durations[:stated], sizes[:stated]
            ticks += int(durations.sum())
            longest = max(longest, int(durations.max(initial=0)))
            size += int(sizes.sum())
    scale = max(1, scales.get(track, 1))
    start_s = None if start_ticks is None else start_ticks / scale
    return track, TrackPart(fragment, start_s, ticks / scale, longest / scale, size, uncounted_ticks / scale)


def _fragment_header(window: Window, box: Box, defaults: dict[int, Defaults]) -> tuple[int, Defaults]:
    """Track number and defaults of a tfhd; flags give the fields: base 8, description 4, duration 4, size 4 bytes."""
    content = window.at(box.body, min(40, box.end - box.body)).ljust(40, b'\0')
    flags, track = int.from_bytes(content[1:4], 'big'), int.from_bytes(content[4:8], 'big')
    track_defaults = defaults.get(track, Defaults())
    offset = 8 + (8 if flags & 1 else 0) + (4 if flags & 2 else 0)
    if flags & 8:
        track_defaults = track_defaults._replace(duration=int.from_bytes(content[offset : offset + 4], 'big'))
        offset += 4
    if flags & 16:
        track_defaults = track_defaults._replace(size=int.from_bytes(content[offset : offset + 4], 'big'))
    return track, track_defaults


def _run(window: Window, box: Box, track_defaults: Defaults) -> tuple[int, np.ndarray, np.ndarray]:
    """Number of samples that a trun states, and durations in ticks and sizes in bytes of those it lists."""
    flags, stated = window.number(box.body + 1, 3), window.number(box.body + 4, 4)
    table = box.body + 8 + (4 if flags & 1 else 0) + (4 if flags & 4 else 0)
    columns = [column for column in (DURATION, SIZE, FLAGS, COMPOSITION) if flags & column]
    if not columns:
        # nothing is listed: samples without a byte in the run cannot be counted
        durations, sizes = np.array([track_defaults.duration * stated]), np.array([track_defaults.size * stated])
        return 1, durations, sizes
    row_count = max(0, box.end - table) // (4 * len(columns))
    content = window.at(table, row_count * 4 * len(columns))
    rows = np.frombuffer(content[: len(content) // (4 * len(columns)) * 4 * len(columns)], '>u4')
    rows = rows.reshape(-1, len(columns)).astype(np.int64)

    def column(flag: int, default: int) -> np.ndarray:
        return rows[:, columns.index(flag)] if flag in columns else np.full(len(rows), default, np.int64)

    return stated, column(DURATION, track_defaults.duration), column(SIZE, track_defaults.size)


def _end(fragments: list[TrackPart]) -> float:
    """End time in seconds of the last part of a track."""
    clock_s = 0.0
    for part in fragments:
        clock_s = (clock_s if part.start_s is None else part.start_s) + part.length_s
    return clock_s


def _check_times(track: int, fragments: list[TrackPart], report: ContainerReport) -> float:
    """Seconds that no fragment of a track covers; notes them, and times that contradict neighbouring fragments."""
    lost_s = sum(part.uncounted_s for part in fragments)
    for before, part, after in zip(fragments, fragments[1:], [*fragments[2:], None], strict=False):
        if before.start_s is None or part.start_s is None:
            continue
        expected_s = before.start_s + before.length_s
        tolerance_s = LEAST_TOLERANCE_S + 1.5 * max(before.longest_s, part.longest_s)
        ahead_s = part.start_s - expected_s
        if abs(ahead_s) <= tolerance_s:
            continue
        if (
            after is not None
            and after.start_s is not None
            and abs(after.start_s - expected_s - part.length_s) < tolerance_s
        ):
            sentence = f'damaged: the fragment of track {track} at byte {part.fragment} states that it begins at '
            report.add('time', f'{sentence}{part.start_s:.2f} s, by its neighbours {expected_s:.2f} s')
            part.start_s = expected_s
        elif ahead_s > 0:
            report.add('gap', f'missing: no fragment of track {track} covers {expected_s:.2f} to {part.start_s:.2f} s')
            lost_s += max(0.0, ahead_s - before.uncounted_s)
        else:
            sentence = (
                f'damaged: the fragment of track {track} at byte {part.fragment} begins at {part.start_s:.2f} s, '
            )
            report.add('overlap', f'{sentence}before the one in front of it ends ({expected_s:.2f} s)')
    return lost_s


def _check_random_access(
    window: Window, mfra: Box, starts: list[int], ends_s: dict[int, float], scales: dict[int, int],
    lost_s: dict[int, float], report: ContainerReport,
) -> None:  # fmt: skip
    """Compare the index at the end of the file with its fragments, and note a missing end."""
    for start, end in inside(window, [(mfra.body, mfra.end)], b'tfra'):
        track = window.number(start + 4, 4)
        times_s, positions = _random_access(window, start, end, max(1, scales.get(track, 1)))
        missing_count = len(positions) - len(starts)
        if missing_count <= 0:
            continue
        steps = [b - a for a, b in pairwise(times_s) if b > a]
        late_times = [time_s for time_s in times_s if time_s > ends_s.get(track, 0.0) - LEAST_TOLERANCE_S]
        tail_s = len(late_times) * median(steps) if steps else 0.0
        lost_s[track] = lost_s.get(track, 0.0) + tail_s
        sentence = f'missing: {missing_count} of the {len(positions)} fragments of track {track} '
        sentence += 'that the index at the end lists' + (f'; about {lost_s[track]:.2f} s' if lost_s[track] else '')
        report.add('index', sentence)


def _random_access(window: Window, start: int, end: int, scale: int) -> tuple[list[float], set[int]]:
    """Times in seconds and distinct positions of the fragments in a tfra."""
    is_wide = window.at(start, 1) == b'\x01'
    widths = window.number(start + 8, 4)
    number_bytes = sum((widths >> shift & 3) + 1 for shift in (4, 2, 0))
    width = (16 if is_wide else 8) + number_bytes
    count = min(window.number(start + 12, 4), max(0, end - start - 16) // width)
    number_width = 8 if is_wide else 4
    rows = [window.at(start + 16 + row * width, 2 * number_width) for row in range(count)]
    times = [int.from_bytes(row[:number_width], 'big') / scale for row in rows]
    return sorted(times), {int.from_bytes(row[number_width:], 'big') for row in rows}


def _check_segment_index(window: Window, sidx: Box, report: ContainerReport) -> float:
    """Duration in seconds of segments that a sidx lists and the file lacks, which is noted."""
    is_wide = window.at(sidx.body, 1) == b'\x01'
    scale = max(1, window.number(sidx.body + 8, 4))
    offset = window.number(sidx.body + (20 if is_wide else 16), 8 if is_wide else 4)
    table = sidx.body + (28 if is_wide else 20)
    count = min(window.number(table + 2, 2), max(0, sidx.end - table - 4) // 12)
    position = sidx.end + offset
    missing_count, missing_s = 0, 0.0
    for row in range(count):
        size = window.number(table + 4 + 12 * row, 4) & 0x7FFFFFFF
        position += size
        if position > window.size:
            missing_count += 1
            missing_s += window.number(table + 8 + 12 * row, 4) / scale
    if missing_count:
        sentence = (
            f'missing: {missing_count} of the {count} segments that the index in front lists, {missing_s:.2f} s; '
        )
        report.add('segments', f'{sentence}they should end at byte {position}, the file has {window.size}')
        report.lost_bytes += position - window.size
    return missing_s
