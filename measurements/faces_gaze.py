"""The gaze of faces and of their mirror images: they should be opposite, and closed eyes should look nowhere.

    python measurements/faces_gaze.py --data DIR

A network that treats left and right alike reads a yaw from a picture and minus that yaw from its mirror image. Half the
sum of both is its bias; `readings.GAZE_BIAS_DEG` is the one that makes the mean of that over people 0. Portraits count
as one person each, clips too, by the mean of six frames. Writes results/faces_gaze.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from affekt.faces import BLENDSHAPES, READINGS, Face, FaceLandmarker, readings
from affekt.faces.readings import CLOSED_SCORE, GAZE_BIAS_DEG, GAZE_REACH_DEG, level_yaw_deg
from affekt.media import Recording
from affekt.typed_json import json_file

NAMES = [reading.name for reading in READINGS]
BLINKS = [BLENDSHAPES.index(f'eyeBlink{side}') for side in ('Left', 'Right')]
FRAMES = 6


def people(data: Path) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Everybody by name, with pictures."""
    for path in sorted(data.glob('clips/portrait_*.jpg')):
        yield path.stem, [np.asarray(Image.open(path).convert('RGB'))]
    clips = [
        *sorted(data.glob('clips/*.mp[4g]')),
        data / 'media' / 'driving.mp4',
        *sorted(data.glob('test_media/[Ws]*.mp4')),
    ]
    for path in clips:
        frames = [frame.image for frame in Recording.open(path).frames(2.0)]
        yield path.stem, frames[:: max(1, len(frames) // FRAMES)][:FRAMES]


def raw_yaw_deg(face: Face) -> float:
    """The yaw with its bias, eyes open or not."""
    scores = dict(zip(BLENDSHAPES, face.blendshapes.tolist(), strict=True))
    left = scores['eyeLookOutLeft'] - scores['eyeLookInLeft']
    return GAZE_REACH_DEG * (left + scores['eyeLookInRight'] - scores['eyeLookOutRight']) / 2


def opened(face: Face) -> Face:
    """The same face with the scores of closed lids at 0, so that its gaze is read."""
    scores = face.blendshapes.copy()
    scores[BLINKS] = 0
    return replace(face, blendshapes=scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='folder with clips/, media/ and test_media/')
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results' / 'faces_gaze.json')
    options = parser.parse_args()
    landmarker = FaceLandmarker()
    yaws: list[list[tuple[float, float]]] = []
    closed_pitches = []
    for _, pictures in people(options.data):
        pairs = []
        for picture in pictures:
            both = [landmarker.faces(np.ascontiguousarray(image), 1, 1) for image in (picture, picture[:, ::-1])]
            if not all(both):
                continue
            face, mirrored = both[0][0], both[1][0]
            pairs.append((raw_yaw_deg(face), raw_yaw_deg(mirrored)))
            if (face.blendshapes[BLINKS] >= CLOSED_SCORE).all():
                closed_pitches.append(float(readings(opened(face))[NAMES.index('gaze_pitch_deg')]))
        if pairs:
            yaws.append(pairs)

    def left_over(bias_deg: float) -> np.ndarray:
        """(people,) half the sum of both readings with a bias taken off."""
        return np.array([np.mean([level_yaw_deg(yaw, bias_deg) for pair in pairs for yaw in pair]) for pairs in yaws])

    fitted = float(min(np.arange(0, 6, 0.01), key=lambda bias: abs(left_over(bias).mean())))
    result = {
        'people': len(yaws),
        'half_sum_without_correction_deg': round(float(left_over(0).mean()), 2),
        'bias_fitted_deg': round(fitted, 2),
        'half_sum_as_shipped_deg': round(float(left_over(GAZE_BIAS_DEG).mean()), 2),
        'standard_deviation_over_people_deg': round(float(left_over(GAZE_BIAS_DEG).std()), 2),
        'pictures_with_closed_eyes': len(closed_pitches),
        'their_pitch_if_it_were_read_deg': round(float(np.mean(closed_pitches)), 1) if closed_pitches else None,
    }
    options.out.write_bytes(json_file(result))
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
