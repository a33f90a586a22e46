"""Agreement with the mediapipe package on the same model file and images.

    python measurements/faces_agreement.py --data DIR --venv DIR

Makes a virtual environment in --venv, installs mediapipe there (it is no dependency of affekt and never imported by
it), runs both on photographs and clips, and writes results/faces_agreement.json. Photographs and every tenth frame of
the clips are read as single images by both; the clips are then followed as video by both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from affekt.faces import Face, FaceLandmarker, FaceTracker
from affekt.media import Recording
from affekt.typed_json import json_file

PACKAGE = 'mediapipe==1.2.2'
PHOTOGRAPHS = ('single_face.jpg', 'multi_face.jpg')
CLIPS = ('WolfgangLanger_Pexels.mp4', 'single_face.mp4')


def prepared(venv: Path) -> Path:
    """The Python of the virtual environment, made and filled where it is not yet there."""
    python = venv / 'bin' / 'python'
    if not python.exists():
        subprocess.run([sys.executable, '-m', 'venv', str(venv)], check=True)
    subprocess.run([str(python), '-m', 'pip', 'install', '--quiet', PACKAGE], check=True)
    return python


def theirs(python: Path, model: Path, images: Sequence[np.ndarray], times_s: Sequence[float], mode: str) -> Any:
    """What mediapipe finds in the images."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / 'in.npz', Path(folder) / 'out.npz'
        np.savez(source, images=np.stack(images), times_ms=np.round(np.array(times_s) * 1000))
        script = Path(__file__).with_name('faces_mediapipe.py')
        command = [str(python), str(script), str(model), str(source), str(target), mode]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return dict(np.load(target))


def compared(ours: Sequence[Sequence[Face]], mediapipe: Any) -> dict[str, float]:
    """Differences over all faces that both found, matched by nearest centre."""
    points, shares, scores, truth, turns, moves = [], [], [], [], [], []
    for frame, landmarks, blendshapes, pose in zip(
        mediapipe['frame'], mediapipe['landmarks'], mediapipe['blendshapes'], mediapipe['pose'], strict=True
    ):
        center = landmarks[:, :2].mean(axis=0)
        eyes = float(np.linalg.norm(landmarks[33, :2] - landmarks[263, :2]))
        near = min(
            ours[frame], key=lambda face: float(np.linalg.norm(face.landmarks[:, :2].mean(0) - center)), default=None
        )
        if near is None or np.linalg.norm(near.landmarks[:, :2].mean(0) - center) > eyes / 2:
            continue
        away = np.linalg.norm(near.landmarks[:, :2] - landmarks[:, :2], axis=1)
        points.append(away.mean())
        shares.append(100 * away.mean() / eyes)
        scores.append(near.blendshapes)
        truth.append(blendshapes)
        near_turn, turn = (matrix[:3, :3] / np.cbrt(np.linalg.det(matrix[:3, :3])) for matrix in (near.pose, pose))
        turns.append(np.degrees(np.arccos(np.clip((np.trace(near_turn.T @ turn) - 1) / 2, -1, 1))))
        moves.append(np.linalg.norm(near.pose[:3, 3] - pose[:3, 3]))
    gap = np.abs(np.array(scores) - np.array(truth))
    return {
        'faces_by_mediapipe': len(mediapipe['frame']),
        'faces_by_affekt': sum(len(faces) for faces in ours),
        'faces_by_both': len(points),
        'landmarks_mean_px': round(float(np.mean(points)), 4),
        'landmarks_mean_percent_of_eye_distance': round(float(np.mean(shares)), 4),
        'landmarks_worst_face_percent': round(float(np.max(shares)), 4),
        'blendshapes_r': round(float(np.corrcoef(np.ravel(scores), np.ravel(truth))[0, 1]), 5),
        'blendshapes_mean_difference': round(float(gap.mean()), 5),
        'blendshapes_largest_difference': round(float(gap.max()), 4),
        'pose_turn_mean_deg': round(float(np.mean(turns)), 3),
        'pose_turn_worst_deg': round(float(np.max(turns)), 3),
        'pose_translation_mean_cm': round(float(np.mean(moves)), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='folder with test_media/ and media/')
    parser.add_argument('--venv', type=Path, required=True, help='where mediapipe is installed')
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results' / 'faces_agreement.json')
    chosen = parser.parse_args()
    python = prepared(chosen.venv)
    model = chosen.data / 'media' / 'face_landmarker.task'
    landmarker = FaceLandmarker(model)
    result: dict[str, Any] = {'package': PACKAGE, 'images': {}, 'video': {}}
    for name in PHOTOGRAPHS:
        image = np.asarray(Image.open(chosen.data / 'test_media' / name).convert('RGB'))
        result['images'][name] = compared([landmarker.faces(image)], theirs(python, model, [image], [0], 'image'))
    for name in CLIPS:
        frames = list(Recording.open(chosen.data / 'test_media' / name).frames())
        few = frames[::10]
        mediapipe = theirs(python, model, [f.image for f in few], [f.time_s for f in few], 'image')
        result['images'][f'{name}, every 10th frame'] = compared([landmarker.faces(f.image) for f in few], mediapipe)
        begun = time.process_time()
        tracker = FaceTracker(landmarker, max_people=1)
        ours = [tracker.update(frame.time_s, frame.image) for frame in frames]
        spent = time.process_time() - begun
        mediapipe = theirs(python, model, [f.image for f in frames], [f.time_s for f in frames], 'video')
        row = compared(ours, mediapipe)
        row['cpu_ms_per_frame_affekt'] = round(1000 * spent / len(frames), 2)
        row['cpu_ms_per_frame_mediapipe'] = round(1000 * float(mediapipe['cpu_s']) / len(frames), 2)
        result['video'][name] = row
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_bytes(json_file(result))
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
