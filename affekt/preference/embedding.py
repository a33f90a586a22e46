"""Embeddings of texts for preference models: any object with a name and `embed`; here, MiniLM on pieces of a text.

The encoder truncates texts at 256 word pieces, and long descriptions, whose conclusion comes last, have more. So a
text is read in pieces of whole sentences, and its vector is the mean over them. Vectors are cached in a file by the
text's hash, so that no text is embedded twice.

Axes: N texts, D dimensions.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ArchiveError, ShapeError
from affekt.npz import read_npz
from affekt.runs import write_atomically

if TYPE_CHECKING:
    from affekt.text import SentenceEncoder


PIECE_WORDS = 80
"""Number of words after which a new piece begins, at the next sentence."""


class Embedder(Protocol):
    """A function from texts to vectors; equal texts must always have equal vectors."""

    @property
    def name(self) -> str:
        """Name with version: a model trained on one embedder refuses another."""

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.floating]:
        """(N, D) vectors of N texts; blank texts have a vector too."""


class SentenceEmbedder:
    """MiniLM-L6 over pieces of whole sentences; a text's vector is the mean over its pieces.

    Args:
        encoder: a SentenceEncoder to share; None to make one at the first text.
    """

    name = f'minilm-l6-int8, last layer, pieces of {PIECE_WORDS} words'

    def __init__(self, encoder: SentenceEncoder | None = None) -> None:
        self._encoder = encoder

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.floating]:
        """(N, D) vectors; for a blank text, that of the empty text."""
        if self._encoder is None:
            from affekt.text import SentenceEncoder

            self._encoder = SentenceEncoder()
        pieces = [sentences_in_pieces(text) for text in texts]
        vectors = self._encoder.encode([piece for parts in pieces for piece in parts]).astype(np.float64)
        ends = np.cumsum([len(parts) for parts in pieces])
        return np.stack([vectors[end - len(parts) : end].mean(axis=0) for parts, end in zip(pieces, ends, strict=True)])


class CachedEmbedder:
    """An embedder whose vectors are cached in a file.

    Args:
        embedder: embedder of texts that are not in the file.
        path: an .npz file, created where missing; None for memory only.

    Raises:
        ArchiveError: the file is damaged or has another embedder's vectors.
    """

    def __init__(self, embedder: Embedder, path: Path | None = None) -> None:
        self._embedder, self._path = embedder, path
        self._cache: dict[str, Floats] = {}
        if path is not None and path.exists():
            self._cache = _read_cache(path, embedder.name)

    @property
    def name(self) -> str:
        """Name of the wrapped embedder."""
        return self._embedder.name

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.floating]:
        """(N, D) vectors; texts that are not cached are embedded together and cached."""
        keys = [hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest() for text in texts]
        uncached = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._cache}
        if uncached:
            vectors = checked_vectors(self._embedder, list(uncached.values()))
            self._cache.update(zip(uncached, vectors, strict=True))
            if self._path is not None:
                content = io.BytesIO()
                sorted_keys = sorted(self._cache)
                vectors_by_key = np.stack([self._cache[key] for key in sorted_keys])
                np.savez_compressed(
                    content, name=np.array([self.name]), texts=np.array(sorted_keys), vectors=vectors_by_key
                )
                write_atomically(self._path, content.getvalue())
        return np.stack([self._cache[key] for key in keys])


def checked_vectors(embedder: Embedder, texts: Sequence[str]) -> Floats:
    """(N, D) vectors of an embedder, as float64.

    Args:
        embedder: source of the vectors.
        texts: N texts.

    Raises:
        ShapeError: the vectors have another shape, or are not finite.
    """
    vectors = np.asarray(embedder.embed(texts), np.float64)
    if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
        raise ShapeError(
            expected=f'({len(texts)}, D) finite numbers from the embedder {embedder.name}',
            came=f'shape {vectors.shape}' if vectors.shape[:1] != (len(texts),) else 'nan or infinite ones',
            todo='let embed give one vector for each text',
        )
    return vectors


def sentences_in_pieces(text: str) -> list[str]:
    """The text cut at ends of sentences after at least 80 words; always at least one piece.

    >>> sentences_in_pieces('One. ' + 'word ' * 80 + 'end. Last one.')[1]
    'Last one.'
    """
    pieces: list[list[str]] = [[]]
    count = 0
    for sentence in re.split(r'(?<=[.!?。！？])\s+|\n+', text.strip()):
        if count >= PIECE_WORDS:
            pieces.append([])
            count = 0
        pieces[-1].append(sentence)
        count += len(sentence.split())
    return [' '.join(piece) for piece in pieces]


def _read_cache(path: Path, name: str) -> dict[str, Floats]:
    """Hash of a text to its vector, from a file of the embedder with this name."""
    arrays = read_npz(path)
    if set(arrays) != {'name', 'texts', 'vectors'} or arrays['name'].tolist() != [name]:
        raise ArchiveError(
            expected=f'vectors of {name}', came=f'other content in {path}', todo='choose another file, or remove it'
        )
    return dict(zip(arrays['texts'].tolist(), arrays['vectors'], strict=True))
