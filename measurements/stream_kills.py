"""Kills `affekt stream --out` with signal 9 at random moments: are rows lost that were read half a second before?

    python stream_kills.py --data DIR [--kills 50] [--seed 1]

Each round reads a recorded face with speech in real time, as the command does, and kills it up to three seconds after
its first reading of a face. Another stream into the same folder then finishes what was left, as the documentation says.
`lost` counts readings of a face that had come out more than half a second before the kill and have no row in the
finished result, `twice` rows of the same moment, `unfinished` rounds that left no result though a row was due.
`lost_later` counts readings of the last half second without a row, which may be lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import av
import numpy as np
from live import DATA, ONE_THREAD, clip

from affekt.analysis import Analysis
from affekt.live.store import KEEP_EVERY_S
from affekt.runs import versions, write_atomically

RESULT = Path(__file__).resolve().parent / 'results' / 'stream_kills.json'
LONGEST_S = 3.0
SLACK_S = 0.1
"""Between a reading and its line in the pipe, beyond the half second."""


def started(words: list[str]) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, '-m', 'affekt', *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=os.environ | ONE_THREAD,
    )  # fmt: skip


def killed_after(words: list[str], wait_s: float) -> tuple[list[tuple[float, float]], float]:
    """Stream time and arrival of each reading of a face, and when it was killed, `wait_s` after the first."""
    arrived, killed_s = [], float('inf')
    with started(words) as process:
        for line in process.stdout or ():
            now_s = time.monotonic()
            reading = json.loads(line) if line.endswith('}\n') else {'faces': ()}
            if reading['faces']:
                arrived.append((reading['time_s'], now_s))
                killed_s = min(killed_s, now_s + wait_s)
            if now_s >= killed_s:
                break
        process.kill()
        killed_s = time.monotonic()
    return arrived, killed_s


def finished(out: Path, still: Path) -> list[float]:
    """Times of the rows of faces in the result that the next stream into the folder makes of what was left."""
    with started(['stream', str(still), '--no-voice', '--json', '--seconds', '0.2', '--out', str(out)]) as process:
        process.communicate()
    tables = [Analysis.load(path.parent).tables['faces'] for path in sorted(out.glob('*/report.html'))]
    return [float(value) for table in tables for value in table['time_s'].to_pylist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--kills', type=int, default=50)
    parser.add_argument('--seed', type=int, default=1)
    options = parser.parse_args()
    draw, counts = random.Random(options.seed), Counter(dict.fromkeys(('lost', 'twice', 'unfinished'), 0))
    rows = later = 0
    with tempfile.TemporaryDirectory() as name:
        path, still = Path(name) / 'clip.mp4', Path(name) / 'still.mp4'
        clip(options.data, path, 'mp4')
        with av.open(str(still), 'w') as container:
            stream = container.add_stream('libx264', rate=25, width=160, height=120, pix_fmt='yuv420p')
            for _ in range(5):
                grey = np.full((120, 160, 3), 128, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format='rgb24')))
            container.mux(stream.encode(None))
        for number in range(options.kills):
            out = Path(name) / f'run{number}'
            arrived, killed_s = killed_after(
                ['stream', str(path), '--json', '--out', str(out)], draw.uniform(0.0, LONGEST_S)
            )
            times = finished(out, still)
            due = [at for at, seen_s in arrived if seen_s < killed_s - KEEP_EVERY_S - SLACK_S]
            missing = [at for at, _ in arrived if not times or np.abs(np.asarray(times) - at).min() > 1e-3]
            counts['lost'] += len(set(due) & set(missing))
            counts['twice'] += len(times) - len(set(times))
            counts['unfinished'] += bool(due) and not times
            rows, later = rows + len(times), later + len(set(missing) - set(due))
            sys.stdout.write(f'{number + 1}: {len(arrived)} readings, {len(times)} rows, {dict(counts)}\n')
            sys.stdout.flush()
    result = {
        'kills': options.kills, 'seed': options.seed, 'rows': rows, 'lost_later': later, 'broken': dict(counts),
        'versions': versions(),
    }  # fmt: skip
    write_atomically(RESULT, json.dumps(result, indent=1).encode() + b'\n')


if __name__ == '__main__':
    main()
