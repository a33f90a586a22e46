"""A causal language model opened by transformers from a folder or a GGUF file, strictly: no weight stays randomly
initialised."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from affekt.errors import LLMError, listed, missing_extra
from affekt.llm.gguf_models import UnknownModelError, opened_gguf

NEEDED = ('torch', 'transformers')


class OpenedModel(NamedTuple):
    """An opened language model."""

    network: Any
    """The transformers model, in evaluation mode"""
    folder: Path
    """Folder with its tokenizer"""
    gguf: dict[str, str]
    """Further arguments for transformers to find the tokenizer; only for GGUF files that affekt cannot convert"""


def opened_network(path: Path, *, instead: str = '', **how: Any) -> OpenedModel:
    """The network of a folder or file; nothing is downloaded.

    Args:
        path: a folder written by `save_pretrained`, or a .gguf file, which is converted once.
        instead: advice without transformers, for the error.
        how: further arguments of `from_pretrained`, such as dtype.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        LLMError: the model is missing, transformers cannot open it, or weights are missing.
    """
    if not path.exists():
        raise LLMError(expected='a folder or a .gguf file with a model', came=str(path), todo='check its path')
    if not path.is_dir() and path.suffix != '.gguf':  # transformers would take its path for a name on a hub
        raise LLMError(
            expected='a folder or a .gguf file with a model', came=f'the file {path}',
            todo='name the folder that holds config.json and the weights',
        )  # fmt: skip
    try:
        _, transformers = (importlib.import_module(name) for name in NEEDED)
    except ImportError as error:
        raise missing_extra('torch and transformers', 'llm', came=str(error), instead=instead) from error
    folder: Path = path
    gguf_arguments: dict[str, str] = {}
    if path.suffix == '.gguf':
        try:
            folder = opened_gguf(path)
        except UnknownModelError:  # transformers knows more architectures, but takes minutes each time
            folder, gguf_arguments = path.parent, {'gguf_file': path.name}
    try:
        with _without_bars(transformers):
            network, report = transformers.AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, output_loading_info=True, **gguf_arguments, **how
            )
    except LLMError:
        raise
    except Exception as error:  # a damaged or foreign folder may make transformers raise anything
        raise unopened(path, error) from error
    absent = [*report['missing_keys'], *(str(name) for name, *_ in report['mismatched_keys'])]
    if absent:
        raise LLMError(
            expected=f'all weights of {path}', came=f'{len(absent):,} absent or of another shape ({listed(absent, 3)})',
            todo='get the model again',
        )  # fmt: skip
    return OpenedModel(network.eval(), folder, gguf_arguments)


@contextlib.contextmanager
def _without_bars(transformers: Any) -> Iterator[None]:
    """Context without progress bars of transformers."""
    transformers_logging = transformers.utils.logging
    were_shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if were_shown:
            transformers_logging.enable_progress_bar()


def unopened(path: Path, error: Exception) -> LLMError:
    """The error for a model that cannot be opened."""
    return LLMError(
        expected=f'a language model that transformers can open from {path}',
        came=f'{type(error).__name__}: {str(error)[:200]}',
        todo='give a folder with config, tokenizer and weights, or a .gguf file (needs the package gguf)',
    )
