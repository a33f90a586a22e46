"""Features of a pair for preference models, which change sign exactly when the two texts are swapped.

Each text has features φ(text); a pair has φ(left) - φ(right), which floating-point arithmetic negates without error.
Features of both sides together are cross products, a_i b_j - a_j b_i, which are negated too. Blocks:

- `surface`: length, sentences, words, marks, repetition: the form of a text;
- `emotion`: its emotion words, by the word table: their number and sectors, their valence, arousal and intensity, and
  the distances between them;
- `embedding`: the leading directions of the embedding;
- `crossed`: cross products of the first few directions: which text fits what both have in common;
- `prompted`: the first few directions times those of the prompt, and the similarity of a text to it;
- `sample`: the first few directions times the features of the clip, where these are given.

Features for ties (`sameness`) keep their sign: the differences of the two lengths and of the two embeddings.

Axes: N pairs, P features, D dimensions of the embedding, K kept directions, M crossed directions, F of the clip.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ShapeError, UnknownNameError
from affekt.labels import Lexicon, WordTable, load_table, read_labels, words_of
from affekt.preference.embedding import Embedder, checked_vectors
from affekt.preference.pairs import Pairs

SampleFeatures = Mapping[str, npt.NDArray[np.floating]]
"""Name of a sample to its (F,) features."""

BLOCKS = ('surface', 'emotion', 'embedding', 'crossed', 'prompted', 'sample')

_SCALED_EACH = ('surface', 'emotion', 'near the prompt')
"""Blocks whose features are scaled one by one, since their units differ."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_HEDGES = words_of(
    'may might could can perhaps possibly maybe likely probably seems seem appears appear suggests suggest'
)

SURFACE = (
    'doublings of characters', 'doublings of words', 'doublings of sentences', 'letters a word', 'words a sentence',
    'distinct words', 'repeated threes of words', 'lines', 'digits', 'capitals', 'commas', 'quotes', 'hedges',
    'ends in a full stop', 'is blank',
)  # fmt: skip


def surface(text: str) -> list[float]:
    """Features of a text's form, in the order of SURFACE."""
    text = text.strip()
    words = [word.lower() for word in _WORD.findall(text)]
    sentences = max(1, len(re.findall(r'[.!?。！？]+(?=\s|$)', text)))
    trigrams = [tuple(words[start : start + 3]) for start in range(len(words) - 2)]
    size, count = max(len(text), 1), max(len(words), 1)
    return [
        math.log2(len(text) + 1),
        math.log2(len(words) + 1),
        math.log2(sentences + 1),
        sum(map(len, words)) / count,
        math.log2(len(words) / sentences + 1),
        len(set(words)) / count,
        1.0 - len(set(trigrams)) / max(len(trigrams), 1),
        math.log2(text.count('\n') + 1),
        sum(letter.isdigit() for letter in text) / size,
        sum(letter.isupper() for letter in text) / size,
        text.count(',') / count,
        sum(text.count(mark) for mark in '"“”「」') / count,
        sum(word in _HEDGES for word in words) / count,
        float(text.endswith(('.', '!', '?', '。', '"', '”'))),
        float(not text),
    ]


@cache
def _table() -> tuple[WordTable, Lexicon, Mapping[str, str], tuple[str, ...]]:
    """The word table, its forms indexed for search, form to sector, and the sectors."""
    table = load_table('affekt')
    sectors = table.fold('affekt-L1', 'consistent')
    return table, Lexicon(table.bases), sectors, tuple(sorted(set(sectors.values())))


def emotion_names() -> tuple[str, ...]:
    """Names of the features in `emotion`."""
    general = ('words of feeling', 'a hundred words', 'sectors', 'valence', 'arousal', 'intensity', 'spread of valence')
    return (*general, *_table()[3])


def emotion(text: str) -> list[float]:
    """Features of the emotion words in a text, in the order of `emotion_names`; averages are 0 without any word."""
    table, lexicon, fold, sectors = _table()
    labels = read_labels(text, lexicon).labels
    known_labels = [label for label in labels if label in table.bases]
    senses = [table.senses[base] for label in known_labels for base in table.bases[label][:1] if base in table.senses]
    sector_counts = Counter(fold[label] for label in known_labels if label in fold)
    valences = [sense.valence for sense in senses]
    mean: Callable[[Sequence[float]], float] = lambda values: math.fsum(values) / len(values) if values else 0.0  # noqa: E731
    centre = mean(valences)
    return [
        math.log2(len(known_labels) + 1),
        100.0 * len(known_labels) / max(len(text.split()), 1),
        float(len(sector_counts)),
        centre,
        mean([sense.arousal for sense in senses]),
        mean([sense.intensity for sense in senses]),
        math.sqrt(mean([(valence - centre) ** 2 for valence in valences])),
        *(sector_counts[sector] / max(sum(sector_counts.values()), 1) for sector in sectors),
    ]


@dataclass(frozen=True)
class RawFeatures:
    """Features of N pairs before anything is fitted to them."""

    surface: tuple[Floats, Floats]
    """(N, …) of the left and of the right texts."""
    emotion: tuple[Floats, Floats]
    """(N, …) of the left and of the right texts."""
    vectors: tuple[Floats, Floats]
    """(N, D) embeddings of the left and of the right texts."""
    prompt: Floats | None
    """(N, D) embeddings of the prompts; None without prompts."""
    sample: Floats | None
    """(N, F) features of the clips; None without."""
    lengths: Floats
    """(N,) log2 ratio of the numbers of characters, left over right."""


def raw_features(pairs: Pairs, embedder: Embedder, samples: SampleFeatures | None = None) -> RawFeatures:
    """Features of pairs before anything is fitted; every text is read once, whichever side it is on.

    Args:
        pairs: N pairs.
        embedder: embedder of texts and prompts.
        samples: name of a sample to the (F,) features of its clip; None for none.

    Raises:
        ShapeError: the embedder returned no (N, D) finite values, or features of clips differ in shape.
        UnknownNameError: a sample has no features, although features are given.
    """
    texts = sorted({*pairs.left, *pairs.right, *pairs.prompt})
    index_of = {text: index for index, text in enumerate(texts)}
    vectors = checked_vectors(embedder, texts)
    surfaces = np.array([surface(text) for text in texts])
    emotions = np.array([emotion(text) for text in texts])
    left, right = ([index_of[text] for text in side] for side in (pairs.left, pairs.right))
    return RawFeatures(
        (surfaces[left], surfaces[right]),
        (emotions[left], emotions[right]),
        (vectors[left], vectors[right]),
        vectors[[index_of[text] for text in pairs.prompt]] if pairs.prompt else None,
        None if samples is None else _sample_rows(pairs, samples),
        surfaces[left][:, 0] - surfaces[right][:, 0],
    )


def _sample_rows(pairs: Pairs, samples: SampleFeatures) -> Floats:
    """(N, F) features of the pairs' clips."""
    if missing := [name for name in pairs.names if name not in samples]:
        raise UnknownNameError(
            expected=f'features of every sample of {pairs.source}',
            came=f'none of {missing[0]!r}',
            todo='give features of all samples, or of none',
        )
    rows = [np.asarray(samples[name], np.float64).ravel() for name in pairs.names]
    if len({len(row) for row in rows}) != 1 or not all(np.isfinite(row).all() for row in rows):
        raise ShapeError(
            expected='as many finite features for every sample',
            came=f'{sorted({len(row) for row in rows})} numbers',
            todo='pool each clip to one vector',
        )
    return np.stack(rows)


@dataclass(frozen=True)
class Directions:
    """Centred leading directions of vectors: (v - centre) @ axes, scaled so that the first has unit variance."""

    centre: Floats
    """(D,) mean of the vectors."""
    axes: Floats
    """(D, K) orthogonal directions, of the same length."""

    @classmethod
    def of(cls, vectors: Floats, count: int) -> Directions:
        """The first `count` principal directions of (N, D) vectors, fewer where fewer vary."""
        centre = vectors.mean(axis=0)
        covariance = (vectors - centre).T @ (vectors - centre) / len(vectors)
        values, axes = np.linalg.eigh(covariance)
        chosen = np.flatnonzero(values > 1e-12 * max(values[-1], 1e-300))[::-1][:count]
        axes = axes[:, chosen]
        # Eigenvectors have no sign of their own: the largest entry of each is made positive.
        axes = axes * np.where(axes[np.argmax(np.abs(axes), axis=0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
        return cls(centre, np.ascontiguousarray(axes / math.sqrt(values[-1]) if len(chosen) else axes))

    def __call__(self, vectors: Floats) -> Floats:
        """(N, D) to (N, K), each row computed separately, so that it does not depend on the others."""
        return np.array([(row - self.centre) @ self.axes for row in vectors]).reshape(len(vectors), self.axes.shape[1])


@dataclass(frozen=True)
class FeatureSpace:
    """Mapping from raw features of pairs to model features, with directions and scales of the training pairs."""

    blocks: tuple[str, ...]
    """Blocks of features, in the order of BLOCKS."""
    texts: Directions
    """Directions of the texts' embeddings."""
    crossed: int
    """Number of directions that are crossed, and multiplied with those of prompts and clips."""
    prompts: Directions | None
    """Directions of the prompts' embeddings; None if they are not used."""
    samples: Directions | None
    """Directions of the clips' features; None if they are not used."""
    scale: Floats
    """(P,) divisors of the features."""

    @classmethod
    def of(cls, raw: RawFeatures, blocks: Sequence[str], directions: int, crossed: int) -> FeatureSpace:
        """The feature space of training pairs.

        Args:
            raw: features of the training pairs.
            blocks: names among BLOCKS; `prompted` and `sample` are empty without prompts or features of clips.
            directions: number of directions of the embedding.
            crossed: number of these that are crossed.

        Raises:
            UnknownNameError: unknown block.
        """
        if unknown := [name for name in blocks if name not in BLOCKS]:
            raise UnknownNameError(
                expected=f'blocks among {", ".join(BLOCKS)}', came=repr(unknown[0]), todo='name some of these'
            )
        texts = Directions.of(np.concatenate(raw.vectors), max(directions, crossed))
        prompts = Directions.of(raw.prompt, crossed) if 'prompted' in blocks and raw.prompt is not None else None
        samples = Directions.of(raw.sample, crossed) if 'sample' in blocks and raw.sample is not None else None
        used = tuple(name for name in BLOCKS if name in blocks)
        unscaled = cls(used, texts, crossed, prompts, samples, np.ones(1))
        raw_blocks = unscaled._blocks(raw)
        scales = [_scale(raw_blocks[name], name in _SCALED_EACH) for name in raw_blocks]
        return cls(used, texts, crossed, prompts, samples, np.concatenate([*scales, np.zeros(0)]))

    @property
    def width(self) -> int:
        """P, the number of features."""
        texts, crossed = self.texts.axes.shape[1], min(self.crossed, self.texts.axes.shape[1])
        sizes = {
            'surface': len(SURFACE),
            'emotion': len(emotion_names()),
            'embedding': texts,
            'crossed': crossed * (crossed - 1) // 2,
            'prompted': crossed * self.prompts.axes.shape[1] + 1 if self.prompts else 0,
            'sample': crossed * self.samples.axes.shape[1] if self.samples else 0,
        }
        return sum(sizes[name] for name in self.blocks)

    def __call__(self, raw: RawFeatures) -> Floats:
        """(N, P) features; those of swapped pairs are their exact negatives.

        Raises:
            ShapeError: the pairs lack prompts or features of clips that the training pairs had.
        """
        columns = np.concatenate([*self._blocks(raw).values(), np.zeros((len(raw.lengths), 0))], axis=1)
        return np.asarray(columns / self.scale)

    def _blocks(self, raw: RawFeatures) -> dict[str, Floats]:
        left_texts, right_texts = (self.texts(side) for side in raw.vectors)
        first, second = left_texts[:, : self.crossed], right_texts[:, : self.crossed]
        blocks: dict[str, Floats] = {}
        if 'surface' in self.blocks:
            blocks['surface'] = raw.surface[0] - raw.surface[1]
        if 'emotion' in self.blocks:
            blocks['emotion'] = raw.emotion[0] - raw.emotion[1]
        if 'embedding' in self.blocks:
            blocks['embedding'] = left_texts - right_texts
        if 'crossed' in self.blocks:
            i, j = np.triu_indices(first.shape[1], 1)
            blocks['crossed'] = first[:, i] * second[:, j] - first[:, j] * second[:, i]
        for name, vectors, directions in (
            ('prompted', raw.prompt, self.prompts),
            ('sample', raw.sample, self.samples),
        ):
            if directions is not None:
                if vectors is None or vectors.shape[1] != len(directions.centre):
                    raise ShapeError(
                        expected=f'{name} vectors of {len(directions.centre)} numbers, as in training',
                        came='none' if vectors is None else f'{vectors.shape[1]}',
                        todo='give the same kind of pairs and features',
                    )
                coordinates = directions(vectors)
                difference = first - second
                blocks[name] = (difference[:, :, None] * coordinates[:, None, :]).reshape(
                    len(coordinates), -1
                )  # (N, M times the directions of prompts or clips)
                if name == 'prompted':
                    similarity = _cosine(vectors, raw.vectors[0]) - _cosine(vectors, raw.vectors[1])
                    blocks['near the prompt'] = similarity[:, None]
        return blocks


def sameness(raw: RawFeatures) -> Floats:
    """(N, 3) features of ties: 1, absolute log2 ratio of the lengths, distance of the embeddings."""
    distances = 1.0 - _cosine(*raw.vectors)
    return np.stack([np.ones(len(distances)), np.minimum(np.abs(raw.lengths), 8.0), distances], axis=1)


def _cosine(first: Floats, second: Floats) -> Floats:
    """(N,) cosine similarities, row by row; symmetric."""
    sizes = np.sqrt((first * first).sum(axis=1)) * np.sqrt((second * second).sum(axis=1))
    return np.asarray((first * second).sum(axis=1) / np.maximum(sizes, 1e-300))


def _scale(features: Floats, is_separate: bool) -> Floats:
    """(P,) root mean squares: of each feature, or the largest one for all, so that small directions stay small."""
    root_mean_squares = np.sqrt((features**2).mean(axis=0))
    if not is_separate:
        root_mean_squares = np.full(len(root_mean_squares), root_mean_squares.max(initial=0.0))
    return np.where(root_mean_squares > 0.0, root_mean_squares, 1.0)
