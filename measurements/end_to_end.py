"""Speed and peak memory of the main job on a 640x360 talking face, with face, voice and words all on.

    python measurements/end_to_end.py [--seconds 60] [--minutes 1 5 30] [--out FILE]

Each figure comes from a process of its own. `analyzed frames per second` counts every frame of the video (30 a second)
against the wall time of `Analyzer.analyze`, models loaded; `with report` adds saving, the video's copy and the page.
Memory is the peak resident size of a whole `analyze` at the default rate, for recordings of several lengths, and
that of the longest over that of the shortest.
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
from pathlib import Path

HERE = Path(__file__).resolve().parent
ONE_THREAD = {'OPENBLAS_NUM_THREADS': '1', 'OMP_NUM_THREADS': '1'}
"""As the command line sets it: a pool inside matrix products only makes the two threads wait for each other."""


def measure(clip: Path, fps: float | None) -> dict[str, float]:
    """Analyze one clip in this process; seconds, frames and peak memory."""
    from affekt.analysis import Analyzer
    from affekt.analysis.settings import AnalysisSettings
    from affekt.media import Recording

    recording = Recording.open(clip)
    assert recording.video is not None
    assert recording.duration_s is not None
    begun = time.perf_counter()
    analyzer = Analyzer(AnalysisSettings(fps=fps))
    loaded = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        analysis = analyzer.analyze(clip, spill=Path(out))
        analyzed = time.perf_counter()
        analysis.save(out)
        analysis.report(Path(out) / 'report.html', media=clip)
        reported = time.perf_counter()
    frames = recording.duration_s * (fps or recording.video.rate_hz)
    return {
        'duration_s': recording.duration_s,
        'analyzed_frames': frames,
        'load_s': loaded - begun,
        'analyze_s': analyzed - loaded,
        'report_s': reported - analyzed,
        'fps_analyze': frames / (analyzed - loaded),
        'fps_with_report': frames / (reported - loaded),
        'peak_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def in_own_process(clip: Path, fps: float | None) -> dict[str, float]:
    words = [sys.executable, __file__, '--one', str(clip), '--fps', str(fps or 0)]
    return json.loads(
        subprocess.run(words, check=True, capture_output=True, text=True, env=os.environ | ONE_THREAD).stdout
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=60.0)
    parser.add_argument('--minutes', type=float, nargs='*', default=[1.0, 5.0, 30.0])
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--clips', type=Path, default=HERE / '.clips')
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'end_to_end.json')
    parser.add_argument('--one', type=Path, help=argparse.SUPPRESS)
    parser.add_argument('--fps', type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.fps or None)))
        return
    from clips import talking_face

    clip = talking_face(options.clips / f'face_{options.seconds:g}s.mp4', options.seconds)
    runs = [in_own_process(clip, None) for _ in range(options.repeats)]
    speed = sorted(runs, key=lambda run: run['fps_analyze'])[len(runs) // 2]
    memory = []
    for minutes in options.minutes:
        long_clip = talking_face(options.clips / f'face_{minutes:g}min.mp4', minutes * 60, rate_hz=12.5)
        memory.append(in_own_process(long_clip, 12.5))
    peaks = [run['peak_mb'] for run in memory]
    result = {
        'clip': '640x360 at 30 frames/s, one talking face, read speech',
        'cores': len(os.sched_getaffinity(0)),
        'every_frame': speed,
        'fps_of_each_run': [round(run['fps_analyze'], 1) for run in runs],
        'memory': memory,
        'peak_of_longest_over_shortest': peaks[-1] / peaks[0] if peaks else None,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + '\n')
    print(json.dumps(result, indent=2))


if __name__ == '__main__':
    main()
