"""Words to vectors without a model: hashed unigrams and bigrams, the same on every machine.

A floor for text features: what a learned encoder adds is what it gains on this.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SIZE = 512
_WORD = re.compile(r"[a-z0-9']+|[一-鿿]")


def hashed_texts(texts: Sequence[str], size: int = SIZE) -> npt.NDArray[np.float32]:
    """Signed counts of hashed words and word pairs, scaled to length 1.

    A text is lower-cased; words are runs of a-z, 0-9 and apostrophes, and single Chinese characters. Of each word, and
    of each pair of neighbours joined by `_`, the CRC32 of its UTF-8 bytes gives the place (modulo the size) and the
    sign (negative where the highest bit is set).

    Args:
        texts: N texts in English or Chinese.
        size: of a vector.

    Returns:
        (N, size); zeros for a text without words.

    >>> row = hashed_texts(['ANYHOW IT WAS REALLY GOOD'])[0]
    >>> np.flatnonzero(row).tolist(), round(float(row[9]), 6)
    ([9, 69, 127, 146, 245, 308, 423, 443, 496], 0.333333)
    """
    rows = np.zeros((len(texts), size))
    for row, text in zip(rows, texts, strict=True):
        words = _WORD.findall(text.lower())
        for gram in (*words, *(f'{left}_{right}' for left, right in itertools.pairwise(words))):
            code = zlib.crc32(gram.encode())
            row[code % size] += -1.0 if code >> 31 else 1.0
        if norm := np.linalg.norm(row):
            row /= norm
    return rows.astype(np.float32)
