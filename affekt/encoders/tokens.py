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
    choices = {}
    stated = path / 'tokenizer_config.json'
    is_bare = (path / 'tokenizer.model').is_file() and not (path / 'tokenizer.json').is_file()
    if architecture == 'llama' and is_bare:
        is_stated = stated.is_file() and 'add_bos_token' in stated.read_text(encoding='utf-8')
        choices = {} if is_stated else {'add_bos_token': True}
    tokenizer = open_reader(path, loader, **choices)
    if architecture == 'xlnet':
        tokenizer.model_input_names = ['input_ids', 'token_type_ids', 'attention_mask']
    return tokenizer


def ends_of_words(tokenizer: Any, path: Path) -> tuple[int, int | None]:
    """Start and end of the words in a token sequence, located as in the published program.

    Raises:
        WeightsError: the probe sentence is not found.
    """
    tokens = tokenizer(PROBE)['input_ids']

    def shown(begin: int, end: int | None) -> str:
        return str(tokenizer.decode(tokens[begin:end])).replace(' ', '')

    begin = next((at for at in range(3) if shown(at, None).startswith(PROBE)), 2)
    if shown(begin, None) == PROBE:
        return begin, None
    end = next((at for at in (-1, -2) if shown(begin, at) == PROBE), None)
    if end is None:
        raise WeightsError(
            expected=f'a tokenizer that gives {PROBE} back, as the published program asks',
            came=f'{shown(begin, -1)!r} from {path}',
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
    is_mark = encoded.pop('special_tokens_mask')
    encoded.pop('overflow_to_sample_mapping', None)
    names = [name for name in encoded if name in tokenizer.model_input_names]
    if not is_mark or not isinstance(is_mark[0], list):  # a tokenizer that truncates
        if encoded.get('num_truncated_tokens', 0) > 0:
            return _cut(tokenizer, text, longest)
        return [({name: encoded[name] for name in names}, ~np.array(is_mark, dtype=bool))]
    return [
        ({name: encoded[name][at] for name in names}, ~np.array(marks, dtype=bool))
        for at, marks in enumerate(is_mark)
        if not all(marks)
    ]


def _cut(tokenizer: Any, text: str, longest: int) -> list[Window]:
    """The windows where the tokenizer makes none itself."""
    numbers = tokenizer(text, add_special_tokens=False)['input_ids']
    size = longest - tokenizer.num_special_tokens_to_add()
    sequences: list[Window] = []
    for begin in range(0, len(numbers), size):
        piece = numbers[begin : begin + size]
        whole = tokenizer.build_inputs_with_special_tokens(piece)
        first = next(at for at in range(len(whole)) if whole[at : at + len(piece)] == piece)
        place = np.arange(len(whole))
        inputs = {'input_ids': whole, 'attention_mask': [1] * len(whole), 'token_type_ids': [0] * len(whole)}
        tokens = {name: inputs[name] for name in inputs if name in tokenizer.model_input_names}
        sequences.append((tokens, (place >= first) & (place < first + len(piece))))
    return sequences
