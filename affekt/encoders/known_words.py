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
"""Minimum share of a network's tokens that its tokenizer knows.

Published models pad their embedding tables to round sizes, by at most 2 %. A tokenizer of another model knows fewer
tokens than that, or more than there are embeddings.
"""

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
    words = {token: token_id for token, token_id in tokens.items() if token not in tokenizer.get_added_vocab()}
    words = {token: token_id for token, token_id in words.items() if token_id not in set(tokenizer.all_special_ids)}
    if not words and type(tokenizer).__name__ not in BY_BYTES:
        raise WeightsError(
            expected=f'a tokenizer with words, for an encoder of transformers in {path} '
            '(tokenizer.json, vocab.txt, or a SentencePiece .model)',
            came='none: every word would be read as the same unknown one',
            todo='copy the files of the tokenizer beside the weights: tokenizer.save_pretrained(folder)',
        )
    special_ids = tokenizer('')['input_ids']
    largest = max([*words.values(), *special_ids], default=0)
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
        tokens: token IDs of the words, in any number of pieces.
        tokenizer: tokenizer that made them.
    """
    unknown = tokenizer.unk_token_id
    pieces = [np.asarray(piece) for piece in tokens]
    token_ids = np.concatenate(pieces) if pieces else np.zeros(0)
    return unknown is not None and len(token_ids) > 0 and bool((token_ids == unknown).all())
