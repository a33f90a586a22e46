"""Lines of annotation files read per second, beside a loop over lines as published entries have it.

    python measurements/frame_annotations.py [--videos N] [--frames N] [--runs N] [--out FILE]

A made-up release of the three tasks, a file a video in each, with the decimals and the share of frames without label
that releases have. Per task: its files read by `read_annotation`, and by a plain loop (split, float or int, append)
that checks nothing, in turn; so too the one file of all tasks, where lines name their frames, by `read_multitask`. Then
the whole release to one table of frames, that table saved and loaded, a submission of as many frames written and held
against the frames to answer, and a file with a bad line. Processor time of one thread, for the machine is shared; the
median of the runs.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from affekt.challenges import check_frame_submission, frames_to_answer, write_frame_submission
from affekt.frames import (
    ACTION_UNITS,
    AFFECT,
    EXPRESSIONS,
    Faults,
    FrameTable,
    find_annotations,
    read_affwild2,
    read_multitask,
)
from affekt.frames import read_annotation as read
from affekt.typed_json import json_file

HERE = Path(__file__).resolve().parent
FOLDERS = {
    'affect': 'VA_Estimation_Challenge', 'expression': 'EXPR_Recognition_Challenge', 'units': 'AU_Detection_Challenge',
}  # fmt: skip
HEADERS = {'affect': AFFECT, 'expression': EXPRESSIONS, 'units': ACTION_UNITS}
WITHOUT_LABEL = 0.1


def write_release(folder: Path, videos: int, frames: int) -> None:
    """A release with as many videos and frames of each."""
    rng = np.random.default_rng(0)
    for number in range(videos):
        part, absent = ('Validation_Set' if number % 5 == 4 else 'Train_Set'), rng.uniform(size=frames) < WITHOUT_LABEL
        affect = rng.uniform(-1, 1, (frames, 2)).tolist()
        lines = {
            'affect': ['-5,-5' if gone else f'{v:.3f},{a:.3f}' for gone, (v, a) in zip(absent, affect, strict=True)],
            'expression': np.where(absent, -1, rng.integers(0, 8, frames)).astype(str).tolist(),
            'units': [
                ','.join(map(str, row))
                for row in np.where(absent[:, None], -1, rng.integers(0, 2, (frames, 12))).tolist()
            ],
        }
        for task, rows in lines.items():
            place = folder / FOLDERS[task] / part / f'video{number}.txt'
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text('\n'.join([','.join(HEADERS[task]), *rows, '']))


def read_plainly(path: Path, task: str) -> np.ndarray:
    """One file by a loop over its lines."""
    rows = []
    with path.open() as file:
        for line in file.readlines()[1:]:
            cells = line.strip().split(',')
            rows.append(int(cells[0]) if task == 'expression' else [float(cell) for cell in cells])
    return np.array(rows)


def write_multitask(folder: Path, videos: int, frames: int) -> Path:
    """The one file of the multi-task challenge, with a line for each frame."""
    rng, path = np.random.default_rng(1), folder / 'MTL_Challenge' / 'train_set.txt'
    path.parent.mkdir(parents=True)
    with path.open('w') as file:
        file.write('image,valence,arousal,expression,aus\n')
        for video in range(videos):
            affect, classes = rng.uniform(-1, 1, (frames, 2)).tolist(), rng.integers(-1, 8, frames).tolist()
            units = [','.join(map(str, row)) for row in rng.integers(0, 2, (frames, 12)).tolist()]
            for frame, ((v, a), one, row) in enumerate(zip(affect, classes, units, strict=True), 1):
                file.write(f'video{video}/{frame:05d}.jpg,{v:.3f},{a:.3f},{one},{row}\n')
    return path


def read_multitask_plainly(path: Path) -> tuple[list[str], np.ndarray]:
    """Its image names and numbers by a loop over lines."""
    names, rows = [], []
    with path.open() as file:
        for line in file.readlines()[1:]:
            name, *cells = line.strip().split(',')
            names.append(name)
            rows.append([float(cell) for cell in cells])
    return names, np.array(rows)


def of_multitask(folder: Path, videos: int, frames: int, runs: int) -> dict[str, float]:
    """Both ways through the file of all tasks, and that they say the same."""
    path, lines = write_multitask(folder, videos, frames), videos * frames
    table, (_, plain) = read_multitask(folder), read_multitask_plainly(path)
    start = 0
    for labels in sorted(table, key=lambda labels: int(labels.video.removeprefix('video'))):
        rows = plain[start : start + frames]
        assert np.allclose(labels.affect, rows[:, :2], atol=1e-7), labels.video
        assert (labels.expression == rows[:, 2]).all(), labels.video
        assert (labels.units == rows[:, 3:]).all(), labels.video
        start += frames
    seconds = cpu_s(lambda: read_multitask(folder), runs)
    plainly = cpu_s(lambda: read_multitask_plainly(path), runs)
    return {
        'files': 1, 'cpu_s': seconds, 'plain_cpu_s': plainly, 'lines_per_s': lines / seconds,
        'plain_lines_per_s': lines / plainly, 'times_faster': plainly / seconds,
    }  # fmt: skip


def cpu_s(job: Callable[[], object], runs: int) -> float:
    """Median processor time of a job."""
    times = []
    for _ in range(runs):
        begun = time.process_time()
        job()
        times.append(time.process_time() - begun)
    return statistics.median(times)


def of_task(release: Path, task: str, lines: int, runs: int) -> dict[str, float]:
    """Both ways through the files of one task, and that they say the same."""
    paths = [path for paths in find_annotations(release).of_task(task).values() for path in paths]
    for path in paths[:2]:
        ours, plain = read(path, Faults(), task=task).values, read_plainly(path, task)
        same = np.where(plain == (-5 if task == 'affect' else np.nan), np.nan, plain)
        assert np.allclose(ours, same, atol=1e-7, equal_nan=True), path
    seconds = cpu_s(lambda: [read(path, Faults(), task=task) for path in paths], runs)
    plainly = cpu_s(lambda: [read_plainly(path, task) for path in paths], runs)
    return {
        'files': len(paths), 'cpu_s': seconds, 'plain_cpu_s': plainly, 'lines_per_s': lines / seconds,
        'plain_lines_per_s': lines / plainly, 'times_faster': plainly / seconds,
    }  # fmt: skip


def spoiled(path: Path) -> None:
    """One bad line in the middle of a file."""
    lines = path.read_text().splitlines()
    lines[len(lines) // 2] = 'nan' + lines[len(lines) // 2]
    path.write_text('\n'.join(lines))


def measured(folder: Path, videos: int, frames: int, runs: int) -> dict[str, object]:
    """All figures of one made-up release."""
    release, lines = folder / 'release', videos * frames
    write_release(release, videos, frames)
    tasks = {task: of_task(release, task, lines, runs) for task in FOLDERS}
    tasks['multitask'] = of_multitask(folder / 'multitask', videos, frames, runs)
    table = read_affwild2(release)
    whole = cpu_s(lambda: read_affwild2(release), runs)
    saved, answers = folder / 'm.frames.parquet', folder / 'VA.txt'
    save = cpu_s(lambda: table.save(saved), runs)
    load = cpu_s(lambda: FrameTable.load(saved), runs)
    filled = FrameTable(tuple(_answered(each) for each in table))
    write = cpu_s(lambda: write_frame_submission('abaw6-va', filled, answers), runs)
    wanted = frames_to_answer('abaw6-va', answers)
    check = cpu_s(lambda: check_frame_submission('abaw6-va', answers, wanted), runs)
    bad = next(iter(find_annotations(release).of_task('affect')['train']))
    spoiled(bad)
    faults = Faults()
    walk = cpu_s(lambda: read(bad, faults, task='affect'), 1)
    assert faults.count == 1, faults.shown
    return {
        'videos': videos, 'frames': frames, 'lines': lines, 'runs': runs, 'tasks': tasks,
        'release': {'lines': 3 * lines, 'cpu_s': whole, 'lines_per_s': 3 * lines / whole},
        'table': {'mb': saved.stat().st_size / 1e6, 'save_cpu_s': save, 'load_cpu_s': load},
        'submission': {'write_lines_per_s': lines / write, 'check_lines_per_s': lines / check},
        'one_bad_line': {'lines_per_s': frames / walk},
    }  # fmt: skip


def _answered(labels):
    """Predictions for every frame of a video."""
    affect = np.nan_to_num(labels.affect, nan=0.0)
    return type(labels)(labels.video, 'test', affect=affect)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--videos', type=int, default=200)
    parser.add_argument('--frames', type=int, default=5000, help='of each video')
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'frame_annotations.json')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), options.videos, options.frames, options.runs)
    options.out.write_bytes(json_file(figures))


if __name__ == '__main__':
    main()
