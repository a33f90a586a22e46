"""What a score of each blendshape says about the movement of the landmarks, on real video.

    python measurements/face_gains.py --data DIR [--install]

Every clip's face is followed and laid on its calm frame; 51 amounts are fitted to how the landmarks moved from there
(`affekt.face3d.ExpressionFit`). A gain is the slope through 0 of these amounts against the change of the scores, over
the frames of all clips in which the score moved, both sides of the face together; its interval is over clips. Scores
that the network hardly gives whatever is shown (noseSneer, cheekSquint, mouthFrown) have none, nor have those whose
amounts go with them below LEAST_CORRELATION or in some clips only, so that the interval reaches 0. Also measured: what
the amounts leave of the movement, beside a face that does not move and beside scores taken for amounts; and how far
apart the landmarks of shut lids stay. Writes results/face_gains.json; `--install` writes the gains to affekt/face3d
too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from affekt.face3d import ExpressionFit, face_model
from affekt.faces import FaceLandmarker, FaceTracker
from affekt.files import write_atomically
from affekt.media import Recording
from affekt.reenactment.canonical import laid_face
from affekt.reenactment.driver import Sighting, calm_place
from affekt.typed_json import json_file
from affekt.weights import model_path

HERE = Path(__file__).resolve().parent
ROOM = HERE.parents[0] / 'affekt' / 'face3d'
NAMES = face_model().directions
SILENT = ('noseSneer', 'cheekSquint', 'mouthFrown')
"""Stems of the scores that stay near 0 whatever is shown."""
MOVED_FROM = 0.05
"""Change of a score from which a frame counts for its gain."""
LEAST_FRAMES, LEAST_CLIPS, LEAST_CORRELATION = 60, 3, 0.3
MOST_FRAMES = 240
FEWEST = 20
RESAMPLES = 2000
TARGETS_MM = {'driving': 2.1, 'single_face': 1.5, 'carphone': 1.2}


def clips(data: Path) -> list[Path]:
    """Videos with a face."""
    there = [*data.glob('media/*.mp4'), *data.glob('clips/*.mp[4g]'), *data.glob('test_media/*.mp4')]
    return [*sorted(path for path in there if path.stem != 'no_face'), model_path('carphone.mp4')]


def tracked(path: Path, networks: FaceLandmarker) -> list[Sighting]:
    """Landmarks and scores of the largest face, frame by frame."""
    tracker, seen = FaceTracker(networks, 1), []
    for frame in Recording.open(path).frames():
        for each in tracker.follow(frame.time_s, frame.image):
            landmarks = each.mesh.landmarks
            seen.append(Sighting(frame.time_s, landmarks, networks.blendshapes(landmarks)))
    return seen


def measured(path: Path, networks: FaceLandmarker) -> dict[str, Any] | None:
    """Amounts fitted and scores of one clip, and what is left of the movement."""
    seen = tracked(path, networks)
    if len(seen) < FEWEST:
        return None
    place = calm_place(seen, None, path.name)
    calm = seen[place]
    own = laid_face(calm.landmarks, networks.canonical)
    rest = laid_face(calm.landmarks, networks.canonical, own.points)
    scores = np.array([each.scores for each in seen], dtype=np.float64)[:, 1:]
    changed = scores - scores[place]
    fit = ExpressionFit(rest.points[:468])
    step = max(1, len(seen) // MOST_FRAMES)
    amounts, at, left, shares = [], [], [], []
    last = None
    for number in range(0, len(seen), step):
        laid = laid_face(seen[number].landmarks, networks.canonical, rest.points)
        moved = (laid.points - rest.points)[:468]
        last = fit.amounts(moved, lowest=-np.clip(scores[place], 0, 1), start=last)
        left.append([fit.left_mm(moved), fit.left_mm(moved, changed[number]), fit.left_mm(moved, last)])
        amounts.append(last)
        at.append(number)
        blinks = [scores[number, NAMES.index(f'eyeBlink{side}')] for side in ('Left', 'Right')]
        shares += [
            float(share) for share, blink in zip(laid.eye_openings / rest.eye_openings, blinks, strict=True)
            if blink > 0.6
        ]  # fmt: skip
    return {
        'clip': path.stem, 'frames': len(at), 'calm_s': calm.time_s, 'amounts': np.array(amounts),
        'changed': changed[at], 'left_mm': np.array(left), 'shut': shares,
    }  # fmt: skip


def gain_of(stem_columns: list[int], every: list[dict[str, Any]], rng: np.random.Generator) -> dict[str, Any]:
    """Slope, correlation and interval of one direction, both sides together."""
    by_clip = []
    for clip in every:
        amounts, changed = clip['amounts'][:, stem_columns].ravel(), clip['changed'][:, stem_columns].ravel()
        counts = np.abs(changed) >= MOVED_FROM
        if counts.sum() >= 5:
            by_clip.append((amounts[counts], changed[counts]))
    frames = int(sum(len(each[0]) for each in by_clip))
    if frames < LEAST_FRAMES or len(by_clip) < LEAST_CLIPS:
        return {'gain': 0.0, 'correlation': None, 'frames': 0, 'clips': len(by_clip), 'why': 'the score hardly moved'}
    pairs = np.array([[(a * s).sum(), (s * s).sum()] for a, s in by_clip])
    amounts, changed = (np.concatenate([each[k] for each in by_clip]) for k in (0, 1))
    correlation = float(np.corrcoef(amounts, changed)[0, 1])
    drawn = rng.integers(0, len(pairs), (RESAMPLES, len(pairs)))
    slopes = pairs[drawn].sum(axis=1)
    low, high = np.quantile(slopes[:, 0] / slopes[:, 1], [0.025, 0.975])
    answer = {
        'gain': round(float(pairs[:, 0].sum() / pairs[:, 1].sum()), 4), 'correlation': round(correlation, 3),
        'interval': [round(float(low), 3), round(float(high), 3)], 'frames': frames, 'clips': len(by_clip),
    }  # fmt: skip
    if not correlation >= LEAST_CORRELATION or low <= 0:
        answer |= {'gain': 0.0, 'frames': 0, 'why': 'amounts do not go with the score'}
    return answer


def gains(every: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Direction to its gain."""
    rng, answer = np.random.default_rng(0), {}
    for name in NAMES:
        stem = name.removesuffix('Left').removesuffix('Right')
        sides = [stem] if stem in NAMES and stem != name else [f'{stem}Left', f'{stem}Right']
        columns = [
            NAMES.index(side)
            for side in (
                sides
                if name not in ('jawLeft', 'jawRight', 'mouthLeft', 'mouthRight')
                else [f'{stem}Left', f'{stem}Right']
            )
            if side in NAMES
        ]
        if not columns:
            columns = [NAMES.index(name)]
        if stem in SILENT:
            answer[name] = {
                'gain': 0.0,
                'correlation': None,
                'frames': 0,
                'why': 'the network does not give this score',
            }
        else:
            answer[name] = gain_of(columns, every, rng)
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='folder with media/, clips/ and test_media/')
    parser.add_argument('--install', action='store_true', help='write affekt/face3d/gains.json too')
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'face_gains.json')
    chosen = parser.parse_args()
    networks = FaceLandmarker(chosen.data / 'media' / 'face_landmarker.task')
    every = []
    for path in clips(chosen.data):
        if (clip := measured(path, networks)) is not None:
            every.append(clip)
            print(path.name, clip['frames'], 'frames', clip['left_mm'].mean(axis=0).round(2), flush=True)
    table = gains(every)
    shut = np.array([share for clip in every for share in clip['shut']])
    result = {
        'left_mm': {
            clip['clip']: {
                'frames': clip['frames'], 'calm_s': round(clip['calm_s'], 3),
                **dict(zip(('still', 'scores', 'fitted'), clip['left_mm'].mean(axis=0).round(3).tolist(), strict=True)),
                **({'target': TARGETS_MM[clip['clip']]} if clip['clip'] in TARGETS_MM else {}),
            }
            for clip in every
        },
        'shut_lids': {'eyes': len(shut), 'quantiles_5_25_50': np.quantile(shut, [0.05, 0.25, 0.5]).round(3).tolist()},
        'gains': table,
    }  # fmt: skip
    chosen.out.write_bytes(json_file(result))
    if chosen.install:
        install(table, [clip['clip'] for clip in every], sum(clip['frames'] for clip in every))


def install(table: dict[str, dict[str, Any]], names: list[str], frames: int) -> None:
    """The gains and their card."""
    kept = {name: {key: each[key] for key in ('gain', 'correlation', 'frames')} for name, each in table.items()}
    content = json.dumps({'gains': kept}, indent=1) + '\n'
    write_atomically(ROOM / 'gains.json', content.encode())
    without = sorted(
        {
            name if name in ('jawLeft', 'jawRight') else name.removesuffix('Left').removesuffix('Right')
            for name, each in table.items() if not each['frames']
        }
    )  # fmt: skip
    digest = hashlib.sha256(content.encode()).hexdigest()
    lines = [
        '# gains', '',
        'A gain for each of the 51 directions: amount of `face_units_468` per score of the blendshape network.', '',
        f'- **File**: `gains.json`, sha256 `{digest}`',
        f'- **Data**: {frames:,} frames of {len(names)} clips, no picture of which is in the file (GRID corpus, CC BY '
        "4.0; LivePortrait's driving videos; stock and test clips)",
        '- **Licence**: CC0 1.0',
        '- **Made by**: `measurements/face_gains.py`; its results, with intervals over clips, lie in '
        '`measurements/results/face_gains.json`', '',
        '| direction | gain | correlation | frames |', '|---|---|---|---|',
        *(
            f'| {name} | {each["gain"]:.2f} | {each["correlation"]:.2f} | {each["frames"]:,} |'
            for name, each in kept.items() if each['frames']
        ),
        '', '## Limits', '',
        f'- No gain could be measured for {", ".join(without)}: the network hardly gives these scores, or amounts do '
        'not go with them. They count as not shown.',
        '- Few people, most of them speaking: gains of a person differ from these, and wide expressions are rare.',
        '- Amounts are those of the fit to landmarks of the same network: an error of the landmarks is in both.',
    ]  # fmt: skip
    write_atomically(ROOM / 'gains.md', ('\n'.join(lines) + '\n').encode())


if __name__ == '__main__':
    main()
