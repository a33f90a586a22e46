"""Words to tokens: the tokenizer of a folder, where words begin and end among its marks, windows of what is too long.

Published: the text is run once and whole; which tokens at both ends are not words is found by encoding one Chinese
sentence and looking where it comes back, so that a tokenizer without Chinese stops the program. Corrected: the
tokenizer itself says which tokens it added, and what is too long is read in windows that follow each other.

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
"""The sentence by which the published program finds the ends."""
POSITIONS = re.compile(r'(^|\.)(position_embeddings?|embed_positions|wpe)$')
"""Names of vectors for each position; RoBERTa and its kin begin to count behind the padding token, OPT behind two."""
WINDOW = 512
"""Tokens of a window where the model says nothing of length."""
Window = tuple[dict[str, list[int]], Bools]
"""What the network is given for one sequence, by name, and (T,) True where a token is a word's."""


def open_tokenizer(path: Path, architecture: str, loader: str) -> Any:
    """What turns words into tokens, as it did when features were published.

    Newer releases of transformers forget two things: that XLNet's last mark is of a segment of its own, and that the
    SentencePiece model of LLaMA puts a mark in front where no file says otherwise.

    Args:
        path: of the folder.
        architecture: `model_type` of config.json.
        loader: the class of transformers that reads words.

    Raises:
        WeightsError: the folder holds none.
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
    """Where the words of a token sequence begin and end, as the published program looks for it.

    Raises:
        WeightsError: the probe does not come back.
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
    """The most tokens that the network takes at once, one for each vector of a position; None where it has none."""
    for name, module in network.named_modules():
        if POSITIONS.search(name) and hasattr(module, 'num_embeddings'):
            skipped = getattr(module, 'offset', None) or (0 if module.padding_idx is None else module.padding_idx + 1)
            return int(module.num_embeddings) - int(skipped)
    return None


def rated_tokens(config: Any) -> int:
    """How many tokens a network without a fixed end was made for."""
    return max(int(getattr(config, 'max_position_embeddings', 0) or 0), 0) or WINDOW


def windows(tokenizer: Any, text: str, longest: int) -> list[Window]:
    """Token sequences that follow each other; none of a text without words.

    Args:
        tokenizer: of transformers.
        text: to be read to its end.
        longest: tokens of one sequence, marks included.
    """
    encoded = tokenizer(text, truncation=True, max_length=longest, return_overflowing_tokens=True,
                        return_special_tokens_mask=True)  # fmt: skip
    is_mark = encoded.pop('special_tokens_mask')
    encoded.pop('overflow_to_sample_mapping', None)
    names = [name for name in encoded if name in tokenizer.model_input_names]
    if not is_mark or not isinstance(is_mark[0], list):  # a tokenizer that cuts off what is too long
        if encoded.get('num_truncated_tokens', 0) > 0:
            return _cut(tokenizer, text, longest)
        return [({name: encoded[name] for name in names}, ~np.array(is_mark, dtype=bool))]
    return [
        ({name: encoded[name][at] for name in names}, ~np.array(marks, dtype=bool))
        for at, marks in enumerate(is_mark)
        if not all(marks)
    ]


def _cut(tokenizer: Any, text: str, longest: int) -> list[Window]:
    """The same where the tokenizer makes no windows itself."""
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
