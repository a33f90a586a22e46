"""Whether the visible person speaks: clips with their own sound against the same faces dubbed with other voices.

    python measurements/speaking.py --data DIR

Positives are the spoken sentences of GRID, whole and in stretches of two seconds. Negatives are the same faces and
faces of other videos with the voices of other sentences of GRID, of RAVDESS and of nEMO, cut to the same length. The
threshold is the lowest score at which the precision is 0.9, with positives and negatives of equal weight; each video is
judged by a threshold chosen on the others as well. Writes results/speaking.json.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np

from affekt.captioning.speaking import (
    GRID_HZ,
    LEAST_MOTION,
    THRESHOLD,
    mouth_courses,
    speaking_score,
    voice_course,
)
from affekt.media import Recording
from affekt.typed_json import json_file

WANTED = 0.9
VOICES = 12
"""Of each corpus, by each face."""


def courses(data: Path) -> tuple[dict[str, np.ndarray], dict[str, tuple[np.ndarray, float]]]:
    """Mouth of each video that shows a face, and voice of each sound, by name."""
    videos = [*sorted(data.glob('clips/grid_*.mpg')), *sorted(data.glob('clips/driving_*.mp4'))]
    videos += [data / 'media' / 'driving.mp4', *sorted(data.glob('test_media/[Ws]*.mp4'))]
    mouths = {}
    for path in videos:
        recording = Recording.open(path)
        times = np.arange(min(recording.duration_s or 3.0, 6.0) * GRID_HZ) / GRID_HZ
        if seen := mouth_courses(recording, times):
            mouths[path.stem] = seen[0]
    rng = np.random.default_rng(0)
    others = [sorted(data.glob('ravdess_speech/Actor_*/*.flac')), sorted(data.glob('nemo/*/*.opus'))]
    chosen = [path for paths in others for path in rng.choice(np.array(paths, object), min(60, len(paths)), False)]
    sounds = [*sorted(data.glob('clips/grid_*.mpg')), *chosen]
    return mouths, {path.stem: voice_course(Recording.open(path)) for path in sounds}


def examples(mouths: dict, voices: dict) -> list[tuple[str, bool, float, float, float, float, float]]:
    """(video, is its own voice, seconds, score, r, mean of turned, motion) of each example."""
    rng = np.random.default_rng(1)
    rows = []
    grid = [name for name in voices if name.startswith('grid_')]
    dubs = [name for name in voices if not name.startswith('grid_')]
    others = {'ravdess': [n for n in dubs if n.startswith('03-')], 'nemo': [n for n in dubs if not n.startswith('03-')]}
    for video, mouth in mouths.items():
        heard = [(video, True)] if video in voices else []
        heard += [(name, False) for name in grid if name != video]
        heard += [
            (str(n), False) for names in others.values() for n in rng.choice(names, min(VOICES, len(names)), False)
        ]
        for name, own in heard:
            voice, _ = voices[name]
            length = min(len(mouth), len(voice), 75)
            stretches = [(0, length)] + ([(0, 50), (length - 50, length)] if length > 60 else [])
            for start, end in stretches:
                score = speaking_score(
                    name,
                    [mouth[start:end]],
                    voice[start:end],
                    float((voice[start:end] > 0).mean() * (end - start) / GRID_HZ),
                )
                if not score.why:
                    rows.append(
                        (
                            video,
                            own,
                            (end - start) / GRID_HZ,
                            score.score,
                            score.rhythm,
                            score.rhythm - score.score,
                            score.motion,
                        )
                    )
    return rows


def threshold_of(own: np.ndarray, dubbed: np.ndarray) -> float:
    """The lowest score at which precision is WANTED, both sides of equal weight; inf where none is."""
    for score in np.sort(own):
        hit, false = (own >= score).mean(), (dubbed >= score).mean()
        if hit / (hit + false) >= WANTED:
            return float(score)
    return float('inf')


def at(own: np.ndarray, dubbed: np.ndarray, threshold: float) -> dict[str, float]:
    """Precision and recall at a threshold, both sides of equal weight."""
    hit, false = (own >= threshold).mean(), (dubbed >= threshold).mean()
    return {
        'precision': round(float(hit / max(hit + false, 1e-9)), 3),
        'recall': round(float(hit), 3),
        'false': round(float(false), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='folder with clips/, media/, test_media/ and speech')
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results' / 'speaking.json')
    parser.add_argument('--cache', type=Path, help='file that keeps the courses, for another look')
    options = parser.parse_args()
    if options.cache and options.cache.exists():
        kept = np.load(options.cache)
        mouths = {name[2:]: kept[name] for name in kept.files if name.startswith('m ')}
        voices = {name[2:]: (kept[name], 0.0) for name in kept.files if name.startswith('v ')}
    else:
        mouths, voices = courses(options.data)
        if options.cache:
            np.savez(
                options.cache,
                **{f'm {n}': m for n, m in mouths.items()},
                **{f'v {n}': v for n, (v, _) in voices.items()},
            )
    rows = examples(mouths, voices)
    videos = np.array([row[0] for row in rows])
    own = np.array([row[1] for row in rows])
    moves = np.array([row[6] for row in rows]) >= LEAST_MOTION
    result: dict = {
        'videos': len(mouths), 'of_them_with_their_own_voice': len({row[0] for row in rows if row[1]}),
        'positives': int(own.sum()), 'negatives': int((~own).sum()),
        'still_mouths_among_negatives': int((~own & ~moves).sum()),
    }  # fmt: skip
    for name, column in (('score', 3), ('r_alone', 4)):
        score = np.where(moves, np.array([row[column] for row in rows]), -1.0)
        chosen = threshold_of(score[own], score[~own])
        left_out = []
        for video in sorted(set(videos[own])):
            rest = videos != video
            limit = threshold_of(score[own & rest], score[~own & rest])
            left_out.append(at(score[own & ~rest], score[~own & ~rest], limit))
        auc = float((score[own][:, None] > score[~own][None]).mean())
        result[name] = {
            'area_under_curve': round(auc, 3), 'threshold': round(chosen, 3), **at(score[own], score[~own], chosen),
            'left_out_video': {
                key: round(float(np.mean([each[key] for each in left_out])), 3) for key in ('recall', 'false')
            },
        }  # fmt: skip
        hit, false = (result[name]['left_out_video'][key] for key in ('recall', 'false'))
        result[name]['left_out_video']['precision'] = round(hit / max(hit + false, 1e-9), 3)
    score = np.where(moves, np.array([row[3] for row in rows]), -1.0)
    result['shipped'] = {'threshold': THRESHOLD, **at(score[own], score[~own], THRESHOLD)}
    options.out.write_bytes(json_file(result))
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    main()
