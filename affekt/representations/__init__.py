"""Features of clips from pre-trained encoders, and the encoders as files for other programs.

The input is a checkpoint of HiCMAE or SVFAP and clips; the output is features of each clip, of its time slices or of
each layer, which `affekt.features` and `affekt.benchmarks` request through `affekt.encoders`, and an ONNX file
(`export_onnx`).
Read `encoder.py` first, then `readings.py`, which defines the columns of the features.
"""

from affekt.representations.encoder import ClipBackbone, used_precision
from affekt.representations.onnx_export import Exported, export_onnx, quantise

__all__ = ['ClipBackbone', 'Exported', 'export_onnx', 'quantise', 'used_precision']
