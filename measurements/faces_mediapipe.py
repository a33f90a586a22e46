"""Runs mediapipe's FaceLandmarker on stored images; for `faces_agreement.py`, in a virtual environment of its own.

    python faces_mediapipe.py MODEL IN.npz OUT.npz image|video

IN holds `images` (N, H, W, 3) and `times_ms` (N,); OUT gets `frame` (F,), `landmarks` (F, 478, 3) in pixels,
`blendshapes` (F, 52) and `pose` (F, 4, 4), one row per face.
"""

from __future__ import annotations

import sys
import time

import mediapipe as mp
import numpy as np


def main() -> None:
    model, source, target, mode = sys.argv[1:]
    given = np.load(source)
    vision = mp.tasks.vision
    options = vision.FaceLandmarkerOptions(
        base_options=mp.tasks.BaseOptions(model_asset_path=model),
        running_mode=vision.RunningMode.VIDEO if mode == 'video' else vision.RunningMode.IMAGE,
        num_faces=5 if mode == 'image' else 1,
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
    )
    rows = []
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        begun = time.process_time()
        for index, (image, time_ms) in enumerate(zip(given['images'], given['times_ms'], strict=True)):
            picture = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image))
            detected = (
                landmarker.detect_for_video(picture, int(time_ms)) if mode == 'video' else landmarker.detect(picture)
            )
            height, width = image.shape[:2]
            for points, scores, pose in zip(
                detected.face_landmarks, detected.face_blendshapes, detected.facial_transformation_matrixes, strict=True
            ):
                landmarks = np.array([(p.x * width, p.y * height, p.z * width) for p in points])
                rows.append((index, landmarks, np.array([score.score for score in scores]), np.asarray(pose)))
        spent = time.process_time() - begun
    np.savez(
        target,
        frame=np.array([row[0] for row in rows]),
        landmarks=np.array([row[1] for row in rows]),
        blendshapes=np.array([row[2] for row in rows]),
        pose=np.array([row[3] for row in rows]),
        cpu_s=spent,
        version=mp.__version__,
    )


if __name__ == '__main__':
    main()
