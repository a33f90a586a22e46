"""A manifest of 1.1 million samples as columns, beside the tuple of records that it was: seconds and memory.

    python measurements/manifest_scale.py [--samples N] [--runs N] [--out FILE]

The samples have names, videos, sound files, three texts of ten words, a category, two dimensions, a speaker, a
dialogue, a window of a recording, a split and a fold. Each figure is of a process of its own: loading the file, and
loading and saving it; in turn as `Manifest` does it and as records, which are made from the same columns, checked row
by row and written from lists, as they were before. Processor time, for the machine is shared; the peak is the resident
memory of the whole process, that of a process which imports the same modules alone stands beside it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from affekt.corpora import Facts, Manifest, Sample
from affekt.corpora.sample import COLUMNS, NUMBERS
from affekt.typed_json import json_file

HERE = Path(__file__).resolve().parent
SAMPLES = 1_100_000
FACTS = Facts(
    'a large one', categories=('neutral', 'angry', 'happy', 'sad'),
    ranges=dict.fromkeys(('valence', 'arousal'), (-5.0, 5.0)),
)  # fmt: skip
WORDS = (
    'the',
    'of',
    'and',
    'to',
    'a',
    'in',
    'is',
    'it',
    'you',
    'that',
    'he',
    'was',
    'for',
    'on',
    'are',
    'with',
    'as',
    'his',
)
WAYS = ('columns', 'records')


def write_manifest(path: Path, size: int) -> None:
    rng = np.random.default_rng(0)
    texts = [' '.join(WORDS[at] for at in line) for line in rng.integers(0, len(WORDS), (size, 10))]
    names = [f'samplenew3_{at:08d}' for at in range(size)]
    begins = np.arange(size) % 50 * 3.5
    Manifest(
        FACTS,
        (
            Sample(
                name, video=f'video/{name}.mp4', audio=f'audio/{name}.wav', text=text, chinese=text[::-1], english=text,
                category=FACTS.categories[at % 4] if at % 5 else None, valence=valence, arousal=-valence,
                speaker=f'speaker{at * 7919 % 20_000:05d}', dialogue=f'dialogue{at // 10:06d}',
                recording=f'recording{at // 50:06d}', start_s=begin, end_s=begin + 3.0,
                split=('train', 'val', 'test')[at * 104_729 % 3], fold=at % 5 + 1,
            )
            for at, (name, text, valence, begin) in enumerate(
                zip(names, texts, rng.uniform(-5, 5, size).round(3).tolist(), begins.tolist(), strict=True)
            )
        ),
    ).save(path)  # fmt: skip


def load_records(path: Path) -> tuple[Sample, ...]:
    """The records of a file, checked as they were."""
    from pyarrow import parquet

    from affekt.tables import require_bounded

    require_bounded(path)
    table = parquet.read_table(path, partitioning=None)
    rows = tuple(Sample(*row) for row in zip(*(table.column(name).to_pylist() for name in COLUMNS), strict=True))
    known = {None, *FACTS.categories}
    if any(times > 1 or not name for name, times in Counter(row.sample for row in rows).items()):
        raise ValueError('names')
    for row in rows:
        wrong = row.category not in known
        for name in NUMBERS:
            value = getattr(row, name)
            low, high = FACTS.ranges.get(name, (-math.inf, math.inf))
            wrong |= value is not None and not (math.isfinite(value) and low <= value <= high)
        if wrong or (row.start_s is not None and row.end_s is not None and row.end_s < row.start_s):
            raise ValueError(row.sample)
    return rows


def save_records(rows: tuple[Sample, ...], path: Path, like: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns, schema=parquet.read_schema(like)), sink, compression='zstd')
    path.write_bytes(sink.getvalue().to_pybytes())


def peak_mb() -> float:
    """The most resident memory of this process so far; `ru_maxrss` would count that of the one which started it."""
    line = next(line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmHWM'))
    return int(line.split()[1]) / 1024


def measured(way: str, job: str, path: Path) -> dict[str, float]:
    """In this process: CPU seconds and peak of one job."""
    importlib.import_module('pyarrow.parquet')
    if job == 'nothing':
        return {'peak_mb': peak_mb()}
    begun, wall = time.process_time(), time.perf_counter()
    manifest = Manifest.load(path) if way == 'columns' else None
    rows = () if way == 'columns' else load_records(path)
    if job == 'save':
        begun, wall = time.process_time(), time.perf_counter()
        saved = path.with_suffix(f'.{way}.parquet')
        manifest.save(saved) if manifest else save_records(rows, saved, path)
    figures = {'cpu_s': time.process_time() - begun, 'wall_s': time.perf_counter() - wall, 'peak_mb': peak_mb()}
    if manifest:
        figures['table_mb'] = manifest.samples.table.nbytes / 1e6
    return figures


def in_its_own_process(way: str, job: str, path: Path) -> dict[str, float]:
    command = [sys.executable, __file__, '--child', way, job, str(path)]
    answer: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return answer


def compared(job: str, path: Path, runs: int) -> dict[str, float]:
    """Medians of both ways, run in turn, and their ratios."""
    each = {way: [] for way in WAYS}
    for _ in range(runs):
        for way in WAYS:
            each[way].append(in_its_own_process(way, job, path))
    figures = {
        f'{way}_{what}': statistics.median(run[what] for run in each[way])
        for way in WAYS
        for what in ('cpu_s', 'wall_s', 'peak_mb')
    }
    figures['cpu_times_fewer'] = figures['records_cpu_s'] / figures['columns_cpu_s']
    figures['memory_times_less'] = figures['records_peak_mb'] / figures['columns_peak_mb']
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--samples', type=int, default=SAMPLES)
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'manifest_scale.json')
    parser.add_argument('--child', nargs=3, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        way, job, path = options.child
        print(json.dumps(measured(way, job, Path(path))))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'large.parquet'
        write_manifest(path, options.samples)
        figures = {
            'samples': options.samples, 'runs': options.runs, 'file_mb': path.stat().st_size / 1e6,
            'nothing_peak_mb': in_its_own_process('columns', 'nothing', path)['peak_mb'],
            'table_mb': in_its_own_process('columns', 'load', path)['table_mb'],
            'load': compared('load', path, options.runs), 'save': compared('save', path, options.runs),
        }  # fmt: skip
    options.out.write_bytes(json_file(figures))


if __name__ == '__main__':
    main()
