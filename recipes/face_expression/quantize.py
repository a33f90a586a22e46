"""The network in whole numbers of eight bits: a third of the time, half of the bytes, the same answers but for noise.

    python recipes/face_expression/quantize.py --model FILE --data DIR --out FILE

In: an exported file with float constants. Out: the same graph with convolutions in uint8 by int8. Their ranges come
from seeded training faces, so no face that judges the model is looked at. Weights use seven of their eight bits, so
that sums of two products stay within sixteen, as processors without VNNI add them: all give the same answer.

Source: Jacob et al. 2018, arXiv:1712.05877 (the scheme); onnxruntime.quantization (the tool).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
from data import load_faces
from export import both_views
from landmarks import read_faces
from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from affekt.faces.align import FER_TEMPLATE, align_face

CALIBRATION_FACES = 512
BATCH = 32


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Batches of faces as the file takes them."""

    def __init__(self, faces: np.ndarray) -> None:
        self._batches = iter(faces[start : start + BATCH] for start in range(0, len(faces), BATCH))

    def get_next(self) -> dict[str, np.ndarray] | None:
        faces = next(self._batches, None)
        if faces is None:
            return None
        return {
            'views': both_views(faces),
            'blendshapes': np.zeros((len(faces), 52), np.float32),
            'found': np.zeros((len(faces), 1), np.float32),
        }


def calibration_faces(images: np.ndarray) -> np.ndarray:
    """(CALIBRATION_FACES, 48, 48) seeded training faces, aligned where a face is read."""
    picked = np.random.default_rng(0).choice(len(images), CALIBRATION_FACES, replace=False)
    readings = read_faces(images[picked])
    faces = images[picked].copy()
    for place in np.flatnonzero(readings.found):
        faces[place] = align_face(faces[place], readings.points[place], template=FER_TEMPLATE)
    return faces


def quantize(path: Path, faces: np.ndarray, out: Path) -> None:
    """Writes `out`: the graph of `path` with eight-bit convolutions whose ranges `faces` show.

    Args:
        path: a file that `export` wrote.
        faces: (N, 48, 48) uint8 training faces as at run time.
        out: may be `path` itself.
    """
    with tempfile.TemporaryDirectory() as folder:
        folded, small = Path(folder) / 'folded.onnx', Path(folder) / 'small.onnx'
        options = SessionOptions()
        options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folded)
        InferenceSession(str(path), options, providers=['CPUExecutionProvider'])  # folds the casts of constants
        quantize_static(
            str(folded),
            str(small),
            Calibration(faces),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=['Conv'],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            calibrate_method=CalibrationMethod.Percentile,
        )
        part = out.with_suffix('.part')
        part.write_bytes(small.read_bytes())
        os.replace(part, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', type=Path, required=True, help='the file with float constants')
    parser.add_argument('--data', type=Path, required=True, help='folder with labels.csv and fer2013_jpg.zip')
    parser.add_argument('--out', type=Path, required=True, help='file to write')
    options = parser.parse_args()
    quantize(options.model, calibration_faces(load_faces(options.data, 'train').images), options.out)


if __name__ == '__main__':
    main()
