"""Kills `affekt stream --out` with signal 9 at random moments: are rows lost that were due on disk?

    python stream_kills.py --data DIR [--kills 50] [--seed 1]

Each round reads a recorded face with speech in real time, as the command does, and kills it up to three seconds after
its first reading of a face. The next session with the same folder then finishes what was left, as documented.
Rows go to disk each half second, between two frames. `lost` counts readings of a face that had come out more than half
a second before the last such moment and have no row in the finished result, `twice` rows of the same moment,
`unfinished` rounds that left no result though a row was due. `lost_later` counts later readings without a row, which
may be lost. When a reading came out is worked out from its time and delay: a file is read in real time.

Figures of several seeds add up in the result file; a seed that is drawn again replaces its earlier figures.
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
from typing import Any

import av
import numpy as np
from live import DATA, ONE_THREAD, clip

from affekt.analysis import Analysis
from affekt.live import LiveSession
from affekt.live.store import KEEP_EVERY_S
from affekt.runs import versions, write_atomically
from affekt.typed_json import json_file

RESULT = Path(__file__).resolve().parent / 'results' / 'stream_kills.json'
BROKEN = ('lost', 'twice', 'unfinished')
LONGEST_S = 3.0
SLACK_S = 0.1
"""From one reading to the moment when rows go to disk, beyond the half second."""


def started(words: list[str]) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, '-m', 'affekt', *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=os.environ | ONE_THREAD,
    )  # fmt: skip


def killed_after(words: list[str], wait_s: float) -> tuple[list[tuple[float, float]], float]:
    """Times of each reading of a face and when it came out, and when the last reading but one did; killed after."""
    seen, out_s, killed_s = [], [float('-inf')], float('inf')
    with started(words) as process:
        for line in process.stdout or ():
            reading = json.loads(line)
            out_s.append(reading['time_s'] + reading['latency_s'])
            if reading['faces']:
                seen.append((reading['time_s'], out_s[-1]))
                killed_s = min(killed_s, time.monotonic() + wait_s)
            if time.monotonic() >= killed_s:
                break
        process.kill()
    return seen, out_s[-2]


def finished(out: Path, still: Path) -> list[float]:
    """Times of the rows of faces in the result that the next session with the folder makes of what was left."""
    session = LiveSession(still, out=out)
    session.start()
    session.discard()
    tables = [Analysis.load(path.parent).tables['faces'] for path in sorted(out.glob('*/report.html'))]
    return [float(value) for table in tables for value in table['time_s'].to_pylist()]


def with_seed(earlier: dict[str, Any], seed: int, figures: dict[str, Any]) -> dict[str, Any]:
    """The result with those of one more seed: sums, and each seed's own under `seeds`."""
    seeds = {**earlier.get('seeds', {}), str(seed): figures}
    return {
        **{name: sum(each[name] for each in seeds.values()) for name in ('kills', 'rows', 'lost_later')},
        'broken': {name: sum(each['broken'][name] for each in seeds.values()) for name in BROKEN},
        'seeds': seeds,
        'versions': versions(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--kills', type=int, default=50)
    parser.add_argument('--seed', type=int, default=1)
    options = parser.parse_args()
    draw, counts = random.Random(options.seed), Counter(dict.fromkeys(BROKEN, 0))
    earlier = json.loads(RESULT.read_text()) if RESULT.exists() else {}
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
            seen, between_s = killed_after(
                ['stream', str(path), '--json', '--out', str(out)], draw.uniform(0.0, LONGEST_S)
            )
            times = finished(out, still)
            due = [at for at, out_s in seen if out_s < between_s - KEEP_EVERY_S - SLACK_S]
            missing = [at for at, _ in seen if not times or np.abs(np.asarray(times) - at).min() > 1e-3]
            counts['lost'] += len(set(due) & set(missing))
            counts['twice'] += len(times) - len(set(times))
            counts['unfinished'] += bool(due) and not times
            rows, later = rows + len(times), later + len(set(missing) - set(due))
            sys.stdout.write(f'{number + 1}: {len(seen)} readings, {len(times)} rows, {dict(counts)}\n')
            sys.stdout.flush()
            figures = {'kills': number + 1, 'rows': rows, 'lost_later': later, 'broken': dict(counts)}
            write_atomically(RESULT, json_file(with_seed(earlier, options.seed, figures)))


if __name__ == '__main__':
    main()
