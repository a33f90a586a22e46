"""The contact sheet of docs/reenact.md: portraits that may be shown, moved by drivers that may be shown.

    python measurements/reenact_sheet.py --data DIR [--out docs/figures/reenact.jpg]

Portraits and drivers are speakers of the GRID corpus (Cooke et al. 2006, Zenodo 3625687, CC BY 4.0) and a made-up
person rendered by affekt. Rows are portraits: the portrait itself, three moments under drivers, two emotions, a turn
with a blink.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

for name in ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS'):
    os.environ[name] = '1'

import numpy as np  # noqa: E402
from PIL import Image, ImageDraw  # noqa: E402

from affekt.face3d import Studio, face_model, made_up_light, made_up_person, pose_matrix  # noqa: E402
from affekt.faces import FaceLandmarker  # noqa: E402
from affekt.media import Recording  # noqa: E402
from affekt.reenactment import (  # noqa: E402
    DriverSettings,
    Engine,
    Motion,
    MotionFrame,
    Portrait,
    apex_of_emotion,
    motion_of_video,
    portrait_range,
    transfer,
)

SHEET = Path(__file__).resolve().parents[1] / 'docs' / 'figures' / 'reenact.jpg'
PEOPLE = ('grid_lbbc2a.mpg', 'grid_lwbsza.mpg', 'grid_swiz3n.mpg', 'grid_brbk7n.mpg', 'grid_lbax4n.mpg')
DRIVERS = (('grid_id2_vcd_swwp2s.mpg', 1.4), ('grid_lbax4n.mpg', 1.1), ('grid_sbwe5n.mpg', 1.5))
SIDE = 230
ENLARGED = 2
"""GRID's pictures are 360 x 288: twice that, lids have pixels to move over."""


def portraits(clips: Path, networks: FaceLandmarker) -> Iterator[Portrait]:
    """The speakers' first pictures, and a made-up person."""
    for name in PEOPLE:
        image = Image.fromarray(next(Recording.open(clips / name).frames()).image)
        large = image.resize((ENLARGED * image.width, ENLARGED * image.height), Image.Resampling.LANCZOS)
        yield Portrait.from_picture(np.asarray(large), networks)
    rng = np.random.default_rng(8)
    background = np.full((576, 576, 3), (122, 138, 150), np.uint8)
    studio = Studio(made_up_person(np.random.default_rng(23)), made_up_light(rng), background)
    still = studio.picture([0.0] * len(face_model().directions), pose_matrix(yaw_deg=4, shift_cm=(0, -1, -62)))
    yield Portrait.from_picture(still, networks)


def driven(clips: Path, networks: FaceLandmarker) -> Iterator[tuple[np.ndarray, MotionFrame, Motion]]:
    """Of each driver a picture, the frame of motion at that time, and the motion that it is one of."""
    for name, at_s in DRIVERS:
        motion = motion_of_video(clips / name, DriverSettings(), landmarker=networks)
        frame = min(motion, key=lambda frame: abs(frame.time_s - at_s))
        picture = min(Recording.open(clips / name).frames(), key=lambda shown: abs(shown.time_s - at_s)).image
        yield picture, frame, motion


def moved(portrait: Portrait, frame: MotionFrame, motion: Motion | None = None) -> np.ndarray:
    """A picture of the portrait."""
    calm = Motion([frame], 25.0) if motion is None else Motion([frame], 25.0, calm=motion.calm)
    (fit,) = transfer(calm, portrait_range(portrait))
    return Engine(portrait).picture(fit)


def tile(image: np.ndarray, landmarks: np.ndarray | None = None) -> np.ndarray:
    """A square around the head."""
    if landmarks is None:
        square = Image.fromarray(image)
    else:
        x, y = landmarks[:, :2].mean(axis=0)
        reach = 0.92 * np.ptp(landmarks[:, 1])
        reach = min(reach, y / 1.1, (len(image) - y) / 0.9, x, image.shape[1] - x)
        square = Image.fromarray(image).crop((x - reach, y - 1.1 * reach, x + reach, y + 0.9 * reach))
    side = min(square.size)
    left, top = (square.width - side) // 2, (square.height - side) // 2
    return np.asarray(square.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--out', type=Path, default=SHEET)
    chosen = parser.parse_args()
    networks = FaceLandmarker()
    clips = chosen.data / 'clips'
    motions = list(driven(clips, networks))
    turned = MotionFrame(0.0, opening=np.array([0.0, 0.0]), rotation=pose_matrix(14, 4, 4)[:3, :3])
    emotions = [apex_of_emotion(name, 0.8) for name in ('happiness', 'surprise')]
    blank = np.full((SIDE, SIDE, 3), 255, np.uint8)
    top = [blank, *(tile(picture) for picture, _, _ in motions), blank, blank, blank]
    rows = [np.concatenate(top, axis=1)]
    for portrait in portraits(clips, networks):
        made = [portrait.image, *(moved(portrait, frame, motion) for _, frame, motion in motions)]
        made += [moved(portrait, frame) for frame in (*emotions, turned)]
        rows.append(np.concatenate([tile(image, portrait.landmarks) for image in made], axis=1))
    sheet = Image.fromarray(np.concatenate(rows))
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(('portrait', 'driver', 'driver', 'driver', 'happiness', 'surprise', 'turn, blink')):
        draw.text((column * SIDE + 6, 4), title, fill=(0, 0, 0), stroke_width=2, stroke_fill=(255, 255, 255))
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(chosen.out, quality=82)


if __name__ == '__main__':
    main()
