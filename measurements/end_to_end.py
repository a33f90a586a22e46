"""Speed and peak memory of the main job on a 640x360 talking face, with face, voice and words all on.

    python measurements/end_to_end.py [--seconds 60] [--minutes 1 5 30] [--against REF] [--venv DIR] [--out FILE]
        [--only against mediapipe every_frame memory]

Each figure comes from a process of its own. `every_frame` counts every frame of the video (30 a second) against the
wall time of `Analyzer.analyze`, models loaded; `with report` adds saving, the video's copy and the page. Memory is the
peak resident size of a whole `analyze` at the default rate, for recordings of several lengths, and that of the longest
over that of the shortest.

With --against, an earlier state of the repository (a commit) analyzes the same clip at the default rate, in turn with
this one: `against` holds wall and processor seconds of both, their ratios, the pace on one core, two and so on, and how
far the readings of faces differ. With --venv, mediapipe (see faces_agreement.py) reads the same frames in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ONE_THREAD = {'OPENBLAS_NUM_THREADS': '1', 'OMP_NUM_THREADS': '1'}
"""As the command line sets it: a pool inside matrix products only makes the two threads wait for each other."""
DEFAULT_FPS = 12.5
CORES_COMPARED = 2
PARTS = ('against', 'mediapipe', 'every_frame', 'memory')
REDEFINED = ('gaze_yaw_deg', 'gaze_pitch_deg', 'quality')
"""Readings that are defined otherwise since."""


def measure(clip: Path, fps: float | None, table: Path | None = None) -> dict[str, float]:
    """Analyze one clip in this process; seconds, frames and peak memory. `table` gets the rows of faces."""
    from affekt.analysis import Analyzer
    from affekt.analysis.settings import AnalysisSettings
    from affekt.media import Recording

    recording = Recording.open(clip)
    assert recording.video is not None
    assert recording.duration_s is not None
    begun = time.perf_counter()
    analyzer = Analyzer(AnalysisSettings(fps=fps))
    loaded, spent = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as out:
        analysis = analyzer.analyze(clip, spill=Path(out))
        analyzed, spent = time.perf_counter(), time.process_time() - spent
        analysis.save(out)
        analysis.report(Path(out) / 'report.html', media=clip)
        reported = time.perf_counter()
    if table is not None:
        import pyarrow.parquet as pq

        pq.write_table(analysis.tables['faces'], table)
    frames = recording.duration_s * (fps or recording.video.rate_hz)
    return {
        'duration_s': recording.duration_s,
        'analyzed_frames': frames,
        'load_s': loaded - begun,
        'analyze_s': analyzed - loaded,
        'analyze_cpu_s': spent,
        'report_s': reported - analyzed,
        'fps_analyze': frames / (analyzed - loaded),
        'fps_with_report': frames / (reported - loaded),
        'peak_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def in_own_process(
    clip: Path, fps: float | None, *, package: Path = HERE.parent, cores: int = 0, table: Path | None = None
) -> dict[str, float]:
    """`measure` in a process that imports affekt from the folder `package`, on so many cores (0: all)."""
    words = [sys.executable, __file__, '--one', str(clip), '--fps', str(fps or 0), '--cores', str(cores)]
    words += ['--table', str(table)] if table is not None else []
    environment = os.environ | ONE_THREAD | {'PYTHONPATH': str(package)}
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def against(ref: str, clip: Path, rounds: int) -> dict[str, Any]:
    """This state of the repository and an earlier one on the same clip, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        earlier = Path(folder) / 'earlier'
        earlier.mkdir()
        packed = subprocess.run(
            ['git', '-C', str(HERE.parent), 'archive', ref, 'affekt'], check=True, capture_output=True
        ).stdout
        subprocess.run(['tar', '-x', '-C', str(earlier)], input=packed, check=True)
        tables = {name: Path(folder) / f'{name}.parquet' for name in ('before', 'now')}
        packages = {'before': earlier, 'now': HERE.parent}
        runs: dict[str, list[dict[str, float]]] = {'before': [], 'now': []}
        loads = []
        for _ in range(rounds):
            loads.append(round(os.getloadavg()[0], 1))
            for name, package in packages.items():
                run = in_own_process(clip, DEFAULT_FPS, package=package, cores=CORES_COMPARED, table=tables[name])
                runs[name].append(run)
        available = len(os.sched_getaffinity(0))
        scaling = {
            str(cores): round(in_own_process(clip, DEFAULT_FPS, cores=cores)['analyze_s'], 2)
            for cores in dict.fromkeys([1, 2, *[2**k for k in range(2, 10)], available])
            if cores <= available
        }
        readings = differences(*tables.values())
    ratios = [now['analyze_s'] / before['analyze_s'] for before, now in zip(*runs.values(), strict=True)]
    cpu = [now['analyze_cpu_s'] / before['analyze_cpu_s'] for before, now in zip(*runs.values(), strict=True)]
    return {
        'ref': ref,
        'cores': CORES_COMPARED,
        'load_average_before_each_round': loads,
        **{f'analyze_s_{name}': [round(run['analyze_s'], 2) for run in of] for name, of in runs.items()},
        **{f'cpu_s_{name}': [round(run['analyze_cpu_s'], 2) for run in of] for name, of in runs.items()},
        'wall_ratio_of_each_round': [round(ratio, 3) for ratio in ratios],
        'wall_ratio': round(median(ratios), 3),
        'cpu_ratio': round(median(cpu), 3),
        'fps_before': round(median(run['fps_analyze'] for run in runs['before']), 1),
        'fps_now': round(median(run['fps_analyze'] for run in runs['now']), 1),
        'analyze_s_by_cores': scaling,
        'readings': readings,
    }


def differences(before: Path, now: Path) -> dict[str, Any]:
    """How far the rows of faces differ: readings, which should not, and the probabilities of categories."""
    import pyarrow.parquet as pq

    from affekt.faces import READINGS
    from affekt.labels import EKMAN

    earlier, later = pq.read_table(before), pq.read_table(now)
    names = [r.name for r in READINGS if r.name not in REDEFINED and r.name in earlier.column_names]

    def gaps(columns: Sequence[str]) -> np.ndarray:
        return np.abs(np.stack([later[name].to_numpy() - earlier[name].to_numpy() for name in columns]))

    if earlier.num_rows != later.num_rows:
        return {'rows_before': earlier.num_rows, 'rows_now': later.num_rows}
    return {
        'rows': later.num_rows,
        'largest_difference_of_a_reading': float(np.nanmax(gaps(names))),
        'mean_difference_of_a_probability': round(float(np.nanmean(gaps(EKMAN))), 4),
        'largest_difference_of_a_probability': round(float(np.nanmax(gaps(EKMAN))), 4),
    }


def mediapipe_pace(venv: Path, clip: Path) -> dict[str, Any]:
    """Frames per second of mediapipe's face landmarker in video mode on the frames that affekt looks at."""
    from faces_agreement import PACKAGE, prepared, theirs

    from affekt.media import Recording
    from affekt.weights import model_path

    frames = [(frame.time_s, frame.image) for frame in Recording.open(clip).frames(DEFAULT_FPS)]
    times, images = zip(*frames, strict=True)
    seen = theirs(prepared(venv), Path(model_path('face_landmarker.task')), images, times, 'video')
    return {
        'package': PACKAGE,
        'cpu_ms_per_frame': round(1000 * float(seen['cpu_s']) / len(images), 2),
        'frames_per_cpu_second': round(len(images) / float(seen['cpu_s']), 1),
    }


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path('/proc/cpuinfo').read_text('utf-8').splitlines()
    except OSError:
        import platform

        return platform.processor() or platform.machine()
    name = next((line.split(':')[1].strip() for line in lines if line.startswith('model name')), 'unknown')
    flags = next((line.split(':')[1].split() for line in lines if line.startswith('flags')), [])
    wide = ', '.join(flag for flag in ('avx2', 'avx512f', 'avx512_vnni', 'avx_vnni') if flag in flags)
    return f'{name} ({wide})' if wide else name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=60.0)
    parser.add_argument('--minutes', type=float, nargs='*', default=[1.0, 5.0, 30.0])
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--clips', type=Path, default=HERE / '.clips')
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'end_to_end.json')
    parser.add_argument('--against', metavar='REF', help='commit whose speed on two cores is measured beside')
    parser.add_argument('--venv', type=Path, help='where mediapipe is, or will be, installed')
    parser.add_argument('--only', nargs='+', choices=PARTS, default=PARTS, help='what is measured; the rest stays')
    parser.add_argument('--one', type=Path, help=argparse.SUPPRESS)
    parser.add_argument('--cores', type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument('--table', type=Path, help=argparse.SUPPRESS)
    parser.add_argument('--fps', type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        if options.cores:
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
        print(json.dumps(measure(options.one, options.fps or None, options.table)))
        return
    from clips import talking_face

    result: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    given = {'against': options.against, 'mediapipe': options.venv, 'every_frame': True, 'memory': options.minutes}
    stays = [part for part in PARTS if part in result and not (given[part] and part in options.only)]
    if stays and result.get('processor') != processor():
        parser.error(f'{", ".join(stays)} of {options.out} is of another processor: measure all, or name another --out')
    clip = talking_face(options.clips / f'face_{options.seconds:g}s.mp4', options.seconds)
    result |= {
        'clip': '640x360 at 30 frames/s, one talking face, read speech',
        'processor': processor(),
        'cores': len(os.sched_getaffinity(0)),
    }
    if options.against and 'against' in options.only:
        result['against'] = against(options.against, clip, options.repeats)
    if options.venv and 'mediapipe' in options.only:
        result['mediapipe'] = mediapipe_pace(options.venv, clip)
    if 'every_frame' in options.only:
        runs = [in_own_process(clip, None) for _ in range(options.repeats)]
        result['every_frame'] = sorted(runs, key=lambda run: run['fps_analyze'])[len(runs) // 2]
        result['fps_of_each_run'] = [round(run['fps_analyze'], 1) for run in runs]
    if 'memory' in options.only and options.minutes:
        result['memory'] = memory = []
        for minutes in options.minutes:
            long_clip = talking_face(options.clips / f'face_{minutes:g}min.mp4', minutes * 60, rate_hz=12.5)
            memory.append(in_own_process(long_clip, 12.5))
        result['peak_of_longest_over_shortest'] = memory[-1]['peak_mb'] / memory[0]['peak_mb']
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + '\n')
    print(json.dumps(result, indent=2))


if __name__ == '__main__':
    main()
