"""A stream's delay, what it costs, what it drops, what it keeps in memory, and how far it is from an analysis.

    python live.py --data DIR [--only latency overload slow memory agreement causality spoken busy] [--rounds 3]

The clip is a real face's (`test_media`), scaled to 640x360 at 25 frames a second, with read speech beside it; faces and
voice are on. Delays are those from reading a frame's packet to its reading. Each part runs in a process of its own;
processor time is that of the whole process without loading, per frame that was read. Where other work runs on the same
cores, the load average says so, and delays are longer than a free machine's.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from end_to_end import processor

from affekt.analysis import Analysis, AnalysisSettings, Analyzer
from affekt.faces import FaceLandmarker, FaceStream, expression_model, observe_faces
from affekt.faces import stream as faces_stream
from affekt.frames.smoothing import Smoothing
from affekt.labels import EKMAN
from affekt.live import LiveSession, StreamSettings, hearing
from affekt.live.feeds import merged
from affekt.live.hearing import VOICE_NICENESS
from affekt.live.latency import Delays
from affekt.live.smoothing import steady_filter
from affekt.media import Block, Frame, Recording
from affekt.runs import versions, write_atomically
from affekt.typed_json import json_file, plain
from affekt.voice import stream as voice_stream
from affekt.workers import BEHIND

RESULT = Path(__file__).resolve().parent / 'results' / 'live.json'
DATA = Path(__file__).resolve().parents[2] / 'shared' / 'data'
PARTS = ('latency', 'overload', 'slow', 'memory', 'agreement', 'causality', 'spoken', 'busy')
ONE_THREAD = dict.fromkeys(('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS'), '1')
"""As the command line sets it."""
TIMED = ('latency', 'overload', 'slow', 'busy')
RATE_HZ, SOUND_HZ, SIZE = 25, 48_000, (640, 360)
SECONDS = 20
LATE = (0, 1, 3, 6, 12)
PAUSES_S = (0.3, 0.6, voice_stream.PAUSE_S)
"""How long a pause may be until what follows counts as a new voice; the last is the package's own."""
PATIENT = StreamSettings(pace='as fast as read', smoothing='none')
AFFECT = ('valence', 'arousal')


def pictures(data: Path) -> list[np.ndarray]:
    """20 seconds of a face at 25 frames a second, 640x360."""
    frames = Recording.open(data / 'test_media' / 'WolfgangLanger_Pexels.mp4').frames(None, max(SIZE))
    images = [av.VideoFrame.from_ndarray(frame.image, format='rgb24') for frame in islice(frames, SECONDS * RATE_HZ)]
    return [image.reformat(*SIZE, format='rgb24').to_ndarray() for image in images]


def speech(data: Path, seconds: float, rate_hz: int = 16000) -> np.ndarray:
    """Read speech."""
    blocks = Recording.open(data / 'test_media' / 'two_cities.wav').samples(rate_hz, seconds)
    return next(iter(blocks)).samples[: round(seconds * rate_hz)]


def clip(data: Path, path: Path, container_format: str) -> list[int]:
    """Writes the clip as H.264 and AAC without delay; returns how many bytes are written after each frame.

    A muxer holds pictures back until it has the sound beside them: 21 ms of it in a packet at 48 kHz, 64 ms at 16 kHz,
    where every second picture would come together with the one before.
    """
    images, samples = pictures(data), speech(data, SECONDS, SOUND_HZ)
    file, ends = io.BytesIO(), []
    with av.open(file, 'w', format=container_format) as container:
        video = container.add_stream('libx264', rate=RATE_HZ, options={'preset': 'veryfast', 'tune': 'zerolatency'})
        video.width, video.height, video.pix_fmt = *SIZE, 'yuv420p'
        video.codec_context.gop_size = RATE_HZ
        audio = container.add_stream('aac', rate=SOUND_HZ, layout='mono')
        step = SOUND_HZ // RATE_HZ
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            frame.pts = number
            container.mux(video.encode(frame))
            part = samples[number * step : (number + 1) * step]
            sound = av.AudioFrame.from_ndarray(part[None].astype(np.float32), format='fltp', layout='mono')
            sound.sample_rate, sound.pts = SOUND_HZ, number * step
            container.mux(audio.encode(sound))
            ends.append(file.tell())
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    ends[-1] = file.tell()
    path.write_bytes(file.getvalue())
    return ends


def send(path: Path, ends: list[int], pipe: Path) -> None:
    """Writes the bytes of each frame into a pipe when its time has come."""
    content, begin = path.read_bytes(), 0
    with pipe.open('wb', buffering=0) as out:
        started = time.monotonic()
        for number, end in enumerate(ends):
            time.sleep(max(0.0, started + number / RATE_HZ - time.monotonic()))
            out.write(content[begin:end])
            begin = end


def read(source: Any, settings: StreamSettings, pause_s: float = 0.0) -> dict[str, Any]:
    """What a whole stream costs and how late its readings are, each followed by a pause of its user."""
    work = Delays()
    with LiveSession(source, settings) as session:
        started, begun_s = time.process_time(), time.monotonic()
        before_s = time.monotonic()
        for _ in session:
            work.add(time.monotonic() - before_s)
            time.sleep(pause_s)
            before_s = time.monotonic()
        cpu_s, wall_s = time.process_time() - started, time.monotonic() - begun_s
        hearer, latency = session._hearer, session.latency
    return {
        'frames_read': latency.frames,
        'frames_dropped': latency.dropped,
        'sound_dropped_s': round(latency.sound_dropped_s, 2),
        'latency_ms': {name: round(1000 * getattr(latency, f'{name}_s'), 1) for name in ('p50', 'p95', 'p99')},
        'speech_known_after_ms_p95': None if hearer is None else round(1000 * hearer.delays.quantile(0.95), 1),
        'asked_ms_p50': round(1000 * work.quantile(0.5), 1),
        'cpu_ms_a_frame': round(1000 * cpu_s / max(1, latency.frames), 1),
        'cores_used': round(cpu_s / wall_s, 2),
        'load_average': round(os.getloadavg()[0], 1),
    }


def latency(data: Path) -> dict[str, Any]:
    """A file in real time, and a sender in another process that writes a transport stream into a pipe."""
    with tempfile.TemporaryDirectory() as folder:
        path, pipe = Path(folder) / 'clip.ts', Path(folder) / 'pipe'
        ends = clip(data, path, 'mpegts')
        os.mkfifo(pipe)
        command = [sys.executable, __file__, '--send', str(path), str(pipe)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as sender:
            sender.stdin.write(json.dumps(ends))
            sender.stdin.close()
            piped = read(pipe, StreamSettings())
        mp4 = Path(folder) / 'clip.mp4'
        clip(data, mp4, 'mp4')
        return {'pipe': piped, 'file': read(mp4, StreamSettings())}


def endless(images: list[np.ndarray], rate_hz: float, seconds: float) -> Iterator[Frame]:
    """The pictures over and over, at a rate."""
    for number, image in enumerate(islice(cycle(images), round(rate_hz * seconds))):
        yield Frame(number / rate_hz, image)


def overload(data: Path) -> dict[str, Any]:
    """What this machine can read of a source that is far too fast; and sources of half and of twice that speed."""
    images = pictures(data)[:250]
    faces = StreamSettings(voice=False)
    fastest = read(endless(images, 500, 6), faces)
    possible_hz = fastest['frames_read'] / 6
    return {
        'possible_hz': round(possible_hz, 1),
        'half': read(endless(images, possible_hz / 2, 10), faces),
        'twice': read(endless(images, possible_hz * 2, 10), faces),
    }


def slow(data: Path) -> dict[str, Any]:
    """A user who takes 200 ms for every reading, at 25 frames a second: the bound is twice the work plus 80 ms.

    A frame waits whenever one is asked for, so that asking takes as long as the work.
    """
    images = pictures(data)[:250]
    result = read(endless(images, 25, 20), StreamSettings(voice=False), pause_s=0.2)
    return {**result, 'bound_ms': round(2 * result['asked_ms_p50'] + 80, 1)}


def memory(data: Path) -> dict[str, Any]:
    """The most of each minute of resident memory over half an hour of a stream: 3 frames a second, all sound.

    It is read as fast as it can be, not as slowly as it would come.
    """
    images, samples = pictures(data)[:50], speech(data, SECONDS)
    minutes, rate_hz = 30, 3

    def sound() -> Iterator[Block]:
        for number in range(minutes * 600):
            begin = number % (10 * SECONDS) * 1600
            yield Block(number / 10, samples[begin : begin + 1600])

    resident: list[float] = []
    units = merged([endless(images, rate_hz, 60.0 * minutes), sound()])
    with LiveSession(units, PATIENT.changed({'voice_every_s': 5.0})) as session:
        started = time.process_time()
        for reading in session:
            if reading.time_s >= 60 * len(resident):
                resident.append(0.0)
            resident[-1] = max(resident[-1], _resident_mib())
        cpu_s = time.process_time() - started
        kept = sum(path.stat().st_size for path in session._store.journal.folder.iterdir())
    after = resident[3:]
    middle = float(np.median(after))
    return {
        'minutes': minutes, 'frames': session.latency.frames, 'cpu_s': round(cpu_s),
        'resident_mib_each_minute': [round(value, 1) for value in resident],
        'largest_departure_after_3_minutes': round(max(abs(value - middle) for value in after) / middle, 4),
        'rows_on_disk_mib': round(kept / 2**20, 1),
    }  # fmt: skip


def _resident_mib() -> float:
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


def agreement(data: Path) -> dict[str, Any]:
    """Rows of a stream that loses no frame beside those of an analysis of the same file: largest differences."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'clip.mp4'
        clip(data, path, 'mp4')
        offline = Analyzer(AnalysisSettings(fps=None, asr='none')).analyze(path).tables
        with LiveSession(path, PATIENT) as session:
            frames = sum(1 for _ in session)
            live = Analysis.load(session.save(Path(folder) / 'run')).tables
    result: dict[str, Any] = {'frames': frames}
    for name in ('faces', 'turns', 'voice'):
        result[name] = {'rows': [live[name].num_rows, offline[name].num_rows]}
        if live[name].num_rows == offline[name].num_rows:
            result[name] |= _largest_differences(live[name], offline[name])
    return result


def _largest_differences(live: Any, offline: Any) -> dict[str, Any]:
    """The largest difference of any number but pixels, of any pixel, and whether the same is missing."""
    largest = {'numbers': 0.0, 'pixels': 0.0}
    same_missing = True
    for column in live.schema:
        if str(column.type) not in ('float', 'double'):
            continue
        left, right = (table[column.name].to_numpy().astype(np.float64) for table in (live, offline))
        same_missing &= bool((np.isnan(left) == np.isnan(right)).all())
        part = 'pixels' if column.name.startswith(('box_', 'face_size')) else 'numbers'
        difference = np.nanmax(np.abs(left - right), initial=0.0)
        largest[part] = max(largest[part], float(difference))
    return {'largest_difference': largest, 'same_missing': same_missing}


class Late:
    """A search whose detections come so many frames after the frame that they are of."""

    def __init__(self, landmarker: FaceLandmarker, frames: int) -> None:
        self._landmarker, self._frames = landmarker, frames
        self._waiting: tuple[int, Any] | None = None
        self._asked = 0

    def is_free(self, is_urgent: bool) -> bool:
        return self._waiting is None

    def give(self, image: np.ndarray, scales: int, is_urgent: bool) -> None:
        self._waiting, self._asked = (scales, self._landmarker.detect(image, scales)), 0

    def take(self) -> tuple[int, Any]:
        self._asked += 1
        if self._waiting is None or self._asked <= self._frames:
            return 0, ()
        waiting, self._waiting = self._waiting, None
        return waiting

    def close(self) -> None:
        """Nothing is left open."""


def causality(data: Path) -> dict[str, Any]:
    """What it costs to know nothing of what comes: smoothing by the past alone, and detections that come late."""
    files = [data / 'test_media' / 'WolfgangLanger_Pexels.mp4', *sorted((data / 'clips').glob('grid_b*.mpg'))]
    landmarker, expression = FaceLandmarker(), expression_model()
    late = {frames: [0, 0] for frames in LATE}
    curves = []
    for file in files:
        frames = list(islice(Recording.open(file).frames(None, max(SIZE)), 300))
        whole = observe_faces(frames, landmarker=landmarker, expression=expression).table
        rows = whole.filter(np.array([name == 'person 1' for name in whole['person'].to_pylist()]))
        curves.append(np.column_stack([rows[name].to_numpy() for name in ('time_s', *EKMAN, *AFFECT)]))
        for count in LATE:
            stream = FaceStream(landmarker=landmarker, expression=expression, search=Late(landmarker, count))
            seen = [face for frame in frames for face in stream.look(frame.time_s, frame.image)]
            late[count][0] += len(seen)
            late[count][1] += whole.num_rows
            stream.close()
    return {
        'clips': len(files),
        'smoothing': _smoothing(curves),
        'detections_late_by_frames': {
            str(count): {'rows': own, 'rows_at_once': at_once, 'missing': round(1 - own / at_once, 4)}
            for count, (own, at_once) in late.items()
        },
    }


def _smoothing(curves: list[np.ndarray]) -> dict[str, Any]:
    """Valence and arousal raw, smoothed by the past alone, and as long by both sides: steadiness, delay, distance."""
    centred_by = Smoothing('gaussian', 9)
    rows: dict[str, list[list[float]]] = {'raw': [], 'causal': []}
    steadiness: dict[str, list[float]] = {'raw': [], 'causal': [], 'centred': []}
    for curve in curves:
        times, raw = curve[:, 0], curve[:, -2:]
        smooth, steps_s = steady_filter(), np.diff(times, prepend=-np.inf)
        causal = np.stack([smooth(values, step_s) for values, step_s in zip(raw, steps_s, strict=True)])
        centred = centred_by(raw)
        step_s = float(np.median(np.diff(times)))
        for name, values in (('raw', raw), ('causal', causal), ('centred', centred)):
            steadiness[name].append(float(np.abs(np.diff(values, axis=0)).mean()))
        for name, values in (('raw', raw), ('causal', causal)):
            distance = float(np.sqrt(np.mean((values - centred) ** 2)))
            rows[name].append([distance, 1000 * step_s * _lag(values, centred)])
    return {
        'centred': 'gaussian over 9 frames',
        'change_a_frame': {name: round(float(np.mean(values)), 4) for name, values in steadiness.items()},
        'rms_distance_from_centred': {
            name: round(float(np.mean(values, axis=0)[0]), 4) for name, values in rows.items()
        },
        'lag_ms': {name: round(float(np.mean(values, axis=0)[1]), 1) for name, values in rows.items()},
    }


def spoken(data: Path) -> dict[str, Any]:
    """Readings while somebody speaks, and how many say how the voice sounds, by how long a voice may pause."""
    images = pictures(data)[:50]
    files = sorted((data / 'test_media').glob('*.wav'))
    rows = {}
    for pause_s in PAUSES_S:
        voice_stream.PAUSE_S = pause_s
        voices = [reading.voice for file in files for reading in _readings(images, file)]
        heard = [voice for voice in voices if voice is not None and voice.is_speech]
        rows[str(pause_s)] = {
            'readings': len(heard),
            'with arousal': sum(not math.isnan(voice.arousal) for voice in heard),
            'with an emotion': sum(bool(voice.emotion) for voice in heard),
        }
    return {'recordings': [file.name for file in files], 'by seconds of pause': rows}


def _readings(images: list[np.ndarray], file: Path) -> Iterator[Any]:
    """Those of a face at ten frames a second beside the speech of a file, in real time."""
    blocks = list(Recording.open(file).samples(16000, 0.1))
    seconds = len(blocks) / 10
    with LiveSession(merged([endless(images, 10, seconds), iter(blocks)])) as session:
        yield from session


def busy(data: Path) -> dict[str, Any]:
    """A stream with words beside programs that keep every core busy, by the priority of its threads."""
    others = [subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(os.cpu_count() or 1)]
    urgent = faces_stream.SearchAside._coarse_first
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'clip.mp4'
            clip(data, path, 'mp4')
            rows = {'as it is': _beside_others(path)}
            hearing.VOICE_NICENESS = BEHIND
            rows['voice yields as far as the search'] = _beside_others(path)
            hearing.VOICE_NICENESS = VOICE_NICENESS
            faces_stream.SearchAside._coarse_first = _all_scales
            rows['all scales at once'] = _beside_others(path)
            faces_stream.SearchAside._coarse_first = urgent
    finally:
        for other in others:
            other.kill()
            other.wait()
    return {'programs': len(others), 'load_average': round(os.getloadavg()[0], 1), 'streams': rows}


def _all_scales(search: Any, image: np.ndarray, scales: int) -> Any:
    """An urgent search without its coarsest scale first."""
    return faces_stream._SearchResult(scales, search._detectors[True].detect(image, scales))


def _beside_others(path: Path) -> dict[str, Any]:
    """When a stream has its first face (nan: it has none), and how many of its words come before it ends."""
    readings = []
    with LiveSession(path, StreamSettings(words='tiny.en')) as session:
        begun_s = time.monotonic()
        for reading in session:
            readings.append((time.monotonic() - begun_s, reading))
    first_s = next((at for at, reading in readings if reading.faces), math.nan)
    end_s = readings[-1][1].time_s
    words = [(reading.time_s < end_s, len(reading.words.split())) for _, reading in readings]
    total = sum(count for _, count in words)
    return {
        'frames_read': session.latency.frames,
        'first_face_after_s': round(first_s, 2),
        'with_a_face': round(sum(bool(reading.faces) for _, reading in readings) / len(readings), 3),
        'words': total,
        'words_before_the_end': round(sum(count for is_before, count in words if is_before) / max(1, total), 3),
        'ended_after_s': round(readings[-1][0], 1),
    }


def _lag(values: np.ndarray, reference: np.ndarray, most: int = 12) -> float:
    """By how many frames the values follow the reference: the shift of least squared difference, to a tenth."""
    shifts = np.arange(0.0, most, 0.1)
    times = np.arange(len(values), dtype=np.float64)
    inside = slice(most, None)
    errors = []
    for shift in shifts:
        moved = np.column_stack([np.interp(times - shift, times, column) for column in reference.T])
        errors.append(float(np.mean((values - moved)[inside] ** 2)))
    return float(shifts[int(np.argmin(errors))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--only', nargs='+', choices=PARTS, default=list(PARTS))
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--company', help='a sentence on what else ran on the machine (default: as stored)')
    parser.add_argument('--crowded', action='store_true', help='keep the delays as those of a crowded machine')
    parser.add_argument('--part', choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument('--send', nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        send(options.send[0], json.load(sys.stdin), options.send[1])
        return
    if options.part:
        sys.stdout.write(json.dumps(plain(globals()[options.part](options.data)), allow_nan=False))
        return
    result = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for part in options.only:
        command = [sys.executable, __file__, '--data', str(options.data), '--part', part]
        runs = []
        for _ in range(options.rounds if part in TIMED else 1):
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | ONE_THREAD)
            runs.append(json.loads(done.stdout))
        name = f'{part}_crowded' if options.crowded else part
        result[name] = runs if part in TIMED else runs[0]
        result |= {'cores': os.cpu_count(), 'versions': versions()}
        result.setdefault('processors', {})[name] = processor()
        if options.company is not None:
            result['company'] = f' {options.company}'.rstrip()
        write_atomically(RESULT, json_file(result))
        sys.stdout.write(f'{part}: {json.dumps(result[name])}\n')


if __name__ == '__main__':
    main()
