"""Preference pairs made up for tests: a planted shortcut, a planted signal, and an embedder without a model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

import numpy as np

from affekt.preference.pairs import Pairs

FILLER = [
    'the',
    'person',
    'in',
    'the',
    'clip',
    'sits',
    'near',
    'a',
    'window',
    'and',
    'speaks',
    'with',
    'somebody',
    'off',
    'screen',
    'for',
    'a',
    'while',
]


class WordHashes:
    """Texts as sums of their words' fixed random directions; as a sentence embedder, without order."""

    name = 'word hashes, 32 dimensions'

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([sum((direction(word) for word in text.lower().split()), np.zeros(32)) for text in texts])


@cache
def direction(word: str) -> np.ndarray:
    """A word's own random direction."""
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], 'big')
    return np.random.default_rng(seed).normal(size=32)


def emoprefer_like(count: int, seed: int, *, shortcut: float = 2.0, signal: float = 1.5, ties: float = 0.02) -> Pairs:
    """Pairs of one verbose source that begins alike, and one short source; which wins follows both plants.

    The verbose source is preferred by log-odds `shortcut`; a text that names sweat and trembling (one of the two
    always does) by log-odds `signal`.
    """
    rng = np.random.default_rng(seed)
    names, left, right, outcome, sources = [], [], [], [], ([], [])
    for at in range(count):
        verbose_is_left, verbose_has_it = rng.integers(2, size=2).astype(bool)
        verbose = 'In the text ' + ' '.join(rng.choice(FILLER, size=int(rng.integers(18, 45))))
        brief = ' '.join(rng.choice(FILLER, size=int(rng.integers(10, 26))))
        proof = ' with sweating trembling hands'
        other = ' with folded resting hands'
        verbose, brief = verbose + (proof if verbose_has_it else other), brief + (other if verbose_has_it else proof)
        odds = shortcut + (signal if verbose_has_it else -signal)
        wins = rng.random() < 1.0 / (1.0 + np.exp(-odds))
        side = 1 if wins == verbose_is_left else -1
        names.append(f'sample_{at:04d}')
        left.append(verbose if verbose_is_left else brief)
        right.append(brief if verbose_is_left else verbose)
        outcome.append(0 if rng.random() < ties else side)
        for column, is_verbose in zip(sources, (verbose_is_left, not verbose_is_left), strict=True):
            column.append('verbose' if is_verbose else 'brief')
    return Pairs.of(left, right, outcome, names=names, sources=sources, source='made-up pairs')
