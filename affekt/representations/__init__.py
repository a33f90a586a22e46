"""What pre-trained encoders of clips say of a clip: as features, and as a file that other programs run.

A checkpoint of HiCMAE or SVFAP and clips come in; out go features of the clip, of its time slices or of each layer,
which `affekt.features` and `affekt.benchmarks` ask for by way of `affekt.encoders`, and an ONNX file (`export_onnx`).
Read `encoder.py` first, then `readings.py`, which says what the columns are.
"""

from affekt.representations.encoder import ClipBackbone, used_precision
from affekt.representations.onnx_export import Exported, export_onnx, quantise

__all__ = ['ClipBackbone', 'Exported', 'export_onnx', 'quantise', 'used_precision']
