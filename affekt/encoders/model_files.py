"""Files of a model folder that determine its output, and their hashes.

A folder as written by `save_pretrained` has a configuration, weights in one file or in several that an index lists, and
the preprocessing of text, audio or images. All of these are hashed; anything that would be read from elsewhere is
refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from affekt.errors import WeightsError, listed
from affekt.runs import file_sha256, read_regular_file

SETTINGS = (
    'config.json', 'preprocessor_config.json', 'processor_config.json', 'video_preprocessor_config.json',
    'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json', 'vocab.txt',
    'vocab.json', 'vocab.bpe', 'merges.txt', 'spiece.model', 'spm.model', 'spm_char.model', 'tokenizer.model',
    'sentencepiece.bpe.model', 'sentencepiece.model', 'bpe.codes', 'dict.txt', 'entity_vocab.json', 'byte_maps.json',
    'word_shape.json', 'word_pronunciation.json', 'model.safetensors.index.json', 'pytorch_model.bin.index.json',
)  # fmt: skip
"""Files beside the weights that affect the output."""
WEIGHTS = ('*.safetensors', 'pytorch_model*.bin')
"""Patterns of weight files; those of the first matching pattern are read."""
INDEXES = {'*.safetensors': 'model.safetensors.index.json', 'pytorch_model*.bin': 'pytorch_model.bin.index.json'}
"""Pattern to the file that lists the parts of weights in several files."""
ADAPTER = 'adapter_config.json'
"""File that marks a folder as an adapter (LoRA) of another model."""
CHECKPOINTS = ('.pth', '.pt', '.ckpt', '.safetensors')
"""Extensions of files that contain a complete encoder."""
RUN_WEIGHTS = 'weights.safetensors'
"""Weights in the folder of an affekt run, which has no config.json."""


def checkpoint_at(path: Path) -> Path | None:
    """The checkpoint file that a path names: itself, or that of a run's folder; None for anything else."""
    if path.is_dir():
        is_run = (path / RUN_WEIGHTS).is_file() and not (path / 'config.json').exists()
        return path / RUN_WEIGHTS if is_run else None
    return path if path.suffix in CHECKPOINTS and path.is_file() else None


def deciding_files(folder: Path) -> dict[str, str]:
    """Name of every file that a model's output depends on, within its folder, to its sha256.

    Args:
        folder: folder of the model, or a checkpoint, see `checkpoint_at`.

    Raises:
        WeightsError: see `model_files`.
    """
    checkpoint = checkpoint_at(folder)
    files = model_files(folder) if checkpoint is None else [checkpoint]
    return {file.name: file_sha256(file) for file in files}


def model_files(folder: Path) -> list[Path]:
    """Files that a model's output depends on: settings, then weights.

    Raises:
        WeightsError: there are no weights; an index lists files that are missing or outside the folder; the folder has
            an adapter, whose weights are changes to another model's; a file cannot be read.
    """
    if (folder / ADAPTER).exists():
        raise WeightsError(
            expected='a whole model', came=f'an adapter (LoRA) in {folder}, which changes the weights of another model',
            todo='join both where they were trained: merge_and_unload(), then save_pretrained() of model and tokenizer',
        )  # fmt: skip
    pattern = next(
        (candidate for candidate in WEIGHTS if any(folder.glob(candidate)) or (folder / INDEXES[candidate]).exists()),
        '',
    )
    weights = sorted(folder.glob(pattern)) if pattern else []
    if pattern and (folder / INDEXES[pattern]).exists():
        _require_parts(folder / INDEXES[pattern])
    if not weights:
        raise WeightsError(
            expected=f'model.safetensors or pytorch_model.bin in {folder}', came='none',
            todo='fetch the weights too; formats of TensorFlow, Flax and fairseq are not read',
        )  # fmt: skip
    files = [*(folder / name for name in SETTINGS if (folder / name).exists()), *weights]
    if irregular := [file.name for file in files if not file.is_file()]:
        raise WeightsError(
            expected=f'files in {folder}', came=f'{listed(irregular)}, no file that can be read to its end',
            todo='copy the folder anew',
        )  # fmt: skip
    return files


def _require_parts(index: Path) -> None:
    """Check that every part that an index lists is beside it, under a plain name."""
    parts = _json(index).get('weight_map', {})
    if not isinstance(parts, dict) or not all(isinstance(name, str) for name in parts.values()):
        raise WeightsError(
            expected=f'{index.name} as save_pretrained writes it', came=f'{index} without names of files',
            todo='copy the folder anew',
        )  # fmt: skip
    names = set(parts.values())
    outside = sorted(name for name in names if Path(name).name != name)
    missing = sorted(name for name in names if name not in outside and not (index.parent / name).is_file())
    if outside or missing:
        raise WeightsError(
            expected=f'the parts that {index.name} names, beside it in {index.parent}',
            came=f'{listed(outside)}, which lie elsewhere' if outside else f'no {listed(missing)}',
            todo='give a whole copy of the published folder',
        )


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_regular_file(path).decode())
        if not isinstance(content, dict):
            raise ValueError('no table of names and values')
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(
            expected=f'{path.name} as save_pretrained writes it', came=f'{path}: {error}', todo='copy the folder anew'
        ) from error
    return content
