"""Damages small media files in many ways and watches what `affekt.media` makes of them.

    python measurements/media_fuzz.py --files 2000 --out measurements/results/media_fuzz.json

A run of many files can be broken off and goes on where it was, alone or in several processes, with a work folder:

    python measurements/media_fuzz.py --files 10000 --seed 7 --work /tmp/fuzz --shard 0/2 &
    python measurements/media_fuzz.py --files 10000 --seed 7 --work /tmp/fuzz --shard 1/2
    python measurements/media_fuzz.py --files 10000 --seed 7 --work /tmp/fuzz --out measurements/results/media_fuzz.json

Every damaged file is read whole (pictures and sound) in a process of its own, forked from one that has everything
imported, so that its peak of memory is that of this file: `ru_maxrss`, which includes 80 MB of the program itself.
Classes:

    ok           nothing missing, and the report says nothing
    altered      nothing missing, the report says nothing, but some picture or sound differs from the original:
                 damage inside compressed data that no checksum covers; or a GIF from which pictures were cut out whole
    foretold     only the end (or a broadcast's start) is missing, and the report says that no length is stated
    reported     the report names damage or loss
    refused      one AffektError
    silent loss  time, pictures or a stream are missing, or the file shows that something is wrong, and nothing is said
    flood        more sentences than anybody reads
    memory       more than 500 MB at the peak
    crash        any other exception, or the process died
    hang         no answer within the limit of processor time

The first five are right, the last five are bugs.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from measurements.media_damage import BYTE_DAMAGES, FILMS, SOUNDS, STILLS, Damage, damage_bytes
from measurements.media_faults import FAULTS, JOINED, inject
from measurements.media_seeds import make_seeds

BUGS = ('silent loss', 'flood', 'memory', 'crash', 'hang')
CLASSES = ('ok', 'altered', 'foretold', 'reported', 'refused', *BUGS)
PHOTOGRAPHS = ('.jpg', '.png', '.webp', '.bmp', '.tif', '.gif', '.avif', '.heic')
ADDRESS_BYTES = 4 * 2**30
MOST_MEGABYTES = 500.0
MOST_SENTENCES = 60
MOST_CPU_S = 30.0
TOLERANCE_S = 0.1
LOUDNESS_STEP_S = 0.25


def read_all(path: Path) -> dict[str, Any]:
    """Everything that a user could get from the file, as numbers that compare."""
    from affekt.errors import AffektError
    from affekt.media import Recording
    from affekt.media.synthetic import read_number

    try:
        recording = Recording.open(path)
        times, numbers = [], []
        for frame in recording.frames():
            times.append(frame.time_s)
            numbers.append(read_number(frame.image) if min(frame.image.shape[:2]) >= 24 else -1)
        blocks = [block.samples for block in recording.samples()]
        report = recording.decoded
        sound = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
        if not np.isfinite(sound).all() or np.abs(sound).max(initial=0) > 1:
            raise FloatingPointError('sound outside [-1, 1]')
        if any(b <= a for a, b in pairwise(times)):
            raise ArithmeticError('times do not increase')
        step = round(LOUDNESS_STEP_S * 16_000)
        loudness = [float(np.sqrt(np.mean(sound[i : i + step] ** 2))) for i in range(0, len(sound), step)]
        sound_s = 0.0 if report.audio is None else report.audio.decoded_s
        return {
            'kind': recording.kind, 'pictures': len(times), 'numbers': numbers, 'sound_s': sound_s,
            'video_s': 0.0 if report.video is None else report.video.decoded_s,
            'loudness': loudness, 'sentences': [s for s in report.sentences if not s.startswith('the name ends')],
        }  # fmt: skip
    except AffektError as error:
        return {'refused': f'{type(error).__name__}: {error}'}
    except Exception as error:
        return {'crash': f'{type(error).__name__}: {error}'}


def classify(truth: dict[str, Any], answer: dict[str, Any], must_say: bool = False) -> str:
    """The class of an answer, beside what the undamaged file gives."""
    for name in ('hang', 'crash'):
        if name in answer:
            return name
    if answer['memory_mb'] > MOST_MEGABYTES:
        return 'memory'
    if 'refused' in answer:
        return 'refused'
    if len(answer['sentences']) > MOST_SENTENCES:
        return 'flood'
    if set(answer['sentences']) - set(truth['sentences']):
        return 'reported'
    fewer = answer['pictures'] < truth['pictures']
    shorter = any(answer[k] < truth[k] - TOLERANCE_S for k in ('video_s', 'sound_s'))
    if must_say or fewer or shorter:
        kept, count = answer['numbers'], answer['pictures']
        is_end = kept in (truth['numbers'][:count], truth['numbers'][len(truth['numbers']) - count :])
        return 'foretold' if is_end and not must_say and answer['sentences'] else 'silent loss'
    if not truth['loudness']:
        return 'ok'
    same_sound = len(answer['loudness']) == len(truth['loudness']) and np.allclose(
        answer['loudness'], truth['loudness'], atol=0.02
    )
    return 'ok' if same_sound and answer['numbers'] == truth['numbers'] else 'altered'


class Worker:
    """A process that answers one path per line; it is replaced when it dies or takes too long."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.process: subprocess.Popen[str] | None = None

    def ask(self, path: Path) -> dict[str, Any]:
        if self.process is None or self.process.poll() is not None:
            self._start()
        process = self.process
        process.stdin.write(f'{path}\n')
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], self.timeout_s)
        if not ready:
            self.close()
            return {'hang': f'no answer in {self.timeout_s:g} s'}
        line = process.stdout.readline()
        if not line.startswith('{'):
            code = process.wait(10)
            self.process = None
            return {'crash': f'the process ended with {code}'}
        return json.loads(line)

    def _start(self) -> None:
        environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}
        self.process = subprocess.Popen(
            [sys.executable, __file__, '--worker'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip

    def close(self) -> None:
        if self.process is not None:
            self.process.stdin.close()
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None


def work() -> None:
    """The worker's loop: a path in, one line of JSON out; each file is read in a child that ends with it."""
    import affekt.media  # noqa: F401 - imported before the fork, once for all files

    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    for line in sys.stdin:
        sys.stdout.write(f'{json.dumps(_in_child(Path(line.rstrip(chr(10)))))}\n')
        sys.stdout.flush()


def _in_child(path: Path) -> dict[str, Any]:
    """What `read_all` gives in a process of its own, with its peak of memory and its processor time."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        limit = int(MOST_CPU_S)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
        with os.fdopen(writing, 'w') as pipe:
            json.dump(read_all(path), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status, usage = os.wait4(child, 0)
    cpu_s = usage.ru_utime + usage.ru_stime
    answer = json.loads(text) if os.WIFEXITED(status) and text else _ended(status)
    return {**answer, 'memory_mb': usage.ru_maxrss / 1024, 'cpu_s': cpu_s}


def _ended(status: int) -> dict[str, Any]:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return {'hang': f'more than {MOST_CPU_S:g} s of processor time'}
    return {'crash': f'the process ended with {status}'}


def combinations(seeds: list[Path]) -> list[tuple[Path, str]]:
    """Every seed with every damage that fits it."""
    pairs = []
    for seed in seeds:
        pairs += [(seed, damage) for damage in BYTE_DAMAGES if damage != 'one pixel' or _has_one_pixel(seed)]
        pairs += [(seed, fault) for fault, (_, names, _) in FAULTS.items() if seed.name in names for _ in range(2)]
        if seed.suffix not in PHOTOGRAPHS:
            pairs.append((seed, JOINED))
    return pairs


def _has_one_pixel(seed: Path) -> bool:
    return seed.suffix in STILLS | SOUNDS | FILMS


def fuzz(
    files: int,
    seed: int,
    folder: Path,
    jobs: int = 2,
    timeout_s: float = 300.0,
    keep: Path | None = None,
    shard: tuple[int, int] = (0, 1),
) -> dict[str, Any]:
    """Damage and read `files` files made in `folder`; the counts, and every bug with the file's recipe.

    The same `seed` and folder make the same files, whatever `jobs` and `shard` are. What the folder's log holds is not
    done again.
    """
    seeds = make_seeds(folder / 'seeds')
    first = Worker(timeout_s)
    truths = {path.name: first.ask(path) for path in seeds}
    first.close()
    from affekt.containers.losses import NO_LENGTH

    for name, truth in truths.items():
        if set(truth.get('sentences', ['refused'])) - {NO_LENGTH}:
            raise RuntimeError(f'the undamaged {name} is not read as complete: {truth}')
    pairs = combinations(seeds)
    log = folder / f'log_{seed}.jsonl'
    finished = {row['number'] for row in _rows(log)}
    numbers = iter([n for n in range(files) if n not in finished and n % shard[1] == shard[0]])
    lock = threading.Lock()

    def run() -> None:
        worker = Worker(timeout_s)
        while (number := _next(numbers, lock)) is not None:
            row, content, suffix = _one_file(number, seed, seeds, pairs, truths, worker, folder)
            with lock, log.open('a') as lines:
                lines.write(f'{json.dumps(row)}\n')
            if keep is not None and row['class'] in BUGS:
                name = f'{row["class"]}_{number}_{row["damage"]}{suffix}'.replace(' ', '_')
                (keep / name).write_bytes(content)
        worker.close()

    threads = [threading.Thread(target=run) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _summary(seed, sorted(_rows(log), key=lambda row: row['number']))


def _one_file(
    number: int, seed: int, seeds: list[Path], pairs: list[tuple[Path, str]], truths: dict[str, Any], worker: Worker,
    folder: Path,
) -> tuple[dict[str, Any], bytes, str]:  # fmt: skip
    """Damage, read and classify one file: its row for the log, its bytes and its ending."""
    rng = np.random.default_rng([seed, number])
    order = np.random.default_rng([seed, number // len(pairs)]).permutation(len(pairs))
    origin, damage_name = pairs[order[number % len(pairs)]]
    is_bytes = damage_name in BYTE_DAMAGES
    damage = damage_bytes(origin, damage_name, seeds, rng) if is_bytes else inject(origin, damage_name, seeds, rng)
    path = folder / f'damaged{number}{damage.suffix}'
    path.write_bytes(damage.content)
    answer = worker.ask(path)
    path.unlink()
    expected = _truths(truths, origin, damage, damage_name)
    outcome = min((classify(truth, answer, damage.must_say) for truth in expected), key=CLASSES.index)
    if outcome == 'silent loss' and origin.suffix == '.gif' and _is_whole_gif(damage.content, answer['pictures']):
        outcome = 'altered'
    row = {
        'number': number, 'origin': origin.name, 'damage': damage_name, 'class': outcome,
        'memory_mb': round(answer.get('memory_mb', 0.0), 1), 'cpu_s': round(answer.get('cpu_s', 0.0), 2),
    }  # fmt: skip
    if outcome in BUGS:
        row['answer'] = (
            answer.get('crash')
            or answer.get('hang')
            or {k: v for k, v in answer.items() if k not in ('loudness', 'numbers')}
        )
    return row, damage.content, damage.suffix


def _truths(truths: dict[str, Any], origin: Path, damage: Damage, damage_name: str) -> list[dict[str, Any]]:
    """What the file may rightly hold: the original, the file whose head it got, both joined, or the single pixels."""
    own = truths[origin.name]
    if damage_name == 'one pixel':
        pictures = {'audio': 0, 'image': 1, 'video': 3}[own['kind']]
        known = {'kind': '', 'pictures': pictures, 'numbers': [-1] * pictures, 'loudness': [], 'sentences': []}
        return [{**known, 'video_s': 0.05 * (pictures if pictures > 1 else 0), 'sound_s': 0.0}]
    if damage.joined:
        other = truths[damage.joined]
        summed = {key: own[key] + other[key] for key in ('pictures', 'numbers', 'loudness', 'video_s', 'sound_s')}
        return [{**own, **summed}]
    return [own, truths[damage.contained]] if damage.contained in truths else [own]


def _is_whole_gif(content: bytes, pictures: int) -> bool:
    """Whether another reader finds as many pictures; nothing in a GIF says how many there were."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.n_frames == pictures
    except Exception:
        return False


def _rows(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def _next(numbers: Any, lock: threading.Lock) -> int | None:
    with lock:
        return next(numbers, None)


def _summary(seed: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    def table(key: str) -> dict[str, dict[str, int]]:
        counts: dict[str, dict[str, int]] = {}
        for row in sorted(rows, key=lambda row: row[key]):
            counts.setdefault(row[key], dict.fromkeys(CLASSES, 0))[row['class']] += 1
        return counts

    total = Counter(row['class'] for row in rows)
    return {
        'files': len(rows), 'seed': seed, 'counts': {name: total[name] for name in CLASSES},
        'by_damage': table('damage'), 'by_file': table('origin'),
        'peak_memory_mb': max((row['memory_mb'] for row in rows), default=0.0),
        'longest_cpu_s': max((row['cpu_s'] for row in rows), default=0.0),
        'bugs': [row for row in rows if row['class'] in BUGS],
    }  # fmt: skip


def _shard(text: str) -> tuple[int, int]:
    part, _, parts = text.partition('/')
    return int(part), int(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--files', type=int, default=2000)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument('--timeout', type=float, default=300.0, help='seconds by the clock for one file')
    parser.add_argument('--work', type=Path, help='folder of the seeds and the log; a run there goes on where it was')
    parser.add_argument('--shard', type=_shard, default=(0, 1), help='such as 0/2: every second file from the first')
    parser.add_argument('--out', type=Path)
    parser.add_argument('--keep', type=Path, help='folder for the files that show a bug')
    parser.add_argument('--worker', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work()
        return 0
    started = time.monotonic()
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        result = fuzz(
            options.files, options.seed, folder, options.jobs, options.timeout, options.keep, options.shard
        )  # fmt: skip
    import av

    result['seconds'] = round(time.monotonic() - started, 1)
    result['versions'] = {'av': av.__version__, 'libavcodec': '.'.join(map(str, av.library_versions['libavcodec']))}
    text = json.dumps(result, indent=1)
    if options.out:
        options.out.write_text(text + '\n')
    sys.stdout.write(f'{json.dumps(result["counts"])}\n{json.dumps(result["bugs"][:40], indent=1)}\n')
    return 1 if any(result['counts'][name] for name in BUGS) else 0


if __name__ == '__main__':
    sys.exit(main())
