"""What fewer bits change: in the features of an audio encoder, and in the score of a linear probe that reads them.

    python encoder_precision.py --model CHECKPOINT [--data DIR] [--actors 8] [--clips 24]

The audio branch of HiCMAE reads speech of RAVDESS in two windows a clip, in single precision by torch, in bfloat16
(timed only where the processor computes it by itself: elsewhere affekt takes single precision), and from an exported
ONNX file in single precision and with weights of eight bits. A logistic regression on the features of all other actors
says the emotion of each actor's clips; its strength is fixed. Differences are shares of the deviation of a column;
scores are unweighted average recall over eight emotions, with the share of clips that both probes call the same.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from affekt.checkpoints import opened
from affekt.clips import decoded
from affekt.encoders import EncoderSettings, open_encoder
from affekt.files import file_sha256
from affekt.pretraining import collate, cut, evaluation_windows
from affekt.representations import export_onnx, quantise
from affekt.runs import versions, write_atomically
from affekt.training import has_precision
from affekt.typed_json import json_file

HERE = Path(__file__).resolve().parent
RESULT = HERE / 'results' / 'encoder_precision.json'
UNITS = ('avx512_vnni', 'avx_vnni', 'amx_int8', 'avx512_bf16', 'amx_bf16')
"""Flags of processors with arithmetic of 8 or 16 bits."""


def speech(data: Path, actors: int, clips: int) -> tuple[list[Path], np.ndarray, np.ndarray]:
    """Files, emotions (0 to 7) and actors; of each actor evenly spread ones."""
    files = []
    for folder in sorted((data / 'ravdess_speech').glob('Actor_*'))[:actors]:
        every = sorted(folder.glob('03-01-*'))
        files += [every[at] for at in np.linspace(0, len(every) - 1, clips).astype(int)]
    codes = np.array([[int(part) for part in file.stem.split('-')] for file in files])
    return files, codes[:, 2] - 1, codes[:, 6]


def folds(features: np.ndarray, emotions: np.ndarray, actors: np.ndarray) -> np.ndarray:
    """What a probe that never heard an actor says of that actor's clips."""
    predicted = np.zeros_like(emotions)
    for actor in np.unique(actors):
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
        test = actors == actor
        predicted[test] = probe.fit(features[~test], emotions[~test]).predict(features[test])
    return predicted


def by_torch(model: Path, precision: str) -> Callable[[Any], np.ndarray]:
    """Clips to features by torch; bfloat16 also where the processor has none, which `precision` would refuse."""
    encoder = open_encoder(model, EncoderSettings(is_for_one_row=True, precision='float32'))
    encoder.network.to(getattr(torch, precision))
    return lambda clip: encoder.encode([clip])[0].rows[0]


def by_onnx(path: Path, steps: int) -> Callable[[Any], np.ndarray]:
    """Clips to features by an exported file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])

    def encode(clip: Any) -> np.ndarray:
        batch = collate([cut(clip, window) for window in evaluation_windows(clip)], rows=steps)
        return session.run(['features'], {'audio': batch.audio.numpy()})[0].mean(axis=0)

    return encode


def units() -> list[str]:
    """Flags of this processor, of `UNITS`."""
    flags = Path('/proc/cpuinfo').read_text().split()
    return [name for name in UNITS if name in flags]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', type=Path, required=True)
    parser.add_argument('--data', type=Path, default=HERE.parents[1] / 'shared' / 'data')
    parser.add_argument('--actors', type=int, default=8)
    parser.add_argument('--clips', type=int, default=24)
    options = parser.parse_args()
    torch.set_num_threads(1)
    files, emotions, actors = speech(options.data, options.actors, options.clips)
    clips = [decoded(file, modalities=('audio',)) for file in files]
    with tempfile.TemporaryDirectory() as folder:
        exported = export_onnx(options.model, Path(folder) / 'whole.onnx', modalities=('audio',)).path
        small = Path(shutil.copy(exported, Path(folder) / 'small.onnx'))
        quantise(small)  # as `export_onnx(precision='int8')` does
        sizes = {'onnx float32': exported.stat().st_size, 'onnx int8': small.stat().st_size}
        form = open_encoder(options.model, EncoderSettings()).form
        encoders = {name: by_torch(options.model, name) for name in ('float32', 'bfloat16')}
        encoders |= {'onnx float32': by_onnx(exported, form.steps), 'onnx int8': by_onnx(small, form.steps)}
        rows, features = {}, {}
        for name, encode in encoders.items():
            begun = time.process_time()
            features[name] = np.stack([encode(clip) for clip in clips])
            taken_ms = round(1000 * (time.process_time() - begun) / len(clips), 1)
            is_native = name != 'bfloat16' or has_precision('cpu', 'bfloat16')
            rows[name] = {'cpu_ms_per_clip': taken_ms if is_native else None}
    truth = folds(features['float32'], emotions, actors)
    deviation = features['float32'].std(axis=0).clip(min=1e-6)
    for name, values in features.items():
        predicted = truth if name == 'float32' else folds(values, emotions, actors)
        apart = np.abs(values - features['float32']) / deviation
        rows[name] |= {
            'uar': round(100 * float(recall_score(emotions, predicted, average='macro')), 1),
            'same_answer': round(100 * float((predicted == truth).mean()), 1),
            'difference_mean': float(f'{apart.mean():.2g}'), 'difference_largest': float(f'{apart.max():.2g}'),
            'megabytes': round(sizes[name] / 1e6, 1) if name in sizes else None,
        }  # fmt: skip
    weights = options.model / 'weights.safetensors' if options.model.is_dir() else options.model
    result = {
        'model': {
            'file': weights.name, 'sha256': file_sha256(weights), 'width': form.width, 'depth': form.depth,
            'epoch': opened(weights).notes.get('epoch'),
        },
        'clips': len(clips), 'actors': options.actors, 'units': units(), 'rows': rows, 'versions': versions(),
    }  # fmt: skip
    write_atomically(RESULT, json_file(result))
    print(json.dumps(result, indent=2))


if __name__ == '__main__':
    main()
