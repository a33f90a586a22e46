"""Published encoders: a folder or a file of weights, told by its hashes and opened without surprises.

A folder as `save_pretrained` writes it, or an ONNX file, comes in; a network with its precision, tokenizer and hashes
goes out: used frozen by `features`, trained by `fusion`. Read `folders.py` first, then `backbones.py`; `published.py`
names the encoders of MERBench and the challenges. torch and transformers are imported where they are used.
"""

from affekt.encoders.folders import ModelFolder, model_folder
from affekt.encoders.onnx_models import OnnxModel
from affekt.encoders.published import PublishedModel

__all__ = ['ModelFolder', 'OnnxModel', 'PublishedModel', 'model_folder']
