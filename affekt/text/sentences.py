"""Sentence embeddings by MiniLM-L6 (int8 weights, ONNX): its last layer and the layers below it.

`encode` gives the usual sentence embedding: the mean of the last layer over word pieces, of length 1, for comparing
meanings. `layers` gives the same mean for the word embeddings and each of the six layers. Sentence embeddings are
trained to represent the topic; tone is lost in upper layers, so emotion is read from all layers (`textual_emotion.md`
has the scores).

Texts are cut at 256 word pieces (about 190 English words), as by the model's authors. Sentences of equal length are run
together without padding: a sentence has the same vector alone and in any batch, and batches are faster than with
padding.

Axes: N texts, T word pieces, L = 7 layers (0 the word embeddings), D = 384 dimensions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from affekt.arrays import Floats32
from affekt.text.protocol_buffers import bytes_field, fields, number_field
from affekt.weights import model_path

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MODEL, TOKENIZER = 'minilm-l6-int8.onnx', 'minilm-tokenizer.json'
DIMENSIONS = 384
LAYERS = 7
MAX_PIECES = 256
"""Number of word pieces at which a text is cut."""
BATCH = 16
"""Maximum number of texts in a batch; larger batches are no faster on a CPU and take more memory."""

_OUTPUTS = (
    'layer_norm', 'layer_norm_2', 'layer_norm_4', 'layer_norm_6', 'layer_norm_8', 'layer_norm_10', 'last_hidden_state',
)  # fmt: skip
"""Outputs of the layers in this model file, whose sha256 is registered in affekt.weights."""
_TABLE, _ROWS = 'inner.embeddings.word_embeddings.weight', 'embedding'
"""Names of the word table in the file, and of the node output that looks up its rows."""
_UNPACKED_TABLE = (f'{_TABLE}_f', _TABLE)
_GRAPH, _NODE, _OUTPUT = 7, 1, 2
"""Fields of a model, of a graph and of a node in ONNX."""
_TO_FLOAT = bytes_field(5, bytes_field(1, b'to') + number_field(3, 1) + number_field(20, 2))
"""The attribute (field 5) `to` (1) with the whole number (20: type 2) of float32 (3)."""


FREE_CHARACTERS = 4096
_SPACE = re.compile('[ \t\n]')
"""Where the tokenizer always separates; it drops some other characters that Python calls space."""


@cache
def _tokenizer() -> Tokenizer:
    """The tokenizer of the model, which truncates texts; the model itself is not opened."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model_path(TOKENIZER)))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_PIECES)
    return tokenizer


def _beginning(text: str) -> str:
    """The beginning of a text, which has all pieces that are read; the tokenizer splits all that it is given.

    It ends before a space, where pieces end too.
    """
    size = FREE_CHARACTERS
    while space := _SPACE.search(text, size):
        beginning = text[: space.start()]
        if _tokenizer().encode(beginning).overflowing:
            return beginning
        size = 2 * space.start()
    return text


def characters_read(text: str) -> int:
    """Number of characters of a text, from its start, that `SentenceEncoder` reads: up to 256 word pieces.

    Raises:
        WeightsError: the tokenizer is not available.
    """
    encoding = _tokenizer().encode(_beginning(text))
    return encoding.offsets[-2][1] if encoding.overflowing else len(text)  # the last piece is a special one


class SentenceEncoder:
    """MiniLM-L6-v2 on onnxruntime; about 330 comments of 19 word pieces per second on one core.

    Args:
        threads: number of CPU threads.
        is_frugal: keep the weights in 8 bits and unpack them at each call: 115 MB less memory and three times the CPU
            time; vectors differ by less than 1e-6.

    Raises:
        WeightsError: the model or its tokenizer is not available.

    Source: sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0); Wang et al. 2020, arXiv:2002.10957.
    """

    def __init__(self, threads: int = 1, *, is_frugal: bool = False) -> None:
        import onnxruntime

        self._tokenizer = _tokenizer()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        graph = _with_rows_unpacked(model_path(MODEL).read_bytes()) + _with_outputs(_OUTPUTS[:-1])
        options.enable_cpu_mem_arena = not is_frugal
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=['CPUExecutionProvider'],
            disabled_optimizers=['ConstantFolding'] if is_frugal else None,
        )  # fmt: skip

    def encode(self, texts: Sequence[str], *, normalized: bool = True) -> Floats32:
        """The sentence embedding of each text.

        Args:
            texts: N texts of any length, cut at 256 word pieces. An empty text has the vector of its special tokens.
            normalized: scale each vector to length 1, so that dot products are cosines.

        Returns:
            (N, D) float32.
        """
        vectors = self.layers(texts)[:, -1]
        if normalized:
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def layers(self, texts: Sequence[str]) -> Floats32:
        """Mean over word pieces of the word embeddings and of each layer.

        Args:
            texts: N texts, see `encode`.

        Returns:
            (N, L, D) float32.
        """
        means = np.zeros((len(texts), LAYERS * DIMENSIONS), dtype=np.float32)
        for rows, states in self.states(texts):
            means[rows] = states.mean(axis=1)
        return means.reshape(-1, LAYERS, DIMENSIONS)

    def pieces(self, text: str) -> list[int]:
        """Token numbers of a text with its special tokens, at most 256."""
        return list(self._tokenizer.encode(_beginning(text)).ids)

    def states(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Floats32]]:
        """States of each word piece in all layers, for batches of texts of equal length.

        Args:
            texts: N texts, see `encode`.

        Yields:
            Indices of B texts and their (B, T, L D) states, layers concatenated, from the shortest texts to the
            longest; every text once.
        """
        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch([*map(_beginning, texts)])]
        by_length = sorted(range(len(texts)), key=lambda index: len(encoded[index]))
        for _, of_one_length in groupby(by_length, key=lambda index: len(encoded[index])):
            indices = list(of_one_length)
            for start in range(0, len(indices), BATCH):
                rows = indices[start : start + BATCH]
                token_ids = np.array([encoded[index] for index in rows], dtype=np.int64)
                feed = {
                    'input_ids': token_ids,
                    'attention_mask': np.ones_like(token_ids),
                    'token_type_ids': np.zeros_like(token_ids),
                }
                yield rows, np.concatenate(self._session.run(list(_OUTPUTS), feed), axis=2)


def _with_outputs(names: Sequence[str]) -> bytes:
    """Bytes that make inner values of an ONNX file outputs when appended to it.

    Concatenated protocol buffers are merged by definition: this is a model with only a graph (field 7) that has further
    outputs (field 12), each with a name (field 1).
    """
    outputs = b''.join(bytes_field(12, bytes_field(1, name.encode())) for name in names)
    return bytes_field(_GRAPH, outputs)


def _with_rows_unpacked(model: bytes) -> bytes:
    """The ONNX file changed to look up the rows of words in 8 bits and convert only these to floats.

    The file as published converts the whole table of 30,522 words to floats at each call before it looks up a few rows:
    the same numbers, at the cost of 94 MB and most of the time that a short text takes.
    """
    graph = next(part for part in fields(model) if part.number == _GRAPH)
    parts: list[bytes | memoryview] = []
    for part in fields(graph.content):
        output = _output_of(part.content) if part.number == _NODE else ''
        if output == _ROWS:
            parts += [
                _node('Gather', [f'{_TABLE}_q', 'input_ids'], 'rows_q'),
                _node('Cast', ['rows_q'], 'rows_f', _TO_FLOAT),
                _node('Gather', [f'{_TABLE}_scale', 'input_ids'], 'rows_scale'),
                _node('Mul', ['rows_f', 'rows_scale'], _ROWS),
            ]
        elif output not in _UNPACKED_TABLE:
            parts.append(graph.content[part.begin : part.end])
    return b''.join([model[: graph.begin], bytes_field(_GRAPH, b''.join(parts)), model[graph.end :]])


def _output_of(node: memoryview) -> str:
    """The first output of a node."""
    return bytes(next(part.content for part in fields(node) if part.number == _OUTPUT)).decode()


def _node(operator: str, inputs: Sequence[str], output: str, attribute: bytes = b'') -> bytes:
    """A node of an ONNX graph."""
    connections = [*((1, name) for name in inputs), (_OUTPUT, output), (3, f'{output}_made'), (4, operator)]
    return bytes_field(_NODE, b''.join(bytes_field(number, text.encode()) for number, text in connections) + attribute)
