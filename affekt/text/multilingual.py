"""Sentence embeddings for 16 languages: Google's Universal Sentence Encoder, multilingual, version 3, in NumPy.

A sentence and its translation have similar vectors, so that a model trained on English can read Chinese. Word pieces
are embedded; three stacks of convolutions over 2, 3 and 5 pieces follow; the result is normalized, summed over the
sentence, scaled by the root of its length, and passed through four layers.

Weights are those of one published file, whose table is stored as 6-bit integers; the tokenizer is read from the
SentencePiece model beside them and run by `tokenizers`.

Axes: N texts, T word pieces of one text with its special tokens, D = 512 dimensions.

Source: Yang et al. 2020, arXiv:1907.04307 (Apache-2.0).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Floats32
from affekt.errors import ArchiveError, WeightsError
from affekt.npz import read_npz
from affekt.runs import read_regular_file
from affekt.text.protocol_buffers import Field, fields
from affekt.weights import wanted_path

MODEL = 'use-multilingual-3'
WEIGHTS, PIECES = 'weights.npz', 'sp.model'
LANGUAGES_OF_ENCODER = ('ar', 'de', 'en', 'es', 'fr', 'it', 'ja', 'ko', 'nl', 'pl', 'pt', 'ru', 'th', 'tr', 'zh')
"""Codes of the languages that the encoder was trained on; Chinese in both scripts makes them 16."""
DIMENSIONS = 512
MAX_PIECES = 256
"""Number of word pieces at which a text is cut."""
CHUNKS = 17
"""Parts of the table, each with its own scale; piece k is row k // 17 of part k % 17."""
ORDERS = ((2, 0), (3, 1), (5, 2))
"""Width of each stack of convolutions in pieces, and the number of pieces before the centre."""
_BEGIN, _END, _UNKNOWN = 1, 2, 0


class MultilingualEncoder:
    """The encoder, which takes about a millisecond per sentence on one core, and 200 MB of memory.

    Args:
        folder: folder of the weights and of the SentencePiece model; None for the cached ones.

    Raises:
        WeightsError: the files are not available, or are damaged.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        directory = Path(folder) if folder is not None else wanted_path(MODEL)
        if directory is None:
            raise WeightsError(
                expected=f'the files of {MODEL}', came='none', todo=f'run `affekt weights get {MODEL}` with a network'
            )
        try:
            self._tokenizer = tokenizer_of(read_regular_file(directory / PIECES))
            arrays = read_npz(directory / WEIGHTS)
            self._table = [arrays.pop(f'q{number + 1}') for number in range(CHUNKS)]  # each (V / 17, D)
            self._weights = arrays
        except (ArchiveError, OSError, KeyError, ValueError, IndexError, struct.error) as error:
            raise WeightsError(
                expected=f'weights and word pieces of {MODEL}', came=f'{error}', todo='fetch the model again'
            ) from error

    def encode(self, texts: Sequence[str]) -> Floats32:
        """(N, D) vector of each text, of length about 1; texts are cut at 256 pieces."""
        vectors = [self._vector(encoding.ids) for encoding in self._tokenizer.encode_batch(list(texts))]
        return np.array(vectors, dtype=np.float32).reshape(-1, DIMENSIONS)

    def pieces(self, text: str) -> list[int]:
        """Token numbers of a text, without special tokens."""
        return list(self._tokenizer.encode(text).ids)

    def _vector(self, pieces: Sequence[int]) -> Floats32:
        """(D,) vector of one text."""
        weights = self._weights
        token_ids = np.array([_BEGIN, *(list(pieces)[:MAX_PIECES] or [_UNKNOWN]), _END])
        parts = token_ids % CHUNKS
        rows = [self._table[part][row] for part, row in zip(parts, token_ids // CHUNKS, strict=True)]
        embedded = np.stack(rows).astype(np.float32)  # (T, D)
        embedded = embedded * weights['scale'][parts, None] + weights['lo'][parts, None]
        outputs = [embedded]
        inputs_of_all = np.concatenate(
            [embedded @ weights[f'proj{order}'] + weights[f'proj_b{order}'] for order, _ in ORDERS], axis=1
        )  # (T, 768): normalized over the three stacks together
        gain, offset = (np.concatenate([weights[f'{name}{order}'] for order, _ in ORDERS]) for name in ('ln_g', 'ln_b'))
        stacks = np.split(self._normalized(inputs_of_all, gain, offset), len(ORDERS), axis=1)
        for (order, left), inputs in zip(ORDERS, stacks, strict=True):
            hidden = self._convolved(inputs, order, left, 1) + inputs
            outputs.append(self._convolved(hidden, order, left, 2) + hidden)
        features = self._normalized(np.concatenate(outputs, axis=1), weights['ln_g'], weights['ln_b'])  # (T, 1280)
        length = np.float32(len(token_ids))
        mean = (features.sum(axis=0) @ weights['cnn_W'] + length * weights['cnn_b']) / np.sqrt(length)  # (D,)
        first = np.maximum(mean @ weights['d0'], 0)
        second = np.maximum(mean @ weights['p1'] + first @ weights['d1'], 0)
        third = np.maximum(second @ weights['d2'], 0)
        vector = np.tanh(second @ weights['p3'] + third @ weights['d3'])
        return np.asarray(vector / np.sqrt(max(float(vector @ vector), float(weights['eps']))), np.float32)

    def _normalized(self, rows: Floats32, gain: Floats32, offset: Floats32) -> Floats32:
        """Each row normalized to mean 0 and variance 1, then scaled and shifted."""
        centred = rows - rows.mean(axis=1, keepdims=True)
        variance = np.square(centred).mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt(variance + self._weights['eps'])
        return np.asarray(scaled * gain + offset, np.float32)

    def _convolved(self, rows: Floats32, order: int, left: int, layer: int) -> Floats32:
        """(T, 256) output of a layer for each window of `order` rows; zero padding outside the text."""
        padded = np.pad(rows, ((left, order - 1 - left), (0, 0)))
        windows = np.concatenate(
            [padded[shift : shift + len(rows)] for shift in range(order)], axis=1
        )  # (T, order 256)
        sums = windows @ self._weights[f'w{layer}_{order}'] + self._weights[f'b{layer}_{order}']
        return np.asarray(np.maximum(sums, 0), np.float32)


def tokenizer_of(model: bytes) -> Any:
    """A unigram tokenizer from the bytes of a SentencePiece model: its pieces with scores, and its character map.

    Raises:
        ValueError: the bytes are not such a model.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    model_fields = list(fields(model))
    pieces = []
    for model_field in model_fields:
        if model_field.number == 1:
            piece = _contents(model_field)
            pieces.append((bytes(piece[1]).decode(), struct.unpack('<f', piece[2])[0] if 2 in piece else 0.0))
    character_maps = [_contents(model_field).get(2) for model_field in model_fields if model_field.number == 3]
    if not pieces or not character_maps or character_maps[0] is None:
        raise ValueError('no SentencePiece model with pieces and a character map')
    tokenizer = Tokenizer(models.Unigram(pieces, _UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(bytes(character_maps[0])),
            normalizers.Replace(Regex(' {2,}'), ' '),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


def _contents(message: Field) -> dict[int, memoryview]:
    """Contents of the fields of a nested message, by field number."""
    return {part.number: part.content for part in fields(message.content)}
