"""Frames to a complete video, written window by window, so that a killed run resumes.

A window is a segment of frames, encoded separately and recorded in a hidden folder beside the output once it is on
disk. At the end the windows are joined without re-encoding, with the driver's audio on the same clock, and the folder
is removed. Frames keep the driver's times, even or not. Reading and tracking the driver, drawing (by several
threads where the engine allows it) and encoding run in parallel; none holds more than a few frames.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
import numpy.typing as npt

from affekt.errors import MediaError, RunError, UnknownNameError
from affekt.files import part_of, place_atomically, remove_folder, require_writable
from affekt.media import MediaWriter, PictureStyle, Recording, even_sided
from affekt.progress import Progress
from affekt.reenactment.motion import Motion, MotionFrame
from affekt.runs import SETTINGS, Entry, Run, locked, read_settings
from affekt.workers import done_in_order, made_ahead

Image = npt.NDArray[np.uint8]
KINDS = ('.mp4',)
"""Videos that can be written, and signed."""
WINDOW = 250
"""Frames per window: ten seconds at 25 per second, which a killed run may lose."""
WINDOWS_SUFFIX = '.affekt-windows'
PART = 'pictures.mp4'
AHEAD = 3
SOUND_RATE_HZ = 48_000
SOUND_BLOCK_S = 0.5
COPIED_SOUND = ('aac', 'mp3')
"""Audio codecs that an mp4 takes unchanged."""
COPIED_FROM = ('mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm')
VIDEO_OPTIONS = {'preset': 'veryfast', 'crf': '18', 'bf': '0'}
"""Encoder options: no frames that depend on later ones, so that windows can be joined at any times."""


@dataclass(frozen=True)
class Reenacted:
    """A video that was written.

    Attributes:
        path: path of the video.
        pictures: number of frames.
        seconds: duration from the first frame to the end of the last, in seconds.
        resumed: frames drawn by an earlier, interrupted run.
        has_sound: whether it has the driver's audio.
        shows_driver: whether pixels of the driver's mouth are in it.
    """

    path: Path
    pictures: int
    seconds: float
    resumed: int
    has_sound: bool
    shows_driver: bool


class Drawing(Protocol):
    """Draws the image of a motion frame."""

    @property
    def threads(self) -> int:
        """Number of threads that draw at once: 1 if an image may depend on earlier ones."""

    def picture(self, frame: MotionFrame) -> Image:
        """(H, W, 3) of one frame."""

    def shows_driver(self, frame: MotionFrame) -> bool:
        """Whether pixels of the driver are in that image."""


def write_reenactment(
    out: str | os.PathLike[str],
    engine: Drawing,
    motion: Motion,
    *,
    depends_on: Mapping[str, Any],
    window: int = WINDOW,
    progress: Progress | None = None,
    finished: Callable[[Path, Reenacted], object] | None = None,
    anew: bool = False,
) -> Reenacted:
    """Write a video of a portrait under a motion, with the motion's audio.

    Args:
        out: .mp4; its folder is created if missing.
        engine: draws a motion frame, like `Engine`.
        motion: the motion to draw, read once.
        depends_on: everything that the frames depend on, as JSON values; an interrupted run with equal values resumes.
        window: pictures per window, >= 1.
        progress: called with `pictures`, the number done and the number of all.
        finished: called with the complete file before it appears under its name, for example to sign it.
        anew: draw all windows, also those of an interrupted run.

    Raises:
        UnknownNameError: another kind of file.
        MediaError: the motion has no frame.
        StorageError: it cannot be written.
    """
    target = Path(out)
    if target.suffix.lower() not in KINDS:
        raise UnknownNameError(
            expected=f'an output that ends in {" or ".join(KINDS)}', came=repr(target.name), todo='rename it'
        )
    require_writable(target)
    with _windows_run(target, {**depends_on, 'window': window}, anew=anew) as run:
        entries, resumed = _written(run, engine, motion, window, progress)
        if not entries:
            raise MediaError(expected='a motion of at least one frame', came='none', todo='give a longer driver')
        last = entries[-1].facts
        with place_atomically(target) as path:
            has_sound = _joined(path, run.folder, entries, motion)
            result = Reenacted(
                target,
                sum(int(entry.facts['pictures']) for entry in entries),
                float(last['begins_s']) + float(last['lasts_s']),
                resumed,
                has_sound,
                any(bool(entry.facts['shows_driver']) for entry in entries),
            )
            if finished is not None:
                finished(path, result)
    remove_folder(run.folder)
    return result


def _windows_run(target: Path, settings: Mapping[str, Any], *, anew: bool) -> Run:
    """The hidden run beside the output; one with other settings is removed and started again."""
    folder = part_of(target, WINDOWS_SUFFIX)
    exists = (folder / SETTINGS).exists()
    if exists and (anew or read_settings(folder).get('settings') != json.loads(json.dumps(dict(settings)))):
        in_use = RunError(
            expected='an output that no other process is writing', came=f'{target} in use',
            todo='wait for it, or choose another name',
        )  # fmt: skip
        with closing(locked(folder, in_use)):
            remove_folder(folder)
    return Run(folder, settings, resume=True)


def _written(
    run: Run, engine: Drawing, motion: Motion, window: int, progress: Progress | None
) -> tuple[list[Entry], int]:
    """The journal's entries of all windows in order, and the number of frames that an earlier run had drawn."""
    entries: list[Entry] = []
    resumed = done = 0
    pictures = made_ahead(_drawn(run, engine, made_ahead(motion, AHEAD), window), AHEAD)
    with closing(pictures):
        for key, window_frames in groupby(pictures, key=lambda drawn: drawn.window):
            name = f'window_{key:05d}'
            if (entry := run.finished(name)) is not None:
                count = sum(1 for _ in window_frames)
                resumed += count
                done += count
            else:
                count = 0
                with run.building(name) as folder:
                    times, shows_driver = _encoded(folder / PART, window_frames, motion.rate_hz)
                run.note(name, name, begins_s=times[0], lasts_s=_last_end_s(times, motion.rate_hz) - times[0],
                         pictures=len(times), shows_driver=shows_driver)  # fmt: skip
                entry = run.finished(name)
                done += len(times)
            if entry is None:
                raise RunError(expected='a window that is whole on disk', came=name, todo='check the disk')
            entries.append(entry)
            if progress is not None:
                progress('pictures', done, max(done, motion.count or 0))
    if progress is not None and done:
        progress('pictures', done, done)
    return entries, resumed


@dataclass(frozen=True)
class _Drawn:
    """A frame of a window; `image` is None if its window is already encoded."""

    window: int
    time_s: float
    image: Image | None
    shows_driver: bool


def _drawn(run: Run, engine: Drawing, frames: Generator[MotionFrame], window: int) -> Generator[_Drawn]:
    """Every frame, drawn if its window is not yet on disk."""

    def numbered() -> Iterator[tuple[int, bool, MotionFrame]]:
        is_done: dict[int, bool] = {}
        with closing(frames):
            for number, frame in enumerate(frames):
                key = number // window
                if key not in is_done:
                    is_done[key] = run.finished(f'window_{key:05d}') is not None
                yield key, is_done[key], frame

    def drawn(frame_of_window: tuple[int, bool, MotionFrame]) -> _Drawn:
        key, is_done, frame = frame_of_window
        if is_done:
            return _Drawn(key, frame.time_s, None, False)
        return _Drawn(key, frame.time_s, even_sided(engine.picture(frame)), engine.shows_driver(frame))

    return done_in_order(drawn, numbered(), engine.threads)


def _encoded(path: Path, window_frames: Iterable[_Drawn], rate_hz: float) -> tuple[list[float], bool]:
    """Write a window, whose clock begins with its first frame; return the times of its frames on the motion's clock."""
    times: list[float] = []
    shows_driver = False
    with MediaWriter(path, rate_hz, PictureStyle(options=VIDEO_OPTIONS)) as writer:
        for drawn in window_frames:
            if drawn.image is None:
                raise RunError(expected='a window of one piece', came='one half drawn', todo='run the command again')
            times.append(drawn.time_s)
            shows_driver |= drawn.shows_driver
            writer.add_picture(drawn.image, drawn.time_s - times[0])
    return times, shows_driver


def _last_end_s(times: list[float], rate_hz: float) -> float:
    """Time in seconds at which the last frame ends."""
    return times[-1] + (times[-1] - times[-2] if len(times) > 1 else 1 / rate_hz)


def _joined(path: Path, folder: Path, entries: list[Entry], motion: Motion) -> bool:
    """Join all windows and the audio in one file; return whether there is audio."""
    end_s = float(entries[-1].facts['begins_s']) + float(entries[-1].facts['lasts_s'])
    with av.open(os.fspath(path), 'w', options={'movflags': '+faststart'}) as output:
        with av.open(os.fspath(folder / entries[0].folder / PART)) as first:
            video_stream: Any = output.add_stream_from_template(first.streams.video[0])
        audio_packets = iter(()) if motion.sound is None else _sound_packets(output, motion.sound, end_s)
        audio_packet = next(audio_packets, None)
        has_sound = audio_packet is not None
        for packet in _picture_packets(folder, entries):
            while (
                audio_packet is not None and audio_packet.dts * audio_packet.time_base <= packet.dts * packet.time_base
            ):
                output.mux(audio_packet)
                audio_packet = next(audio_packets, None)
            packet.stream = video_stream
            output.mux(packet)
        while audio_packet is not None:
            output.mux(audio_packet)
            audio_packet = next(audio_packets, None)
    return has_sound


def _picture_packets(folder: Path, entries: list[Entry]) -> Iterator[Any]:
    """The packets of all windows, on one clock."""
    for entry in entries:
        with av.open(os.fspath(folder / entry.folder / PART)) as window:
            stream = window.streams.video[0]
            begins = round(Fraction(float(entry.facts['begins_s'])) / stream.time_base)
            for packet in window.demux(stream):
                if packet.dts is not None:
                    packet.pts, packet.dts = packet.pts + begins, packet.dts + begins
                    yield packet


def _sound_packets(output: Any, source: Path, end_s: float) -> Iterator[Any]:
    """The audio of a recording up to a time: copied where the output can take it, else encoded anew in mono."""
    recording = Recording.open(source)
    if not recording.audio:
        return iter(())
    number = recording.audible_stream()
    if recording.audio[number].codec in COPIED_SOUND and recording.container in COPIED_FROM:
        return _copied_sound(output, source, recording, number, end_s)
    return _encoded_sound(output, recording, number, end_s)


def _copied_sound(output: Any, path: Path, recording: Recording, number: int, end_s: float) -> Iterator[Any]:
    origin_s = Fraction(recording.origin_s).limit_denominator(1_000_000)
    with av.open(os.fspath(path)) as opened:
        stream = opened.streams.audio[number]
        copy = output.add_stream_from_template(stream)
        for packet in opened.demux(stream):
            if packet.dts is None or packet.pts is None:
                continue
            shift = round(origin_s / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            if packet.pts * packet.time_base >= end_s:
                break
            packet.stream = copy
            yield packet


def _encoded_sound(output: Any, recording: Recording, number: int, end_s: float) -> Iterator[Any]:
    stream = output.add_stream('aac', rate=SOUND_RATE_HZ, layout='mono')
    written = 0
    for block in recording.samples(SOUND_RATE_HZ, SOUND_BLOCK_S, number):
        samples = block.samples[: max(0, round(end_s * SOUND_RATE_HZ) - written)]
        if not len(samples):
            break
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format='fltp', layout='mono')
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE_HZ, written, Fraction(1, SOUND_RATE_HZ)
        written += len(samples)
        yield from stream.encode(frame)
    yield from stream.encode(None)
