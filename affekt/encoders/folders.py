"""Model folders as written by `save_pretrained`: located or downloaded, identified by hashes, opened strictly.

No program beside the weights is ever run, and pickles are opened only by torch's reader of plain tensors. Weights must
fill the network: where a tensor is missing, transformers draws random values and continues; here that is an error.

Needs the extra `affekt[encoders]`; torch and transformers are imported when a folder is opened, not before.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import multiprocessing
import pickle
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from affekt.encoders.families import family_of
from affekt.encoders.missing import require_whole
from affekt.encoders.model_files import SETTINGS, WEIGHTS, deciding_files
from affekt.errors import UnknownNameError, WeightsError, missing_extra
from affekt.runs import read_regular_file
from affekt.weights import with_home

REQUIRED = ('torch', 'transformers')
"""Modules of the extra."""
PREPROCESSORS = ('preprocessor_config.json', 'processor_config.json', 'video_preprocessor_config.json')
"""Files one of which configures the preprocessing of audio or images."""
PRECISIONS = ('float32', 'float16', 'bfloat16')
"""Data types in which a network can be run."""


@dataclass(frozen=True)
class ModelFolder:
    """A model folder with its configuration and hashes."""

    path: Path
    config: Mapping[str, Any] = field(repr=False)
    """Contents of config.json."""
    files: Mapping[str, str] = field(repr=False)
    """Name of every file that is read to its sha256."""

    @property
    def architecture(self) -> str:
        """`model_type` of config.json."""
        return str(self.config['model_type'])


def model_folder(model: str) -> ModelFolder:
    """The folder of a path, or the newest snapshot of a repository on the hub.

    Args:
        model: path of a folder, or `owner/name` on huggingface.co, downloaded by huggingface_hub into its own cache.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        WeightsError: there is no such folder, the hub cannot be reached or refuses, or config or weights are missing.
    """
    require_extra()
    local_path = with_home(model, 'a folder or a name for --model')
    is_path = (
        local_path.exists()
        or local_path.is_absolute()
        or not re.fullmatch(r'[\w.-]+/[\w.-]+', model)
        or model[0] == '.'
    )
    path = local_path if is_path else _fetched(model)
    if not path.is_dir():
        raise WeightsError(
            expected='a folder with config.json and weights, or a name such as facebook/wav2vec2-base-960h',
            came=f'{model}, which is {"a file" if path.exists() else "not there"}',
            todo='check --model',
        )
    return _described(path)


def _described(path: Path) -> ModelFolder:
    return ModelFolder(path, read_config(path), deciding_files(path))


def read_config(path: Path) -> dict[str, Any]:
    """Contents of config.json in a folder, which must have a `model_type`.

    Raises:
        WeightsError: there is no such file, or it cannot be read.
    """
    if not (path / 'config.json').exists():
        raise WeightsError(
            expected=f'an encoder of transformers in {path}: config.json, weights, tokenizer or preprocessor',
            came='a folder without config.json' if path.is_dir() else 'no folder there',
            todo='give the folder that save_pretrained wrote, or a whole copy of the repository',
        )
    try:
        config: dict[str, Any] = json.loads(read_regular_file(path / 'config.json').decode())
        str(config['model_type'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            expected=f'config.json with a model_type, for an encoder of transformers in {path}',
            came=f'{type(error).__name__}: {error}',
            todo='give the folder that save_pretrained wrote, or a whole copy of the repository',
        ) from error  # fmt: skip
    return config


def _fetched(hub: str) -> Path:
    """Download a snapshot of a repository: settings, and its weights in the first available format."""
    from huggingface_hub import snapshot_download

    try:
        for pattern in WEIGHTS:
            path = Path(snapshot_download(hub, allow_patterns=[*SETTINGS, pattern, f'{pattern}.index.json']))
            if any(path.glob(pattern)):
                break
    except (OSError, ValueError, RuntimeError) as error:  # no network, offline mode, no such name, gated
        first_line = (str(error).strip().splitlines() or [''])[0]
        raise WeightsError(
            expected=f'{hub} from huggingface.co, or a copy of it in the cache of huggingface_hub',
            came=f'{type(error).__name__}: {first_line[:200]}',
            todo='give a folder with --model, or try again where the hub can be reached',
        ) from error
    return path


def require_extra() -> tuple[Any, Any]:
    """The modules torch and transformers.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    try:
        torch, transformers = (importlib.import_module(name) for name in REQUIRED)
    except ImportError as error:
        raise missing_extra('torch and transformers', 'encoders', came=str(error)) from error
    return torch, transformers


def has_extra() -> bool:
    """Whether torch and transformers are installed; imports neither."""
    return all(importlib.util.find_spec(name) is not None for name in REQUIRED)


@contextlib.contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Silences progress bars and log messages of transformers."""
    logging = transformers.utils.logging
    verbosity, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bars:
            logging.enable_progress_bar()


@contextlib.contextmanager
def _as_one_error(path: Path, expected: str) -> Iterator[None]:
    """Turns the exceptions of transformers while reading a folder into `WeightsError`."""
    try:
        yield
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError, pickle.UnpicklingError,
    ) as error:  # fmt: skip
        if isinstance(error, WeightsError):
            raise
        lines = [line for line in str(error).strip().splitlines() if line.strip()] or ['']
        raise WeightsError(
            expected=f'{expected} that transformers opens from {path} without running a program from there',
            came=f'{type(error).__name__}: {lines[0][:200]}',
            todo='give a whole copy of the published folder, or bring features in by `affekt features import`',
        ) from error


def open_network(path: Path, loader: str, device: str, precision: str, config: Any = None) -> tuple[Any, Any]:
    """torch, and the network of a folder in evaluation mode.

    Args:
        path: path of the folder.
        loader: class of transformers that loads it, such as AutoModel.
        device: torch device.
        precision: one of `PRECISIONS`.
        config: configuration of transformers; None for that of the folder.

    Raises:
        WeightsError: the folder cannot be opened, requires its own program, or lacks tensors.
        ValueRangeError: the device is not available.
    """
    torch, transformers = require_extra()
    from affekt.nn import require_device

    torch_device = require_device(device)
    if multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)  # one of several workers
    with _as_one_error(path, 'a network'), _quiet(transformers):
        network, loading = getattr(transformers, loader).from_pretrained(
            path, config=config, local_files_only=True, trust_remote_code=False, dtype=getattr(torch, precision),
            use_safetensors=any(path.glob(WEIGHTS[0])), output_loading_info=True,
        )  # fmt: skip
    require_whole(network, loading, path)
    return torch, network.to(torch_device).eval()


def open_reader(path: Path, loader: str, **options: Any) -> Any:
    """A tokenizer, or the preprocessing of audio or images, without a network connection.

    Args:
        path: path of the folder.
        loader: class of transformers that loads it, such as AutoTokenizer.
        options: further arguments of that class.

    Raises:
        WeightsError: the folder has none.
    """
    _, transformers = require_extra()
    if not loader.endswith('Tokenizer') and not any((path / name).is_file() for name in PREPROCESSORS):
        raise WeightsError(
            expected=f'{PREPROCESSORS[0]} in {path}, which configures how audio or images become numbers', came='none',
            todo='copy it beside the weights: save_pretrained() of the feature extractor or image processor',
        )  # fmt: skip
    with _as_one_error(path, 'a tokenizer or preprocessor'), _quiet(transformers):
        trust = {'trust_remote_code': False} if loader.startswith('Auto') else {}
        return getattr(transformers, loader).from_pretrained(path, local_files_only=True, **trust, **options)


def open_config(path: Path) -> Any:
    """Configuration of a folder, with the architecture's defaults.

    Raises:
        WeightsError: transformers does not know the architecture.
    """
    _, transformers = require_extra()
    with _as_one_error(path, 'a config.json'), _quiet(transformers):
        return transformers.AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)


def size_of(folder: ModelFolder) -> tuple[int, int]:
    """Number of features and of layers, from config.json.

    Raises:
        WeightsError: transformers does not know the architecture, or the file lacks a size.
        UnknownNameError: the weights require their own program.
    """
    _, transformers = require_extra()
    if 'auto_map' in folder.config and folder.architecture not in transformers.CONFIG_MAPPING:
        raise UnknownNameError(
            expected='an architecture that transformers has',
            came=f'{folder.architecture}, a program that lies beside the weights in {folder.path}',
            todo='such programs are never run; make these features with the published script and bring them in by '
            '`affekt features import`',
        )
    family = family_of(folder.architecture)
    config = open_config(folder.path) if family.loader else SimpleNamespace(**folder.config)
    with _as_one_error(folder.path, 'a config.json'):
        tower = getattr(config, 'vision_config', config)  # CLIP also has a text tower
        return int(getattr(config, family.size_key)), int(tower.num_hidden_layers)
