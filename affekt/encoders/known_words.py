"""Whether a tokenizer belongs to the network beside it, so that no word is read as an unknown one in silence.

Newer releases of transformers make an empty tokenizer of a folder that has none: every word is then the same unknown
token, and features come out all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from affekt.errors import WeightsError

FEWEST = 0.9
"""Of a network's tokens that its tokenizer knows, at least: tables of vectors are filled up to round sizes, by 2 % at
most where published; a tokenizer of another model knows fewer, or more than there are."""


BY_BYTES = ('ByT5Tokenizer', 'PerceiverTokenizer', 'CanineTokenizer')
"""Tokenizers of bytes or characters, without a list of words; tables of their networks are filled up by half."""


def require_words(tokenizer: Any, vectors: int, path: Path) -> None:
    """The tokenizer has words, and each of its tokens a vector of the network.

    Args:
        tokenizer: of transformers.
        vectors: how many tokens the network has.
        path: the folder of both, for the message.

    Raises:
        WeightsError: it has none, or is one of another network.
    """
    tokens = tokenizer.get_vocab()
    words = {token: number for token, number in tokens.items() if token not in tokenizer.get_added_vocab()}
    words = {token: number for token, number in words.items() if number not in set(tokenizer.all_special_ids)}
    if not words and type(tokenizer).__name__ not in BY_BYTES:
        raise WeightsError(
            expected=f'a tokenizer with words, for an encoder of transformers in {path} '
            '(tokenizer.json, vocab.txt, or a SentencePiece .model)',
            came='none: every word would be read as the same unknown one',
            todo='copy the files of the tokenizer beside the weights: tokenizer.save_pretrained(folder)',
        )
    marks = tokenizer('')['input_ids']
    largest = max([*words.values(), *marks], default=0)
    is_short = len(tokens) < FEWEST * vectors and type(tokenizer).__name__ not in BY_BYTES
    if largest >= vectors or is_short:
        raise WeightsError(
            expected=f'the tokenizer of the network in {path}, which has {vectors:,} tokens',
            came=f'one of {max(largest + 1, len(tokens)):,} tokens, which belongs to another model',
            todo='copy the files of its own tokenizer beside the weights',
        )


def all_unknown(tokens: Iterable[Any], tokenizer: Any) -> bool:
    """Whether the words of a text are nothing but unknown ones.

    Args:
        tokens: numbers of the tokens that are words, in any number of pieces.
        tokenizer: that made them.
    """
    unknown = tokenizer.unk_token_id
    pieces = [np.asarray(piece) for piece in tokens]
    numbers = np.concatenate(pieces) if pieces else np.zeros(0)
    return unknown is not None and len(numbers) > 0 and bool((numbers == unknown).all())
