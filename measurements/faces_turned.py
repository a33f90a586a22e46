"""Whether faces that stand on their heads are read the right way up: `python measurements/faces_turned.py --data DIR`.

Writes results/faces_turned.json. Pictures with faces are turned by known angles; a face is misread where the line
through its eyes is more than 45 degrees off. `margin` is by how much more the detector takes a face for one the way it
was first read than the other way up: below 0 it is turned.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from affekt.faces import FaceLandmarker
from affekt.faces.mesh import Face, Region, is_duplicate
from affekt.media import Recording
from affekt.typed_json import json_file

ANGLES = (0, 25, -25, 60, -60, 90, -90, 120, -120, 150, -150, 180)
GREY = (90, 90, 90)


def pictures(data: Path) -> Iterator[Image.Image]:
    """Photographs, and two pictures of each film."""
    for path in sorted((data / 'clips').iterdir()) + sorted((data / 'test_media').glob('*face.*')):
        if path.suffix in {'.jpg', '.mp4', '.mpg'}:
            for _, frame in zip(range(2), Recording.open(path).frames(rate_hz=0.4, max_side=720), strict=False):
                yield Image.fromarray(frame.image)


def off_by(face: Face, angle: int) -> float:
    """Degrees between the line through the eyes and that of an upright face turned by the angle."""
    across = face.landmarks[263] - face.landmarks[33]
    return abs((-np.degrees(np.arctan2(across[1], across[0])) - angle + 180) % 360 - 180)


def margin(landmarker: FaceLandmarker, image: np.ndarray, face: Face) -> float:
    """How much more like a face it looks as read than the other way up."""
    around = Region.from_landmarks(face.landmarks)
    turned = replace(around, angle_rad=around.angle_rad + np.pi)
    return landmarker.looks_upright(image, around) - landmarker.looks_upright(image, turned)


def row(landmarker: FaceLandmarker, images: list[Image.Image], angle: int) -> dict[str, float]:
    """How many faces are found and misread at one angle, as first read and as `read_found` settles it."""
    first: list[tuple[float, float]] = []
    settled: list[float] = []
    for picture in images:
        image = np.asarray(picture.rotate(angle, expand=True, fillcolor=GREY))
        seen: list[Face] = []
        for detection in landmarker.detect(image):
            face = landmarker.read(image, Region.from_detection(detection))
            if face is not None and not is_duplicate(face, seen):
                seen.append(face)
                first.append((off_by(face, angle), margin(landmarker, image, face)))
        settled += [off_by(face, angle) for face in landmarker.faces(image)]
    right = [m for error, m in first if error <= 45]
    return {
        'angle': angle,
        'first_read': len(first),
        'first_misread': sum(bool(error > 45) for error, _ in first),
        'read': len(settled),
        'misread': sum(bool(error > 45) for error in settled),
        'least_margin_of_right': round(float(min(right)), 2) if right else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, required=True, help='folder with clips/, test_media/ and media/')
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results' / 'faces_turned.json')
    chosen = parser.parse_args()
    landmarker = FaceLandmarker(chosen.data / 'media' / 'face_landmarker.task')
    images = list(pictures(chosen.data))
    result = {'pictures': len(images), 'turned': [row(landmarker, images, angle) for angle in ANGLES]}
    chosen.out.write_bytes(json_file(result))
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
