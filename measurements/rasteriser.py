"""How fast meshes become maps and made-up people clips, and what the landmarker reads in them.

    python measurements/rasteriser.py [--data DIR] [--out FILE]

Maps are depth, normals and shade of a mesh at 512 x 512, from one raster; a plain rendering (a box of pixels for each
triangle, in turn) runs beside them. Figures are of CPU seconds on one thread, least of several rounds, as other work on
the machine slows all of them. With `--data`, the landmarker reads clips of forty people, 2.56 s each.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for name in ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS'):
    os.environ[name] = '1'

import numpy as np  # noqa: E402

from affekt.face3d import (  # noqa: E402
    Camera,
    FaceClip,
    FaceModel,
    depth_map,
    face_model,
    head_model,
    made_up_faces,
    normal_map,
    pose_matrix,
    rasterize,
    shaded_map,
)
from affekt.typed_json import json_file  # noqa: E402

RESULTS = Path(__file__).resolve().parent / 'results' / 'rasteriser.json'
SIDE, ROUNDS = 512, 7
READ = ('eyeBlinkLeft', 'eyeBlinkRight', 'jawOpen', 'mouthSmileLeft', 'mouthSmileRight', 'browDownLeft', 'browInnerUp',
        'eyeLookInLeft', 'eyeLookOutLeft', 'noseSneerLeft', 'mouthFrownLeft')  # fmt: skip


def least_ms(job: Callable[[], Any], repeats: int) -> float:
    """CPU milliseconds of one call, in the fastest of several rounds."""
    times = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(repeats):
            job()
        times.append((time.process_time() - begun) / repeats)
    return round(1000 * min(times), 2)


def plain(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Which face each pixel shows, triangle after triangle over its box."""
    nearest, faces = np.full((SIDE, SIDE), np.inf), np.full((SIDE, SIDE), -1)
    for face, (a, b, c) in enumerate(points[triangles]):
        area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        low = np.maximum(np.ceil(np.minimum(np.minimum(a, b), c)[:2] - 0.5), 0).astype(int)
        high = np.minimum(np.floor(np.maximum(np.maximum(a, b), c)[:2] - 0.5), SIDE - 1).astype(int)
        if area == 0 or (high < low).any():
            continue
        x, y = np.meshgrid(np.arange(low[0], high[0] + 1) + 0.5, np.arange(low[1], high[1] + 1) + 0.5)
        second = ((x - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (y - a[1])) / area
        third = ((b[0] - a[0]) * (y - a[1]) - (x - a[0]) * (b[1] - a[1])) / area
        depth = a[2] + second * (b[2] - a[2]) + third * (c[2] - a[2])
        box = np.s_[low[1] : high[1] + 1, low[0] : high[0] + 1]
        wins = (second >= 0) & (third >= 0) & (second + third <= 1) & (depth < nearest[box])
        nearest[box][wins], faces[box][wins] = depth[wins], face
    return faces


def of_mesh(model: FaceModel, field_of_view_deg: float) -> dict[str, Any]:
    """Times of one mesh, seen a little from the side."""
    points = model.vertices(expression={'jawOpen': 0.4}, pose=pose_matrix(15, 5, 0, (0, 0, -60)))
    placed, triangles = Camera(SIDE, SIDE, field_of_view_deg).project(points), model.triangles

    def maps() -> None:
        raster = rasterize(placed, triangles, (SIDE, SIDE))
        depth_map(raster)
        normal_map(raster, triangles, points)
        shaded_map(raster, triangles, points)

    raster = rasterize(placed, triangles, (SIDE, SIDE))
    raster_ms, maps_ms = least_ms(lambda: rasterize(placed, triangles, (SIDE, SIDE)), 10), least_ms(maps, 5)
    plain_ms = least_ms(lambda: plain(placed, triangles), 1)
    return {
        'triangles': len(triangles), 'covered': round(float(raster.covered.mean()), 3),
        'same_faces_as_plain': round(float((plain(placed, triangles) == raster.face).mean()), 6),
        'raster_ms': raster_ms, 'three_maps_ms': maps_ms, 'maps_per_cpu_s': round(3000 / maps_ms, 1),
        'plain_raster_ms': plain_ms, 'times_faster': round(plain_ms / raster_ms, 1),
    }  # fmt: skip


def of_clips(size: int) -> dict[str, Any]:
    """Frames and clips of sixteen frames a CPU second, the person made anew for each."""
    seeds = iter(range(10_000))
    ms = least_ms(lambda: made_up_faces(next(seeds), 0.64, 25, size), 6)
    return {'size': size, 'clips_per_cpu_s': round(1000 / ms, 2), 'frames_per_cpu_s': round(16_000 / ms, 1)}


def read_back(data: Path, people: int = 40) -> dict[str, Any]:
    """What the landmarker finds, and how its scores follow the commanded curves."""
    from affekt.faces import BLENDSHAPES, FaceLandmarker, Region, euler_angles_deg

    landmarker = FaceLandmarker(data / 'media' / 'face_landmarker.task')
    commanded, read, angles, frames = [], [], [], 0
    for seed in range(people):
        clip, region = FaceClip.planned(seed, 2.56, 12.5), None
        for place, frame in enumerate(clip):
            frames += 1
            face = None if region is None else landmarker.read(frame, region)
            if face is None:
                face = next(iter(landmarker.faces(frame, 1)), None)
            region = None if face is None else Region.from_landmarks(face.landmarks)
            if face is not None:
                commanded.append(clip.curves.expression[place])
                read.append(face.blendshapes[1:])
                angles.append((euler_angles_deg(clip.curves.pose[place]), euler_angles_deg(face.pose)))
    off = np.abs(np.diff(np.array(angles), axis=1)).mean(axis=(0, 1))
    columns = {name: BLENDSHAPES.index(name) - 1 for name in READ}
    ours, theirs = np.array(commanded), np.array(read)
    return {
        'people': people, 'frames': frames, 'found': len(read),
        'pose_off_deg': dict(zip(('yaw', 'pitch', 'roll'), off.round(1).tolist(), strict=True)),
        'correlation': {
            name: round(float(np.corrcoef(ours[:, at], theirs[:, at])[0, 1]), 2) for name, at in columns.items()
        },
        'slope': {name: round(float(np.polyfit(ours[:, at], theirs[:, at], 1)[0]), 2) for name, at in columns.items()},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, help='folder with media/face_landmarker.task')
    parser.add_argument('--out', type=Path, default=RESULTS)
    chosen = parser.parse_args()
    result: dict[str, Any] = {
        'side': SIDE,
        'meshes': {'468 landmarks': of_mesh(face_model(), 21), 'whole head': of_mesh(head_model(), 32)},
        'clips': [of_clips(size) for size in (96, 160)],
        'load': round(os.getloadavg()[0], 1),
    }
    if chosen.data:
        result['read_back'] = read_back(chosen.data)
    chosen.out.write_bytes(json_file(result))


if __name__ == '__main__':
    main()
