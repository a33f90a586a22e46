"""What it changes to read expressions in one view per frame, as it is and mirrored in turn, instead of in both.

    python measurements/faces_views.py --data DIR [--fps 12.5] [--out FILE]

Each real clip is observed twice, as `affekt analyze` does it and with both views of every face. Compared are the seven
probabilities: absolute differences in single frames, in means over a second and in the mean over a clip, and the share
of frames whose most probable category differs. Beside them stands how far the probabilities of two consecutive frames
lie apart.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affekt.faces import ExpressionModel, FaceLandmarker, observe_faces
from affekt.labels import EKMAN
from affekt.media import Recording
from affekt.typed_json import json_file

HERE = Path(__file__).resolve().parent


class Timed:
    """The expression model with the processor seconds that it took; `doubled` reads both views of every face."""

    def __init__(self, doubled: bool) -> None:
        self.model, self.doubled, self.spent_s, self.faces = ExpressionModel(), doubled, 0.0, 0

    def probabilities(self, crops: Any, blendshapes: Any = None, *, both_views: bool = True) -> Any:
        begun = time.thread_time()
        shares = self.model.probabilities(crops, blendshapes, both_views=both_views or self.doubled)
        self.spent_s += time.thread_time() - begun
        self.faces += len(shares)
        return shares


def means(times_s: np.ndarray, people: np.ndarray, shares: np.ndarray, step_s: float) -> np.ndarray:
    """Mean probabilities (M, 7) per person and step."""
    steps = np.floor(times_s / step_s).astype(int)
    keys = np.unique(np.stack([people, steps]), axis=1).T
    return np.stack([shares[(people == person) & (steps == step)].mean(axis=0) for person, step in keys])


def compared(clip: Path, fps: float, landmarker: FaceLandmarker, models: Sequence[Timed]) -> dict[str, Any]:
    """Differences between both ways on one clip."""
    tables = [
        observe_faces(Recording.open(clip), rate_hz=fps, landmarker=landmarker, expression=model).table
        for model in models
    ]
    times, people = tables[0]['time_s'].to_numpy(), np.unique(tables[0]['person'].to_numpy(), return_inverse=True)[1]
    alternating, both = (np.stack([table[name].to_numpy() for name in EKMAN], axis=1) for table in tables)
    consecutive = [np.abs(np.diff(both[people == person], axis=0)) for person in np.unique(people)]
    by_second, by_clip = (
        np.abs(means(times, people, alternating, step_s) - means(times, people, both, step_s)) for step_s in (1.0, 1e9)
    )
    return {
        'clip': clip.name,
        'faces': len(times),
        'frame_mean': round(float(np.abs(alternating - both).mean()), 4),
        'frame_largest': round(float(np.abs(alternating - both).max()), 3),
        'consecutive_frames_mean': round(float(np.concatenate(consecutive).mean()), 4),
        'category_differs': round(float((alternating.argmax(1) != both.argmax(1)).mean()), 3),
        'second_mean': round(float(by_second.mean()), 4),
        'second_largest': round(float(by_second.max()), 3),
        'clip_largest': round(float(by_clip.max()), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--fps', type=float, default=12.5)
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'faces_views.json')
    options = parser.parse_args()
    folders = (options.data / 'clips', options.data / 'media')
    clips = [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix in {'.mp4', '.mpg'}]
    landmarker, models = FaceLandmarker(), (Timed(doubled=False), Timed(doubled=True))
    rows = [compared(clip, options.fps, landmarker, models) for clip in clips]
    ratio = (models[0].spent_s / models[0].faces) / (models[1].spent_s / models[1].faces)
    result = {'fps': options.fps, 'processor_time_ratio': round(ratio, 2), 'clips': rows}
    options.out.write_bytes(json_file(result))
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
