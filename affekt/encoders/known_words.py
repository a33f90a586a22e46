"""A check that a tokenizer belongs to the network beside it, so that words do not silently become unknown tokens.

For a folder without a tokenizer, newer releases of transformers make an empty one: every word is then the same unknown
token, and all features are equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from affekt.errors import WeightsError

FEWEST = 0.9
"""Least share of a network's tokens that its tokenizer knows: embedding tables are padded to round sizes, by at most 2
% in published models; a tokenizer of another model knows fewer, or more tokens than there are embeddings."""


BY_BYTES = ('ByT5Tokenizer', 'PerceiverTokenizer', 'CanineTokenizer')
"""Tokenizers of bytes or characters, without a vocabulary; embedding tables of their networks are padded by half."""


def require_words(tokenizer: Any, vectors: int, path: Path) -> None:
    """Check that the tokenizer has a vocabulary, and that each of its tokens has an embedding in the network.

    Args:
        tokenizer: tokenizer of transformers.
        vectors: number of the network's token embeddings.
        path: folder of both, for the message.

    Raises:
        WeightsError: the vocabulary is empty, or belongs to another network.
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
    """Whether all words of a text are unknown tokens.

    Args:
        tokens: token numbers of the words, in any number of pieces.
        tokenizer: tokenizer that made them.
    """
    unknown = tokenizer.unk_token_id
    pieces = [np.asarray(piece) for piece in tokens]
    numbers = np.concatenate(pieces) if pieces else np.zeros(0)
    return unknown is not None and len(numbers) > 0 and bool((numbers == unknown).all())
