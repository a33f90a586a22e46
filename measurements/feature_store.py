"""Features by memory map beside one .npy a sample: seconds to load, and what stays in memory.

    python measurements/feature_store.py [--out FILE]

Loading: 5,030 samples of 1,024 float32 (the size of MER2023), from files that the system has already read: opened and
brought into one matrix, in the order of the file (a view) and in a drawn order (a copy); a view reads nothing, so it is
also timed with a sum over every value. The copy is also timed from a store that is open, its samples known by number:
what an epoch costs. The peer is a plain loop over `np.load` in the same order; all are run in turn and medians are
compared. The published loader's own way, a pool of eight processes, is run once, its start included. The figures kept
were taken under `chrt -f 10`, so that other work on the machine does not interrupt a run of milliseconds.
Random: one sample at a time, in an order that is drawn.
Memory: a process of its own opens a store of 30,000 samples of 1,024 float32 (123 MB), and reads 1,000 random ones; its
resident size is compared with that of a process that only imports the same modules. What is read is shared with the
system's file cache: private memory is told apart.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from affekt.features import Features, Provenance, Store, write_features
from affekt.features.store import SUFFIX
from affekt.typed_json import json_file

HERE = Path(__file__).resolve().parent
SAMPLES, LARGE, DIMENSION = 5_030, 30_000, 1_024
RUNS = 15


def made_up(count: int) -> Iterator[Features]:
    rng = np.random.default_rng(0)
    for number in range(count):
        yield Features(f'sample_{number:08d}', rng.standard_normal((1, DIMENSION), dtype=np.float32))


def write_store(folder: Path, count: int) -> Path:
    write_features(folder / f'shard-1-of-1{SUFFIX}', made_up(count), Provenance('toy', 'ab' * 32, DIMENSION, {}))
    return folder


def write_npy(folder: Path, count: int) -> Path:
    folder.mkdir()
    for entry in made_up(count):
        np.save(folder / f'{entry.sample}.npy', entry.values[0])
    return folder


def plain(folder: Path, names: list[str]) -> np.ndarray:
    return np.stack([np.load(folder / f'{name}.npy') for name in names])


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def published(folder: Path, names: list[str]) -> np.ndarray:
    """The loop of the published loader: eight processes that each hand back one array at a time."""
    with multiprocessing.get_context('spawn').Pool(8) as pool:
        return np.stack(list(pool.imap(np.load, [folder / f'{name}.npy' for name in names])))


def ordered(folder: Path, names: list[str]) -> float:
    """Open, ask for all in the order of the file (a view), and read every value once."""
    return float(Store(folder).matrix(names).sum())


def loading(folder: Path) -> dict[str, float]:
    store_folder, npy = write_store(folder / 'store', SAMPLES), write_npy(folder / 'npy', SAMPLES)
    names = [entry.sample for entry in made_up(SAMPLES)]
    shuffled = np.random.default_rng(1).permutation(names).tolist()
    if not np.array_equal(Store(store_folder).matrix(shuffled), plain(npy, shuffled)):
        raise RuntimeError('the two hold different values')
    store = Store(store_folder)
    numbers = store.numbers(shuffled)
    work: dict[str, Callable[[], object]] = {
        'npy': lambda: plain(npy, names),
        'npy_shuffled': lambda: plain(npy, shuffled),
        'npy_and_sum': lambda: plain(npy, names).sum(),
        'open_and_view': lambda: Store(store_folder).matrix(names),
        'open_view_and_sum': lambda: ordered(store_folder, names),
        'open_and_copy_shuffled': lambda: Store(store_folder).matrix(shuffled),
        'copy_shuffled': lambda: store.rows(numbers),
    }
    times: dict[str, list[float]] = {key: [] for key in work}
    for _ in range(RUNS):
        for key, run in work.items():
            times[key].append(seconds(run))
    median = {key: statistics.median(runs) for key, runs in times.items()}
    pool_s = seconds(lambda: published(npy, names))
    one_npy = seconds(lambda: [np.load(npy / f'{name}.npy') for name in shuffled]) / SAMPLES
    one_store = seconds(lambda: [store.values(name) for name in shuffled]) / SAMPLES
    return {
        'samples': SAMPLES,
        'dimension': DIMENSION,
        'runs': RUNS,
        **{f'{key}_s': value for key, value in median.items()},
        'published_pool_s': pool_s,
        'view_times_faster': median['npy'] / median['open_and_view'],
        'view_and_sum_times_faster': median['npy_and_sum'] / median['open_view_and_sum'],
        'copy_times_faster': median['npy_shuffled'] / median['open_and_copy_shuffled'],
        'copy_of_open_times_faster': median['npy_shuffled'] / median['copy_shuffled'],
        'view_and_sum_times_faster_than_published_pool': pool_s / median['open_view_and_sum'],
        'random_npy_ms': 1e3 * one_npy,
        'random_store_ms': 1e3 * one_store,
        'random_times_faster': one_npy / one_store,
    }


def resident_mb() -> dict[str, float]:
    """Of this process: all that is resident, and what is its own."""
    status = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())
    return {key: int(status[key].split()[0]) / 1000 for key in ('VmRSS', 'RssAnon')}


def measure_memory(folder: Path | None) -> dict[str, float]:
    import pyarrow  # noqa: F401  the baseline holds the library too

    if folder is None:
        return resident_mb()
    store = Store(folder)
    opened = resident_mb()
    order = np.random.default_rng(2).permutation(store.names)
    total = 0.0
    for name in order[:1000]:
        total += float(store.values(str(name)).sum())
    some = resident_mb()
    for name in order:
        total += float(store.values(str(name)).sum())
    every = resident_mb()
    return {
        'opened': opened['VmRSS'], 'opened_private': opened['RssAnon'], 'read_1000': some['VmRSS'],
        'read_1000_private': some['RssAnon'], 'read_all_private': every['RssAnon'], 'read_all': every['VmRSS'],
        'sum': total,
    }  # fmt: skip


def memory(folder: Path) -> dict[str, float]:
    write_store(folder / 'large', LARGE)
    command = [sys.executable, __file__, '--measure']
    measured = [
        json.loads(subprocess.run([*command, *words], check=True, capture_output=True, text=True).stdout)
        for words in ([], [str(folder / 'large')])
    ]
    base, loaded = measured
    above = {
        key: loaded[key] - base['RssAnon' if key.endswith('private') else 'VmRSS'] for key in loaded if key != 'sum'
    }
    return {
        'samples': LARGE, 'dimension': DIMENSION, 'values_mb': LARGE * DIMENSION * 4 / 1e6,
        'baseline_mb': base['VmRSS'],
        **{f'{key}_mb_above': value for key, value in above.items()},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'feature_store.json')
    parser.add_argument('--measure', nargs='?', const='', default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(measure_memory(Path(options.measure) if options.measure else None)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = {'loading': loading(folder), 'memory': memory(folder)}
    result = {part: {key: float(f'{value:.4g}') for key, value in figures.items()} for part, figures in result.items()}
    options.out.write_bytes(json_file(result))
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
