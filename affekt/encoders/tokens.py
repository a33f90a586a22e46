"""Tokens of a text: the tokenizer of a folder, the tokens that are words, windows of long texts.

Published: the text is run as a whole; the special tokens at both ends are found by encoding a Chinese sentence and
locating it in the decoded tokens, so that a tokenizer without Chinese stops the program. Corrected: the tokenizer
itself reports its special tokens, and long texts are read in consecutive windows.

T tokens.

Source: arXiv:2401.03429; github.com/zeroQiaoba/MERTools, MERBench/feature_extraction/text/extract_text_huggingface.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Bools
from affekt.encoders.folders import open_reader
from affekt.errors import WeightsError
from affekt.runs import read_regular_file

PROBE = '今天天气真好'
"""The sentence by which the published program locates the ends."""
POSITIONS = re.compile(r'(^|\.)(position_embeddings?|embed_positions|wpe)$')
"""Names of position embeddings; RoBERTa and similar count from after the padding token, OPT from 2."""
WINDOW = 512
"""Tokens per window where the model states no limit."""
Window = tuple[dict[str, list[int]], Bools]
"""Inputs of the network for one sequence, by name, and (T,) True where a token is part of a word."""


def open_tokenizer(path: Path, architecture: str, loader: str) -> Any:
    """The tokenizer of a folder, as it worked when features were published.

    Newer releases of transformers lost two settings: XLNet's last special token has its own segment, and the
    SentencePiece model of LLaMA puts a special token in front where no file says otherwise.

    Args:
        path: path of the folder.
        architecture: `model_type` of config.json.
        loader: class of transformers that loads the tokenizer.

    Raises:
        WeightsError: the folder has none.
    """
    options = {}
    config_path = path / 'tokenizer_config.json'
    is_bare = (path / 'tokenizer.model').is_file() and not (path / 'tokenizer.json').is_file()
    if architecture == 'llama' and is_bare:
        is_stated = config_path.is_file() and b'add_bos_token' in read_regular_file(config_path)
        options = {} if is_stated else {'add_bos_token': True}
    tokenizer = open_reader(path, loader, **options)
    if architecture == 'xlnet':
        tokenizer.model_input_names = ['input_ids', 'token_type_ids', 'attention_mask']
    return tokenizer


def ends_of_words(tokenizer: Any, path: Path) -> tuple[int, int | None]:
    """Start and end of the words in a token sequence, located as in the published program.

    Raises:
        WeightsError: the probe sentence is not found.
    """
    tokens = tokenizer(PROBE)['input_ids']

    def decoded(begin: int, end: int | None) -> str:
        return str(tokenizer.decode(tokens[begin:end])).replace(' ', '')

    begin = next((index for index in range(3) if decoded(index, None).startswith(PROBE)), 2)
    if decoded(begin, None) == PROBE:
        return begin, None
    end = next((index for index in (-1, -2) if decoded(begin, index) == PROBE), None)
    if end is None:
        raise WeightsError(
            expected=f'a tokenizer that gives {PROBE} back, as the published program asks',
            came=f'{decoded(begin, -1)!r} from {path}',
            todo='use the recipe without merbench-, which asks the tokenizer instead',
        )
    return begin, end


def most_tokens(network: Any) -> int | None:
    """Maximum number of tokens per sequence, by position embeddings; None if the network has none."""
    for name, module in network.named_modules():
        if POSITIONS.search(name) and hasattr(module, 'num_embeddings'):
            skipped = getattr(module, 'offset', None) or (0 if module.padding_idx is None else module.padding_idx + 1)
            return int(module.num_embeddings) - int(skipped)
    return None


def rated_tokens(config: Any) -> int:
    """Number of tokens that a network without a fixed limit was designed for."""
    return max(int(getattr(config, 'max_position_embeddings', 0) or 0), 0) or WINDOW


def windows(tokenizer: Any, text: str, longest: int) -> list[Window]:
    """Consecutive token sequences of a text; [] for a text without words.

    Args:
        tokenizer: tokenizer of transformers.
        text: text, which is read completely.
        longest: tokens per sequence, special tokens included.
    """
    encoded = tokenizer(text, truncation=True, max_length=longest, return_overflowing_tokens=True,
                        return_special_tokens_mask=True)  # fmt: skip
    special_masks = encoded.pop('special_tokens_mask')
    encoded.pop('overflow_to_sample_mapping', None)
    names = [name for name in encoded if name in tokenizer.model_input_names]
    if not special_masks or not isinstance(special_masks[0], list):  # a tokenizer that truncates
        if encoded.get('num_truncated_tokens', 0) > 0:
            return _cut(tokenizer, text, longest)
        return [({name: encoded[name] for name in names}, ~np.array(special_masks, dtype=bool))]
    return [
        ({name: encoded[name][index] for name in names}, ~np.array(special_mask, dtype=bool))
        for index, special_mask in enumerate(special_masks)
        if not all(special_mask)
    ]


def _cut(tokenizer: Any, text: str, longest: int) -> list[Window]:
    """The windows where the tokenizer makes none itself."""
    token_ids = tokenizer(text, add_special_tokens=False)['input_ids']
    size = longest - tokenizer.num_special_tokens_to_add()
    sequences: list[Window] = []
    for begin in range(0, len(token_ids), size):
        window = token_ids[begin : begin + size]
        sequence = tokenizer.build_inputs_with_special_tokens(window)
        first = next(index for index in range(len(sequence)) if sequence[index : index + len(window)] == window)
        positions = np.arange(len(sequence))
        inputs = {'input_ids': sequence, 'attention_mask': [1] * len(sequence), 'token_type_ids': [0] * len(sequence)}
        tokens = {name: inputs[name] for name in inputs if name in tokenizer.model_input_names}
        sequences.append((tokens, (positions >= first) & (positions < first + len(window))))
    return sequences
