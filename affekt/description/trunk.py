"""The language model of a describer: opened from a folder or a GGUF file, with adapters, or tiny for tests.

Any transformers model that accepts `inputs_embeds` works. Its weights are frozen; the trained part is low-rank
additions (LoRA), which peft adds to its linear maps:

    W x  becomes  W x + (alpha / r) B A x        A is (r, inputs), drawn; B is (outputs, r), zero at first
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from affekt.errors import LLMError, UnknownNameError, WeightsError, did_you_mean, missing_extra
from affekt.llm import opened_network, unopened
from affekt.nn import Dropout, require_device, seeded
from affekt.training import has_precision
from affekt.weights import MODELS, Progress, model_path

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ADAPTED = ('q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj')
"""The linear maps of a layer with an addition, as published."""


@dataclass(frozen=True)
class Adapters:
    """Low-rank additions.

    Args:
        rank: r, the rank of each addition.
        alpha: 32 at any rank, as published, so that the rank also changes the size of a step.
        dropout: share of inputs set to 0 in training.
        maps: names of the linear maps with an addition.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    maps: tuple[str, ...] = ADAPTED


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a trunk.

    Args:
        tokenizer: text to token ids and back.
        first: id of the first token of every prompt; None if there is none.
        end: id of the token that ends an answer.
    """

    tokenizer: Tokenizer
    first: int | None
    end: int

    def numbers(self, text: str, marks: Sequence[str] = ()) -> tuple[int, ...]:
        """Token ids of a text; only strings in `marks` count as marks.

        Raises:
            WeightsError: the vocabulary lacks a mark.
        """
        numbers: list[int] = []
        pattern = f'({"|".join(map(re.escape, marks))})' if marks else r'(?!)'
        for part in re.split(pattern, text):
            if part in marks:
                mark = self.tokenizer.token_to_id(part)
                if mark is None:
                    raise WeightsError(
                        expected=f'a trunk with the token {part}', came='a vocabulary without it',
                        todo='choose the prompt family of this trunk',
                    )  # fmt: skip
                numbers.append(mark)
            elif part:
                numbers += self._plain(part)
        return tuple(numbers)

    def _plain(self, text: str) -> list[int]:
        """Token ids of text in which nothing is a mark."""
        self.tokenizer.encode_special_tokens = True
        numbers: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return numbers

    def text(self, numbers: Sequence[int]) -> str:
        """The text of token ids, without marks."""
        decoded: str = self.tokenizer.decode(list(numbers), skip_special_tokens=True)
        return decoded


@dataclass(frozen=True)
class Trunk:
    """A causal language model and its tokens.

    Args:
        network: a network of transformers, with or without adapters of peft.
        vocabulary: tokens of the network.
        name: name for records; the name of a registered model or a path opens the trunk again.
        adapters: sizes of the adapters; None if there are none.
    """

    network: nn.Module
    vocabulary: Vocabulary
    name: str
    adapters: Adapters | None = None

    @property
    def width(self) -> int:
        """H, the width of an embedded token."""
        width: int = self.embeddings.weight.shape[1]
        return width

    @property
    def embeddings(self) -> nn.Embedding:
        """The module that embeds token ids."""
        embeddings: nn.Embedding = self.network.get_input_embeddings()  # type: ignore[operator]
        return embeddings

    @property
    def longest(self) -> int:
        """Maximum positions of the network, for a prompt and its answer together."""
        return int(getattr(self.network.config, 'max_position_embeddings', 0) or 1 << 20)

    @property
    def has_adapters(self) -> bool:
        """Whether it has low-rank additions."""
        return self.adapters is not None


def with_adapters(trunk: Trunk, adapters: Adapters, *, seed: int = 0) -> Trunk:
    """The trunk with low-rank additions, its only trainable weights; its answers are unchanged at first.

    Args:
        trunk: the trunk, changed in place.
        adapters: sizes of the additions, and their maps.
        seed: seed of the initial weights.

    Raises:
        MissingExtraError: peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise missing_extra('peft, which adapts language models', 'torch', came=str(error)) from error
    config = LoraConfig(
        r=adapters.rank, lora_alpha=adapters.alpha, lora_dropout=adapters.dropout, target_modules=list(adapters.maps),
        bias='none', task_type='CAUSAL_LM',
    )  # fmt: skip
    with seeded(seed), warnings.catch_warnings():  # peft uses a deprecated name of transformers
        warnings.filterwarnings('ignore', '.*is_gradient_checkpointing', FutureWarning)
        network = get_peft_model(trunk.network, config)
    fused = _fused_map()
    for module in network.modules():
        if type(module) is fused.__base__:
            module.__class__ = fused
        if adapters.dropout:  # nn.Dropout draws for an eighth of a training step on a CPU
            for name in getattr(module, 'lora_dropout', ()):
                module.lora_dropout[name] = Dropout(adapters.dropout)
    return Trunk(network, trunk.vocabulary, trunk.name, adapters)


@cache
def _fused_map() -> type[nn.Module]:
    """peft's linear map with an addition, which adds within the product instead of making two more outputs."""
    from peft.tuners.lora import Linear

    class FusedMap(Linear):  # type: ignore[misc]
        """W x + (alpha / r) B A x as one output."""

        def forward(self, x: torch.Tensor, *positional: Any, **named: Any) -> torch.Tensor:
            name, *others = self.active_adapters
            is_plain = not (positional or named or others or self.disable_adapters or self.merged or self.lora_variant)
            weight = self.lora_B[name].weight
            if not is_plain or x.ndim < 2 or x.dtype != weight.dtype or torch.is_autocast_enabled(x.device.type):
                output: torch.Tensor = super().forward(x, *positional, **named)
                return output
            mapped = self.base_layer(x)  # (…, O)
            reduced = self.lora_A[name](self.lora_dropout[name](x)).flatten(0, -2)  # (…, r) to (B, r)
            add = torch.addmm if torch.is_grad_enabled() else torch.Tensor.addmm_
            added: torch.Tensor = add(mapped.flatten(0, -2), reduced, weight.t(), alpha=self.scaling[name])
            return added.view(mapped.shape)  # (B, O) to (…, O)

    return FusedMap


def merged(trunk: Trunk) -> Trunk:
    """The trunk with its additions merged into its own weights, in place."""
    if not trunk.has_adapters:
        return trunk
    return Trunk(trunk.network.merge_and_unload(safe_merge=True), trunk.vocabulary, trunk.name)  # type: ignore[operator]


def open_trunk(
    model: str | os.PathLike[str], *, precision: str = '', device: str = 'cpu', progress: Progress | None = None
) -> Trunk:
    """A language model by name, folder or file, frozen and in evaluation mode; only a named model is downloaded.

    Args:
        model: a folder written by `save_pretrained`, a .gguf file, or a language model among `affekt weights list`.
        precision: type of its weights: float32, float16 or bfloat16; '' for float32 on a CPU, and on other devices for
            bfloat16 if they support it, otherwise float16.
        device: device of the network.
        progress: called during a download.

    Raises:
        LLMError: the model is missing, or transformers cannot open it.
        MissingExtraError: transformers is not installed.
        UnknownNameError: unknown precision.
    """
    torch_device = require_device(device)
    dtype = _precision(precision, torch_device)
    path, name = Path(model), str(model)
    if path.exists():
        name = os.path.abspath(path)  # a describer notes it, and is opened from other folders too
    elif name in MODELS:
        path = model_path(name, progress)
    network, folder, _ = opened_network(path, dtype=dtype)
    vocabulary = _vocabulary_of(folder, network.generation_config)
    network.requires_grad_(False)
    return Trunk(network.to(torch_device).eval(), vocabulary, name)


def _precision(name: str, device: torch.device) -> torch.dtype:
    if not name:
        if device.type == 'cpu':
            return torch.float32
        return torch.bfloat16 if has_precision(device, 'bfloat16') else torch.float16
    if name not in PRECISIONS:
        raise UnknownNameError(
            expected=f'a precision among {", ".join(PRECISIONS)}', came=repr(name), todo=did_you_mean(name, PRECISIONS)
        )
    dtype: torch.dtype = getattr(torch, name)
    return dtype


PRECISIONS = ('float32', 'float16', 'bfloat16')


def _vocabulary_of(folder: Path, generation: Any) -> Vocabulary:
    """Vocabulary of a folder, with the ids of the first and the end token from the generation settings."""
    from tokenizers import Tokenizer

    if not (folder / 'tokenizer.json').is_file():
        raise LLMError(
            expected=f'tokenizer.json in {folder}', came='none',
            todo='save the tokenizer there in its fast form, with save_pretrained of transformers',
        )  # fmt: skip
    end = generation.eos_token_id
    if end is None:
        raise LLMError(
            expected=f'a token that ends an answer in the settings of {folder}', came='none',
            todo='note eos_token_id in its config.json',
        )  # fmt: skip
    first = generation.bos_token_id
    try:
        tokenizer = Tokenizer.from_file(str(folder / 'tokenizer.json'))
    except Exception as error:  # the library raises nothing more specific
        raise unopened(folder, error) from error
    return Vocabulary(tokenizer, first, int(end if isinstance(end, int) else end[0]))


TINY = {'hidden_size': 32, 'intermediate_size': 64, 'num_hidden_layers': 2, 'num_attention_heads': 4}
"""Sizes of a trunk for tests."""


def tiny_trunk(family: str = 'llama', *, seed: int = 0, vocabulary: int = 0, **sizes: Any) -> Trunk:
    """An untrained trunk with random weights, for tests and for counting: its tokens are letters.

    Args:
        family: `llama` or `qwen2`.
        seed: seed of the weights.
        vocabulary: number of tokens; 0 for as many as its tokenizer has.
        sizes: values of the configuration of transformers, in place of those of `TINY`.

    Raises:
        UnknownNameError: unknown family.
        MissingExtraError: transformers is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise missing_extra('transformers, which has the language models', 'llm', came=str(error)) from error
    classes: Mapping[str, tuple[Any, Any]] = {
        'llama': (transformers.LlamaConfig, transformers.LlamaForCausalLM),
        'qwen2': (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
    }
    if family not in classes:
        raise UnknownNameError(expected='the family llama or qwen2', came=repr(family), todo='choose one')
    tokens = letters()
    config_class, network_class = classes[family]
    count = vocabulary or tokens.tokenizer.get_vocab_size()
    config = config_class(
        **{**TINY, 'num_key_value_heads': 2, 'vocab_size': count, 'tie_word_embeddings': False, **sizes},
        bos_token_id=tokens.first, eos_token_id=tokens.end, pad_token_id=tokens.end,
    )  # fmt: skip
    with seeded(seed):
        network = network_class(config)
    return Trunk(network.eval(), tokens, f'tiny {family}')


MARKS = ('<|im_start|>', '<|im_end|>')


def letters(marks: Sequence[str] = MARKS) -> Vocabulary:
    """A vocabulary of bytes, which covers any text, followed by marks."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(mark, special=True) for mark in marks])
    return Vocabulary(tokenizer, len(alphabet), len(alphabet) + len(marks) - 1)
