"""Damages small media files in many ways and watches what `affekt.media` makes of them.

    python benchmarks/media_fuzz.py --files 2000 --out benchmarks/results/media_fuzz.json

Every damaged file is read whole (pictures and sound) in a worker process under a time limit and a memory limit.
Classes:

    ok           nothing missing, and the report says nothing
    altered      nothing missing, the report says nothing, but some picture or sound differs from the original:
                 damage inside compressed data that no checksum covers
    reported     the report names damage or loss
    refused      one AffektError
    silent loss  time, pictures or a stream are missing and the report says nothing
    crash        any other exception, or the process died
    hang         no answer within the time limit

The first four are right, the last three are bugs.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.media_damage import DAMAGES, damaged, make_seeds

BUGS = ('silent loss', 'crash', 'hang')
CLASSES = ('ok', 'altered', 'reported', 'refused', *BUGS)
MEMORY_BYTES = 4 * 2**30
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
            'loudness': loudness, 'said': [s for s in report.sentences if not s.startswith('the name ends')],
        }  # fmt: skip
    except AffektError as error:
        return {'refused': f'{type(error).__name__}: {error}'}
    except Exception as error:
        return {'crash': f'{type(error).__name__}: {error}'}


def classify(truth: dict[str, Any], answer: dict[str, Any]) -> str:
    """The class of an answer, beside what the undamaged file gives."""
    for name in ('hang', 'crash', 'refused'):
        if name in answer:
            return name
    if answer['said']:
        return 'reported'
    fewer = answer['pictures'] < truth['pictures']
    shorter = any(answer[k] < truth[k] - TOLERANCE_S for k in ('video_s', 'sound_s'))
    if fewer or shorter:
        return 'silent loss'
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
        environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
        self.process = subprocess.Popen(
            [sys.executable, __file__, '--worker'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None


def work() -> None:
    """The worker's loop: a path in, one line of JSON out."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for line in sys.stdin:
        answer = json.dumps(read_all(Path(line.rstrip('\n'))))
        sys.stdout.write(f'{answer}\n')
        sys.stdout.flush()


def fuzz(
    files: int, seed: int, folder: Path, jobs: int = 2, timeout_s: float = 60.0, keep: Path | None = None
) -> dict[str, Any]:
    """Damage and read `files` files made in `folder`; the counts, and every bug with the file's recipe.

    The same `seed` makes the same files, whatever `jobs` is.
    """
    seeds = make_seeds(folder)
    first = Worker(timeout_s)
    truths = {path.name: first.ask(path) for path in seeds}
    first.close()
    for name, truth in truths.items():
        if truth.get('said', ['refused']):
            raise RuntimeError(f'the undamaged {name} is not read as complete: {truth}')
    counts: Counter[tuple[str, str, str]] = Counter()
    bugs: list[dict[str, Any]] = []
    numbers = iter(range(files))
    lock = threading.Lock()

    def run() -> None:
        worker = Worker(timeout_s)
        while (number := _next(numbers, lock)) is not None:
            rng = np.random.default_rng([seed, number])
            origin = seeds[number % len(seeds)]
            kind = DAMAGES[(number % len(seeds) + number // len(seeds)) % len(DAMAGES)]
            content, suffix, other = damaged(origin, kind, seeds, rng)
            path = folder / f'damaged{number}{suffix}'
            path.write_bytes(content)
            answer = worker.ask(path)
            outcome = min(
                (classify(truth, answer) for truth in _truths(truths, origin, other, kind)), key=CLASSES.index
            )
            with lock:
                counts[origin.name, kind, outcome] += 1
                if outcome in BUGS:
                    told = (
                        answer.get('crash')
                        or answer.get('hang')
                        or {k: answer[k] for k in ('kind', 'pictures', 'video_s', 'sound_s')}
                    )
                    bugs.append(
                        {'number': number, 'origin': origin.name, 'damage': kind, 'class': outcome, 'told': told}
                    )
                    if keep is not None:
                        (keep / f'{outcome.replace(" ", "_")}_{number}_{kind}{suffix}').write_bytes(content)
            path.unlink()
        worker.close()

    threads = [threading.Thread(target=run) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _summary(files, seed, counts, sorted(bugs, key=lambda bug: bug['number']))


def _truths(truths: dict[str, Any], origin: Path, other: str, kind: str) -> list[dict[str, Any]]:
    """What the file may rightly hold: the original, or the file whose head it got, or the single pixels."""
    if kind == 'one pixel':
        pictures = {'audio': 0, 'image': 1, 'video': 3}[truths[origin.name]['kind']]
        known = {'kind': '', 'pictures': pictures, 'numbers': [-1] * pictures, 'loudness': []}
        return [{**known, 'video_s': 0.05 * (pictures if pictures > 1 else 0), 'sound_s': 0.0}]
    return [truths[origin.name], truths[other]] if other in truths else [truths[origin.name]]


def _next(numbers: Any, lock: threading.Lock) -> int | None:
    with lock:
        return next(numbers, None)


def _summary(
    files: int, seed: int, counts: Counter[tuple[str, str, str]], bugs: list[dict[str, Any]]
) -> dict[str, Any]:
    def table(position: int) -> dict[str, dict[str, int]]:
        rows: dict[str, dict[str, int]] = {}
        for key, count in sorted(counts.items()):
            row = rows.setdefault(key[position], dict.fromkeys(CLASSES, 0))
            row[key[2]] += count
        return rows

    total = dict.fromkeys(CLASSES, 0)
    for key, count in counts.items():
        total[key[2]] += count
    return {'files': files, 'seed': seed, 'counts': total, 'by_damage': table(1), 'by_file': table(0), 'bugs': bugs}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--files', type=int, default=2000)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--timeout', type=float, default=60.0)
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
    with tempfile.TemporaryDirectory() as folder:
        result = fuzz(options.files, options.seed, Path(folder), options.jobs, options.timeout, options.keep)
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
