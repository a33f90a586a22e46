"""What affekt reads in its own reenactments, beside what it was told to make.

    python measurements/reenact_closed_loop.py --data DIR

1. Emotions at three intensities on several portraits, as stills: does what the recipe names rise, and with the
intensity; arousal; distance of the face from the portrait's by the recognition network. Each still is read nine times,
moved by up to two pixels: figures are means, `arousal_noise` is the standard deviation of one reading.
`expected_arousal` is arousal before `expected_affect` lowers it for what the categories leave open.
2. A portrait driven by a video of somebody else: identity in all frames. 3. A video of a person drives its own first
frame: how far the landmarks of the output are from the video's, over the distance of the eyes. 4. A calm driver: does
the portrait come back; what moves at the border. Writes results/reenact_closed_loop.json; targets stand beside what
came out, met or not.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.faces import FaceIdentity, FaceLandmarker, expression_model
from affekt.labels import EKMAN, coordinates
from affekt.media import Recording
from affekt.reenactment import (
    RECIPES,
    DriverSettings,
    Engine,
    Motion,
    MotionFrame,
    Portrait,
    Reader,
    TransferSettings,
    apex_of_emotion,
    motion_of_video,
    portrait_range,
    transfer,
)
from affekt.reenactment.reading_back import identity_distances
from affekt.typed_json import json_file

HERE = Path(__file__).resolve().parent
PORTRAITS = ('media/boy.jpeg', 'clips/portrait_s3.jpg', 'clips/portrait_s0.jpg', 'test_media/single_face.jpg')
PROMISED = ('happiness', 'anger', 'surprise')
INTENSITIES = (0.0, 0.35, 0.7)
SIDE = 512
AROUSAL = coordinates(EKMAN)[:, 1]
SHIFTS = tuple((x, y) for x in (-2, 0, 2) for y in (-2, 0, 2))
LEAST_RISE, MOST_DISTANCE, MOST_ERROR, LEAST_PSNR_DB, MOST_LEVELS = 0.3, 0.5, 0.03, 40.0, 1


def emotions(reader: Reader, other: Reader, portrait: Portrait) -> dict[str, Any]:
    """Rises, arousal and distances of one portrait, by emotion; arousal by another expression model too."""
    engine, own = Engine(portrait), portrait_range(portrait)
    answer = {}
    for name in RECIPES:
        rows, by_other, noise, expected = [], [], [], []
        for intensity in INTENSITIES:
            frame = next(iter(transfer(Motion([apex_of_emotion(name, intensity)], 25.0), own)))
            pictures = [(picture, True) for picture in shifted(engine.picture(frame))]
            read = reader.read_back(portrait.image, pictures, name)
            rows.append(read.as_row())
            noise.append(float(np.std([each.arousal for each in read.frames])))
            expected.append(float(np.mean([each.shares for each in read.frames], axis=0) @ AROUSAL))
            by_other.append(float(other.read_back(portrait.image, pictures, name).as_row()['measured_arousal']))
        rises, arousal = ([round(float(row[key]), 3) for row in rows] for key in ('measured_rise', 'measured_arousal'))
        answer[name] = {
            'rise': rises, 'arousal': arousal, 'valence': [round(float(row['measured_valence']), 3) for row in rows],
            'share': [round(float(row['measured_share']), 3) for row in rows],
            'identity_distance': [round(float(row['measured_identity_distance']), 3) for row in rows],
            'rises_with_intensity': bool(np.all(np.diff(rises) > 0)),
            'arousal_rises': bool(np.all(np.diff([float(row['measured_arousal']) for row in rows]) > 0)),
            'arousal_noise': round(max(noise), 4),
            'expected_arousal': [round(value, 4) for value in expected],
            'expected_arousal_rises': bool(np.all(np.diff(expected) > 0)),
            'arousal_by_prototypes': [round(value, 3) for value in by_other],
            'arousal_by_prototypes_rises': bool(np.all(np.diff(by_other) > 0)),
        }  # fmt: skip
    return answer


def shifted(picture: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """A picture, moved by each of `SHIFTS`; the pixels at its edges are repeated."""
    wide = np.pad(picture, ((2, 2), (2, 2), (0, 0)), mode='edge')
    height, width = picture.shape[:2]
    return [wide[2 + y : 2 + y + height, 2 + x : 2 + x + width] for x, y in SHIFTS]


def driven(reader: Reader, portrait: Portrait, driver: Path, networks: FaceLandmarker, every: int) -> dict[str, Any]:
    """Identity in the frames of a portrait that somebody else drives."""
    motion = transfer(motion_of_video(driver, landmarker=networks), portrait_range(portrait))
    engine = Engine(portrait)
    pictures = ((engine.picture(frame), True) for frame in islice(motion, None, None, every))
    read = reader.read_back(portrait.image, pictures, 'neutral')
    distances = identity_distances(read.portrait, read.frames)
    return {
        'frames': len(distances), 'without_face': read.looked_at - len(read.frames),
        'median': round(float(np.median(distances)), 3), 'largest': round(max(distances), 3),
        'share_below': round(float(np.mean(np.array(distances) < MOST_DISTANCE)), 3), 'notes': motion.notes,
    }  # fmt: skip


def own_motion(reader: Reader, video: Path, networks: FaceLandmarker, steady: bool) -> dict[str, Any]:
    """Landmark error where a video drives its own first frame, over the distance of the outer eye corners."""
    first = next(iter(Recording.open(video).frames())).image
    portrait = Portrait.from_picture(first, networks)
    settings = DriverSettings(calm_at_s=0.0, calm_within_s=0.5, **({} if steady else {'steadying': None}))
    motion = transfer(
        motion_of_video(video, settings, landmarker=networks), portrait_range(portrait),
        TransferSettings(shift_cm=20.0, size=2.0),
    )  # fmt: skip
    engine, errors, last = Engine(portrait), [], None
    for frame, moved in islice(zip(Recording.open(video).frames(), motion, strict=True), 0, None, 2):
        wanted = reader.face(frame.image, last)
        made = None if wanted is None else reader.face(engine.picture(moved), wanted)
        if wanted is None or made is None:
            continue
        last = wanted
        apart = np.linalg.norm((made.landmarks - wanted.landmarks)[:468, :2], axis=1).mean()
        eyes = np.linalg.norm(wanted.landmarks[33, :2] - wanted.landmarks[263, :2])
        errors.append(float(apart / eyes))
    return {
        'frames': len(errors), 'median': round(float(np.median(errors)), 4),
        'p95': round(float(np.quantile(errors, 0.95)), 4), 'notes': motion.notes,
    }  # fmt: skip


def calm(portrait: Portrait) -> dict[str, float | None]:
    """PSNR of the portrait under a frame that does nothing, and of one that is next to nothing; None where equal."""
    engine = Engine(portrait)

    def psnr_db(frame: MotionFrame) -> float | None:
        wrong = float(((engine.picture(frame).astype(float) - portrait.image) ** 2).mean())
        return None if wrong == 0 else round(10 * float(np.log10(255**2 / wrong)), 1)

    tiny = np.full((468, 3), 1e-4, np.float32)
    return {'still_db': psnr_db(MotionFrame(0)), 'nearly_still_db': psnr_db(MotionFrame(0, tiny))}


def border_levels(portrait: Portrait) -> int:
    """Largest change of a pixel on the border under a strong expression and a turned head."""
    frame = apex_of_emotion('surprise', 1.0)
    picture = Engine(portrait).picture(MotionFrame(0, frame.offsets, translation=np.array([1.0, 0.5]), scale=1.05))
    change = np.abs(picture.astype(int) - portrait.image)
    return int(max(change[0].max(), change[-1].max(), change[:, 0].max(), change[:, -1].max()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='folder with media/, clips/ and test_media/')
    parser.add_argument('--every', type=int, default=1, help='of how many frames of the driver one is read (default 1)')
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'reenact_closed_loop.json')
    chosen = parser.parse_args()
    networks = FaceLandmarker(chosen.data / 'media' / 'face_landmarker.task')
    reader, other = Reader(networks, identity=FaceIdentity()), Reader(networks, expression_model('commercial-ok'))
    portraits = {
        Path(name).stem: Portrait.from_picture(chosen.data / name, networks, max_side=SIDE) for name in PORTRAITS
    }
    shown = {name: emotions(reader, other, portrait) for name, portrait in portraits.items()}
    promised = [by[emotion] for by in shown.values() for emotion in PROMISED]
    video = chosen.data / 'test_media' / 'single_face.mp4'
    result = {
        'targets': {
            'rise_at_0.7': LEAST_RISE, 'identity_distance': MOST_DISTANCE, 'landmark_error': MOST_ERROR,
            'calm_psnr_db': LEAST_PSNR_DB, 'border_levels': MOST_LEVELS,
        },
        'intensities': INTENSITIES,
        'emotions': shown,
        'promised': {
            'cells': len(promised),
            'rise_enough': sum(each['rise'][-1] >= LEAST_RISE for each in promised),
            'rise_with_intensity': sum(each['rises_with_intensity'] for each in promised),
            'arousal_rises': sum(each['arousal_rises'] for each in promised),
            'expected_arousal_rises': sum(each['expected_arousal_rises'] for each in promised),
            'arousal_by_prototypes_rises': sum(each['arousal_by_prototypes_rises'] for each in promised),
            'identity_kept': sum(max(each['identity_distance']) < MOST_DISTANCE for each in promised),
        },
        'driven': {
            name: driven(reader, portraits[name], chosen.data / 'media' / 'driving.mp4', networks, chosen.every)
            for name in ('boy', 'portrait_s3')
        },
        'own_motion': {
            'steadied': own_motion(reader, video, networks, steady=True),
            'as_read': own_motion(reader, video, networks, steady=False),
        },
        'calm': {name: calm(portrait) for name, portrait in portraits.items()},
        'border_levels': {name: border_levels(portrait) for name, portrait in portraits.items()},
    }  # fmt: skip
    chosen.out.write_bytes(json_file(result))


if __name__ == '__main__':
    main()
