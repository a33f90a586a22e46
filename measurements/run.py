"""Run the benchmarks and write docs/performance.md and docs/open_vocabulary.md from what they measured.

    ./dev bench [--data DIR] [--only NAME …] [--skip NAME …]

Benchmarks that need real data which may not be passed on take it from `--data` and are left out without it; the one
that compares with mediapipe installs it in a folder of its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

from page import write_page

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / 'shared' / 'data'


def commands(data: Path | None) -> dict[str, list[str]]:
    """Benchmark name to its command line, without the interpreter."""
    scripts = {
        'startup': ['startup.py'],
        'media_speed': ['media_speed.py', '--out', str(HERE / 'results' / 'media_speed.json')],
        'media_fuzz': ['media_fuzz.py', '--files', '10000', '--out', str(HERE / 'results' / 'media_fuzz.json')],
        'end_to_end': ['end_to_end.py'],
        'feature_store': ['feature_store.py'],
        'clip_cache': ['clip_cache.py'],
        'manifest_scale': ['manifest_scale.py'],
        'frame_annotations': ['frame_annotations.py'],
        'ranking_speed': ['ranking_speed.py'],
        'ranking_coverage': ['ranking_coverage.py'],
        'ranking_recovery': ['ranking_recovery.py'],
        'annotate_kills': ['annotate_kills.py'],
        'rasteriser': ['rasteriser.py', *([] if data is None else ['--data', str(data)])],
    }
    if importlib.util.find_spec('torch'):
        scripts['encoder_speed'] = ['encoder_speed.py']
        scripts['gguf_open'] = ['gguf_open.py']
        scripts['describer_speed'] = ['describer_speed.py']
        scripts['describer_batches'] = ['describer_batches.py']
        scripts['pretraining_speed'] = ['pretraining_speed.py', '--inference', '--also', 'small']
        scripts['fusion_speed'] = ['fusion_speed.py', *([] if data is None else ['--data', str(data)])]
        scripts['sequence_speed'] = ['sequence_speed.py']
        if data is not None:
            scripts['fusion_collapse'] = ['fusion_collapse.py', '--data', str(data)]
    if data is not None:
        scripts['live'] = ['live.py', '--data', str(data)]
        scripts['carried_over'] = ['carried_over.py', '--data', str(data)]
        scripts['faces_limits'] = ['faces_limits.py', '--data', str(data)]
        scripts['speakers'] = ['speakers.py', '--data', str(data)]
        scripts['face_gains'] = ['face_gains.py', '--data', str(data)]
        scripts['face_skin'] = ['face_skin.py', '--fer2013', str(data / 'fer2013')]
        scripts['reenact_closed_loop'] = ['reenact_closed_loop.py', '--data', str(data)]
        scripts['faces_gaze'] = ['faces_gaze.py', '--data', str(data)]
        scripts['faces_affect'] = ['faces_affect.py', '--data', str(data / 'fer2013'), '--cache', str(HERE / '.faces')]
        scripts['faces_quality'] = ['faces_quality.py', '--data', str(data / 'fer2013')]
        scripts['faces_turned'] = ['faces_turned.py', '--data', str(data)]
        scripts['faces_conditions'] = ['faces_conditions.py', '--data', str(data)]
        scripts['merbench_parity'] = ['merbench_parity.py', '--data', str(data)]
        scripts['open_vocabulary_speed'] = ['open_vocabulary_speed.py', '--data', str(data)]
        for name in ('word_table', 'extraction', 'open_vocabulary', 'open_vocabulary_gaming'):
            scripts[name] = [f'{name}.py', '--data', str(data)]
        scripts['loud_voices'] = ['loud_voices.py', '--data', str(data)]
        scripts['arousal'] = ['arousal.py', '--data', str(data), '--cache', str(HERE.parent / 'build' / 'arousal')]
        if all(importlib.util.find_spec(peer) for peer in ('parselmouth', 'opensmile', 'pyloudnorm')):
            scripts['readings'] = ['readings.py', '--data', str(data)]
        vocal = HERE.parent / 'build' / 'vocal_emotion' / 'features'
        if vocal.is_dir():  # made by recipes/vocal_emotion, which takes hours
            kept = ['--features', str(vocal), '--cache', str(HERE.parent / 'build' / 'fusion_weights')]
            scripts['fusion_weights'] = ['fusion_weights.py', '--data', str(data), *kept]
        venv = str(HERE / '.venv-mediapipe')
        scripts['faces_agreement'] = ['faces_agreement.py', '--data', str(data), '--venv', venv]
    return scripts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=DATA if DATA.is_dir() else None)
    parser.add_argument('--only', nargs='*', default=None)
    parser.add_argument('--skip', nargs='*', default=[])
    options = parser.parse_args()
    (HERE / 'results').mkdir(exist_ok=True)
    for name, words in commands(options.data).items():
        if name in options.skip or (options.only is not None and name not in options.only):
            continue
        begun = time.monotonic()
        print(f'{name} …', flush=True)
        subprocess.run([sys.executable, *words], check=True, cwd=HERE, stdout=subprocess.DEVNULL)
        print(f'{name} done in {time.monotonic() - begun:.0f} s', flush=True)
    subprocess.run([sys.executable, 'open_vocabulary_page.py'], check=True, cwd=HERE)
    print(write_page(HERE / 'results', HERE.parent / 'docs' / 'performance.md'))


if __name__ == '__main__':
    main()
