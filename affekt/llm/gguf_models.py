"""Conversion of a GGUF file, once, to a folder that opens in seconds: safetensors, tokenizer, settings.

Packed values are unpacked, names become those of transformers, and rows of queries and keys, which llama.cpp's
converter interleaves for its rotary positions, are put back in order:

    (heads, half, 2, inputs) in the file  →  (heads, 2, half, inputs)

so that for a head of width 4 the file's rows 0 1 2 3 become 0 2 1 3. The folder is in affekt's cache, under a
name unique to the file and to the version of this converter. Needs the package gguf, and no torch.

Source: github.com/ggml-org/llama.cpp, gguf-py and its tokenizers' patterns.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.errors import LLMError, RunError, listed, missing_extra
from affekt.files import file_atomically, folder_atomically, require_regular_file, storage_error, write_atomically
from affekt.llm.gguf_header import GGUFHeader, PackedTensor
from affekt.runs import locked
from affekt.weights import cache_folder
from affekt.wording import counted

VERSION = 1
"""Version of the folder's content."""
SMALL = 1_500_000_000
"""Models with fewer parameters are stored in float32, exactly as in the file; larger ones in float16."""
LAYER = {
    'attn_norm': 'input_layernorm',
    'ffn_norm': 'post_attention_layernorm',
    'attn_q': 'self_attn.q_proj',
    'attn_k': 'self_attn.k_proj',
    'attn_v': 'self_attn.v_proj',
    'attn_output': 'self_attn.o_proj',
    'ffn_gate': 'mlp.gate_proj',
    'ffn_up': 'mlp.up_proj',
    'ffn_down': 'mlp.down_proj',
}
"""Parts of a layer in GGUF to those of transformers."""
OUTSIDE = {
    'token_embd.weight': 'model.embed_tokens.weight',
    'output_norm.weight': 'model.norm.weight',
    'output.weight': 'lm_head.weight',
}
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CONTROL, _USER_DEFINED = 3, 4
"""Types of tokens that stand for themselves, not for text."""


@dataclass(frozen=True)
class Architecture:
    """A network architecture that can be converted.

    Args:
        network: its class in transformers.
        permuted: whether rows of queries and keys are interleaved in the file.
    """

    network: str
    permuted: bool


ARCHITECTURES = {
    'llama': Architecture('LlamaForCausalLM', permuted=True),
    'qwen2': Architecture('Qwen2ForCausalLM', permuted=False),
}


class UnknownModelError(LLMError):
    """A valid GGUF file whose model, tokenizer or positions cannot be converted."""


def opened_gguf(path: Path) -> Path:
    """The folder of a converted GGUF file; converted first if needed.

    Args:
        path: path of the file.

    Returns:
        A folder with config.json, model.safetensors, tokenizer.json and other files that transformers expects.

    Raises:
        LLMError: the file is missing or damaged.
        UnknownModelError: the model is unknown to this reader.
        MissingExtraError: the package gguf is not installed.
        StorageError: the cache cannot be written.
    """
    status = require_regular_file(path)
    identity = f'{VERSION} {path.resolve()} {status.st_size} {status.st_mtime_ns}'
    home = cache_folder() / 'opened-gguf'
    folder = home / f'{path.stem[:60]}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}'
    if not (folder / 'config.json').is_file():
        with _alone(home):
            if not (folder / 'config.json').is_file():
                with folder_atomically(folder) as staging:
                    convert_gguf(path, staging)
    return folder


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Context for one process at a time; others wait. The folder is made if missing.

    Raises:
        StorageError: it cannot be written.
    """
    in_use = RunError(expected='a folder of models that is free', came='another process that opens one', todo='wait')
    while True:
        try:
            home.mkdir(parents=True, exist_ok=True)
            lock = locked(home, in_use)
            break
        except RunError:
            time.sleep(0.1)
        except OSError as error:
            raise storage_error(error, home) from error
    with lock:
        yield


def convert_gguf(path: Path, folder: Path) -> None:
    """Write a GGUF file's model in the format of transformers.

    Args:
        path: path of the file.
        folder: an existing folder; see `opened_gguf`.
    """
    try:
        import gguf.quants  # noqa: F401
    except ImportError as error:
        raise missing_extra('the package gguf, which reads GGUF files', 'llm', came=str(error)) from error
    try:
        model = _Model(path, GGUFHeader(path))
        tensors = model.tensors()
        tokenizer, tokens = _tokenizer(model)
        settings = model.settings(tokens)
        marks = {f'{name}_token': tokens[token_id] for name, token_id in model.marks.items()}
    except LLMError:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise LLMError(
            expected=f'a GGUF file of a language model at {path.name}',
            came=str(error)[:200] if type(error) is ValueError else f'{type(error).__name__}: {str(error)[:200]}',
            todo='get the file again',
        ) from error  # fmt: skip
    _save_tensors(folder / 'model.safetensors', model, tensors, str(settings['dtype']))
    write_atomically(folder / 'tokenizer.json', tokenizer.to_str().encode())
    tokenizer_settings = {'tokenizer_class': 'PreTrainedTokenizerFast', 'clean_up_tokenization_spaces': False, **marks}
    template = model.value('tokenizer.chat_template')
    if template:
        tokenizer_settings['chat_template'] = template
    token_ids = {f'{name}_token_id': token_id for name, token_id in model.marks.items() if name != 'unk'}
    _write_json(folder / 'tokenizer_config.json', tokenizer_settings)
    _write_json(folder / 'generation_config.json', token_ids)
    _write_json(folder / 'config.json', settings)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, json.dumps(content, ensure_ascii=False, indent=2).encode())


class _Model:
    """A GGUF file's settings by name, and its tensors by the names of transformers."""

    def __init__(self, path: Path, header: GGUFHeader) -> None:
        self.path, self.header = path, header
        self.architecture = str(self.value('general.architecture'))
        if self.architecture not in ARCHITECTURES:
            raise self.unknown(f'the architecture {self.architecture!r}', listed(ARCHITECTURES))
        scaling = self.of_architecture('rope.scaling.type')
        if scaling not in (None, 'none'):
            raise self.unknown(f'rotary positions scaled by {scaling}', 'plain ones')
        self.layers, self.width = self._size('block_count'), self._size('embedding_length')
        self.between, self.heads = self._size('feed_forward_length'), self._size('attention.head_count')
        self.kv_heads = self._size('attention.head_count_kv', self.heads)
        self.head_width = self._size('attention.key_length', self.width // self.heads)
        marks = {'bos': 'bos', 'eos': 'eos', 'unk': 'unknown', 'pad': 'padding'}
        token_ids = {name: self.value(f'tokenizer.ggml.{gguf_name}_token_id') for name, gguf_name in marks.items()}
        token_ids['pad'] = token_ids['eos'] if token_ids['pad'] is None else token_ids['pad']
        self.marks = {name: int(number) for name, number in token_ids.items() if number is not None}

    def unknown(self, came: str, expected: str) -> UnknownModelError:
        """The error for a model that cannot be converted."""
        return UnknownModelError(
            expected=f'a GGUF file with {expected}', came=f'{self.path.name} with {came}',
            todo='give the published folder of the model',
        )  # fmt: skip

    def value(self, name: str) -> Any:
        """A setting; None if there is none."""
        return self.header.values.get(name)

    def of_architecture(self, name: str) -> Any:
        """A setting of the architecture."""
        return self.value(f'{self.architecture}.{name}')

    def _size(self, name: str, default: int | None = None) -> int:
        """A positive whole number among the settings of the architecture.

        Raises:
            ValueError: it is absent without a default, or not a whole number above 0.
        """
        value = self.of_architecture(name)
        value = value or default if default is not None else value
        if type(value) is not int or value < 1:
            raise ValueError(f'{self.architecture}.{name} is {value!r:.40}')
        return value

    def tensors(self) -> dict[str, PackedTensor]:
        """Name in transformers to the tensor of the file."""
        tensors, unknown = {}, []
        if self.layers > len(self.header.tensors):
            raise ValueError(f'{self.layers:,} layers in {counted(len(self.header.tensors), "tensor")}')
        for tensor in self.header.tensors:
            name = self._transformers_name(tensor.name, self.layers)
            if name is None:
                unknown.append(tensor.name)
            else:
                tensors[name] = tensor
        expected = {f'model.layers.{layer}.{part}.weight' for layer in range(self.layers) for part in LAYER.values()}
        absent = sorted((expected | set(OUTSIDE.values()) - {'lm_head.weight'}) - set(tensors))
        if unknown:
            raise self.unknown(f'unknown tensors ({listed(unknown, 3)})', f'the tensors of {self.architecture} alone')
        if absent:
            raise LLMError(
                expected=f'all tensors of {self.path.name}', came=f'{len(absent):,} absent ({listed(absent, 3)})',
                todo='get the file again',
            )  # fmt: skip
        self._require_shapes(tensors)
        return tensors

    def _require_shapes(self, tensors: Mapping[str, PackedTensor]) -> None:
        """Check the shapes of tensors against the settings.

        Raises:
            ValueError: a tensor has another shape.
        """
        if self.head_width % 2:
            raise ValueError(f'heads of {self.head_width:,} values, which have no halves')
        queries, keys = self.heads * self.head_width, self.kv_heads * self.head_width
        tokens = len(self.value('tokenizer.ggml.tokens') or ())
        shapes = {
            'embed_tokens': (tokens, self.width), 'lm_head': (tokens, self.width), 'norm': (self.width,),
            'input_layernorm': (self.width,), 'post_attention_layernorm': (self.width,),
            'q_proj': (queries, self.width), 'k_proj': (keys, self.width), 'v_proj': (keys, self.width),
            'o_proj': (self.width, queries), 'gate_proj': (self.between, self.width),
            'up_proj': (self.between, self.width), 'down_proj': (self.width, self.between),
        }  # fmt: skip
        for name, tensor in tensors.items():
            *_, part, ending = name.split('.')
            shape = shapes[part] if ending == 'weight' else shapes[part][:1]
            if tensor.shape != shape:
                raise ValueError(f'{tensor.name} of shape {list(tensor.shape)}, where settings say {list(shape)}')

    def _transformers_name(self, name: str, layers: int) -> str | None:
        if name in OUTSIDE:
            return OUTSIDE[name]
        block, _, rest = name.partition('.')
        number, _, part = rest.partition('.')
        part, _, ending = part.rpartition('.')
        if block != 'blk' or part not in LAYER or ending not in ('weight', 'bias') or not number.isdecimal():
            return None
        return f'model.layers.{number}.{LAYER[part]}.{ending}' if int(number) < layers else None

    def numbers(self, name: str, tensor: PackedTensor) -> npt.NDArray[np.float32]:
        """A tensor unpacked to float32, with its rows in the order of transformers."""
        from gguf.quants import dequantize

        try:
            with np.errstate(invalid='ignore', over='ignore'):
                values = np.asarray(dequantize(tensor.content, tensor.form), np.float32).reshape(tensor.shape)
        except (NotImplementedError, ValueError, KeyError) as error:
            raise self.unknown(f'{tensor.name} packed as {tensor.form.name}', 'numbers that can be unpacked') from error
        if not np.isfinite(values).all():
            raise LLMError(
                expected=f'weights that are numbers in {self.path.name}', came=f'nan or infinity in {tensor.name}',
                todo='get the file again',
            )  # fmt: skip
        heads = {'q_proj': self.heads, 'k_proj': self.kv_heads}.get(name.split('.')[-2])
        if heads is None or not ARCHITECTURES[self.architecture].permuted:
            return values
        # (heads d, …) to (heads, d / 2, 2, …), (heads, 2, d / 2, …), then (heads d, …)
        return values.reshape(heads, -1, 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)

    def settings(self, tokens: list[str]) -> dict[str, Any]:
        """The contents of config.json for transformers."""
        names = {tensor.name for tensor in self.header.tensors}
        theta = float(self.of_architecture('rope.freq_base') or 10000.0)
        epsilon = float(f'{self.of_architecture("attention.layer_norm_rms_epsilon"):.6g}')
        if not 0 < theta < math.inf or not 0 <= epsilon < math.inf:
            raise ValueError(f'a base of rotary positions of {theta}, an epsilon of {epsilon}')
        return {
            'architectures': [ARCHITECTURES[self.architecture].network],
            'model_type': self.architecture,
            'hidden_size': self.width,
            'intermediate_size': self.between,
            'num_hidden_layers': self.layers,
            'num_attention_heads': self.heads,
            'num_key_value_heads': self.kv_heads,
            'head_dim': self.head_width,
            'hidden_act': 'silu',
            'attention_bias': self.architecture == 'llama' and 'blk.0.attn_q.bias' in names,
            'max_position_embeddings': self._size('context_length'),
            'rms_norm_eps': epsilon,
            'rope_theta': theta,
            'rope_parameters': {'rope_type': 'default', 'rope_theta': theta},
            'tie_word_embeddings': 'output.weight' not in names,
            'vocab_size': len(tokens),
            'dtype': 'float32' if sum(tensor.size for tensor in self.header.tensors) < SMALL else 'float16',
            **{f'{name}_token_id': at for name, at in self.marks.items() if name != 'unk'},
        }


def _save_tensors(path: Path, model: _Model, tensors: Mapping[str, PackedTensor], dtype: str) -> None:
    """Write safetensors with one tensor in memory at a time."""
    code, width = ('F32', 4) if dtype == 'float32' else ('F16', 2)
    header: dict[str, Any] = {'__metadata__': {'format': 'pt', 'source': model.path.name}}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.size * width
        header[name] = {'dtype': code, 'shape': list(tensor.shape), 'data_offsets': [begin, end]}
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    with file_atomically(path) as file:
        file.write(len(text).to_bytes(8, 'little') + text)
        for name, tensor in tensors.items():
            file.write(np.ascontiguousarray(model.numbers(name, tensor), f'<f{width}').data)


def _tokenizer(model: _Model) -> tuple[Any, list[str]]:
    """The tokenizer, and the text of each token."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, processors

    if model.value('tokenizer.ggml.model') != 'gpt2':
        raise model.unknown(f'a tokenizer of the form {model.value("tokenizer.ggml.model")}', 'a byte-level tokenizer')
    tokens: list[str] = model.value('tokenizer.ggml.tokens')
    types: list[int] = model.value('tokenizer.ggml.token_type') or [1] * len(tokens)
    merges = [tuple(pair.split(' ', 1)) for pair in model.value('tokenizer.ggml.merges')]
    pre_tokenizer_type = str(model.value('tokenizer.ggml.pre'))
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=pre_tokenizer_type in _WHOLE_WORDS))
    normalizer, splitter = _splitting(model, pre_tokenizer_type)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.ByteLevel()
    for token, token_type in zip(tokens, types, strict=True):
        if token_type in (_CONTROL, _USER_DEFINED):
            tokenizer.add_tokens([AddedToken(token, special=token_type == _CONTROL, normalized=False)])
    if model.value('tokenizer.ggml.add_bos_token') and 'bos' in model.marks:
        first = model.marks['bos']
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f'{tokens[first]} $A', pair=f'{tokens[first]} $A $B', special_tokens=[(tokens[first], first)]
        )
    return tokenizer, tokens


_WHOLE_WORDS = ('llama3', 'llama-v3', 'llama-bpe')
"""Types of tokenizers that keep a word whole if it is a token, regardless of merges."""


def _splitting(model: _Model, form: str) -> tuple[Any, Any]:
    """The normalizer (None for none) and the splitter into words of a type of tokenizer.

    Raises:
        UnknownModelError: unknown type.
    """
    from tokenizers import Regex, normalizers, pre_tokenizers

    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if form == 'smollm':
        return None, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words])
    if form == 'gpt-2':
        return None, words
    digits = {'qwen2': '', 'deepseek-r1-qwen': '', **dict.fromkeys(_WHOLE_WORDS, '{1,3}')}
    if form not in digits:
        raise model.unknown(f'a tokenizer that splits words as {form}', listed(['smollm', 'gpt-2', *digits], 9))
    split = pre_tokenizers.Split(Regex(_WORDS % digits[form]), 'isolated')
    normalizer = normalizers.NFC() if form == 'qwen2' else None
    return normalizer, pre_tokenizers.Sequence([split, letters])
