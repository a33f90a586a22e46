"""How small a face is still found, and what skipping still faces costs.

    python measurements/faces_limits.py --data DIR

Writes results/faces_limits.json. Faces are photographs shrunk onto a plain background at random places; a face counts
as found when its box lies within a third of its size of the true place and has about its size.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from PIL import Image

from affekt.faces import FaceLandmarker, observe_faces
from affekt.media import Recording
from affekt.typed_json import json_file

SIZES = (16, 20, 24, 32, 40, 48, 64, 96)
FRAMES = ((640, 360), (1280, 720), (1920, 1080))
PLACES = 12
STILL_LEVELS = (0.0, 1.0, 2.0, 3.0)
COMPARED = ('smile', 'brow_lower', 'eyes_closed', 'jaw_open', 'mouth_opening', 'yaw_deg')


def found_share(landmarker: FaceLandmarker, portraits: list[Image.Image], size: int, frame: tuple[int, int]) -> float:
    """Share of shrunken faces of `size` pixels that are found in a frame."""
    rng = np.random.default_rng(size * frame[0])
    hits = 0
    for place in range(PLACES):
        portrait = portraits[place % len(portraits)]
        picture = portrait.resize((round(portrait.width * size / 200), round(portrait.height * size / 200)), 1)
        canvas = Image.fromarray(rng.integers(90, 130, (frame[1], frame[0], 3), dtype=np.uint8))
        left = int(rng.integers(0, frame[0] - picture.width))
        top = int(rng.integers(0, frame[1] - picture.height))
        canvas.paste(picture, (left, top))
        truth = np.array([left + picture.width / 2, top + picture.height / 2])
        for face in landmarker.faces(np.asarray(canvas)):
            center = face.box[:2] + face.box[2:] / 2
            across = float(np.sqrt(face.box[2] * face.box[3]))
            hits += bool(np.linalg.norm(center - truth) < size / 3 and 0.6 < across / size < 1.6)
    return hits / PLACES


def portraits_of(landmarker: FaceLandmarker, data: Path) -> list[Image.Image]:
    """Photographs cut around the face so that the face measures 200 pixels and lies in the middle."""
    cut = []
    for name in ('single_face.jpg', 'multi_face.jpg'):
        image = np.asarray(Image.open(data / 'test_media' / name).convert('RGB'))
        for face in landmarker.faces(image):
            x, y = face.box[:2] + face.box[2:] / 2
            size = float(np.sqrt(face.box[2] * face.box[3]))
            box = (x - 0.75 * size, y - 0.75 * size, x + 0.75 * size, y + 0.75 * size)
            cut.append(Image.fromarray(image).transform((300, 300), Image.Transform.EXTENT, box, 2))
    return cut


def stillness(landmarker: FaceLandmarker, clip: Path) -> list[dict[str, float]]:
    """For each threshold: share of readings taken over, time, and how far readings are from those of every frame."""
    frames = list(Recording.open(clip).frames())
    rows = []
    truth = None
    for levels in STILL_LEVELS:
        begun = time.process_time()
        table = observe_faces(frames, landmarker=landmarker, still_levels=levels, keep_thumbnails=False).table
        spent = time.process_time() - begun
        truth = truth or table
        row = {'still_levels': levels, 'measured': float(np.mean(table['is_measured'].to_numpy(zero_copy_only=False)))}
        row['cpu_ms_per_frame'] = 1000 * spent / len(frames)
        for name in COMPARED:
            error = np.abs(table[name].to_numpy() - truth[name].to_numpy())
            row[f'{name}_mean_error'], row[f'{name}_worst'] = float(error.mean()), float(error.max())
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, required=True, help='folder with test_media/ and media/')
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results' / 'faces_limits.json')
    chosen = parser.parse_args()
    landmarker = FaceLandmarker(chosen.data / 'media' / 'face_landmarker.task')
    portraits = portraits_of(landmarker, chosen.data)
    shares = {
        f'{frame[0]}x{frame[1]}': {
            size: found_share(landmarker, portraits, size, frame) for size in SIZES if size * 1.5 < frame[1]
        }
        for frame in FRAMES
    }
    clips = {
        name: stillness(landmarker, chosen.data / 'test_media' / name)
        for name in ('single_face.mp4', 'WolfgangLanger_Pexels.mp4')
    }
    result = {'share_found_by_face_size_px': shares, 'taking_over_still_faces': clips}
    chosen.out.write_bytes(json_file(result))
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
