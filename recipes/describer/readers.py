"""The small describer before its first step, and where the weights of its readers start.

A soft token of 576 numbers that are drawn says nothing to a language model, and few steps are paid here. So each reader
starts as a linear head: margins of labels, each along a direction that the trunk itself takes for that word,

    token = sum over labels k of margin_k(features) d_k        d_k . e_j = 1 where j = k, else 0 (nearly)

with e_j the trunk's embedding of word j. What has to be learnt then is to say what a token points to.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data import FACE, PROSODY, RECIPES_OF, SENTENCE, VOICE

from affekt.arrays import Floats32
from affekt.description import (
    Adapters,
    Describer,
    DescriberSettings,
    Source,
    kind_of,
    open_trunk,
    packaged_wordings,
    with_adapters,
)
from affekt.features import RECIPES
from affekt.labels import GOEMOTIONS
from affekt.npz import read_npz
from affekt.weights import PACKAGED

sys.path.append(str(Path(__file__).resolve().parent.with_name('vocal_emotion')))
heads: Any = importlib.import_module('heads')
"""Of `recipes/vocal_emotion`: the very fit of the shipped head."""

TRUNK = 'smollm2-135m-instruct.gguf'
RANK = 8
PENALTY = 0.3
"""Of the shipped head of the voice, see its card."""
KIND = kind_of((VOICE, PROSODY, FACE, SENTENCE), words=False, bare=True)
LABELS, SENTIMENT, DESCRIPTION = 'Feeling', 'Sentiment', 'Description'
"""Questions, as short as can be: positions cost time. The first is one token."""


@dataclass(frozen=True)
class Start:
    """A linear head over raw features: margins = features @ weight + bias.

    Args:
        words: K, as answers name them.
        weight: (D, K).
        bias: (K,).
    """

    words: tuple[str, ...]
    weight: Floats32
    bias: Floats32


def source_rows(dropout: float) -> list[Source]:
    """The table of sources, one soft token each."""
    return [
        Source(
            name, RECIPES[recipe].dimension, fusion='mean', recipe=recipe,
            dropout=0.0 if name in (SENTENCE, PROSODY) else dropout, standardised=True, scaled=True,
        )
        for name, recipe in RECIPES_OF.items()
    ]  # fmt: skip


def new_describer(*, rank: int = RANK, dropout: float = 0.2, seed: int = 0) -> Describer:
    """The trunk with fresh adapters and readers."""
    trunk = with_adapters(open_trunk(TRUNK), Adapters(rank=rank, dropout=0.0), seed=seed)
    return Describer(trunk, source_rows(dropout), DescriberSettings(family='bare'), seed=seed)


def words_of(categories: Sequence[str]) -> tuple[str, ...]:
    """How answers name categories."""
    return tuple(packaged_wordings().label_of(category) for category in categories)


def fitted(features: Floats32, truth: Sequence[str], words: Sequence[str]) -> tuple[Start, Any]:
    """Multinomial logistic regression as the head of the voice is fitted, each label of the same weight.

    Args:
        features: (N, D).
        truth: (N,) words.
        words: at most eight.
    """
    numbers = np.array([words.index(word) for word in truth])
    each = 1 / np.bincount(numbers, minlength=8)[numbers].clip(1)
    classes = np.tile(np.arange(8) < len(words), (len(numbers), 1))
    (head,) = heads.fit_heads(heads.Rows(features, numbers, each / each.sum(), classes), [PENALTY])
    weight = head.weight / head.scale[:, None]
    weight[features.std(axis=0) < 1e-5] = 0.0  # nothing is known of what never varied
    count = len(words)
    weight, bias = weight[:, :count], head.bias[:count] - (head.centre @ weight)[:count]
    return Start(tuple(words), weight.astype(np.float32), bias.astype(np.float32)), head


def margins(start: Start, features: Floats32) -> Floats32:
    """(N, K)"""
    return np.asarray(features @ start.weight + start.bias, np.float32)


def text_head(width: int) -> Start:
    """The 28 labels by the calibration and thresholds of the shipped head of text.

    Args:
        width: of the features, whose first 28 are the outputs for the labels.
    """
    arrays = read_npz(PACKAGED / 'textual_emotion.npz')
    slope, offset, threshold = (np.asarray(arrays[name], np.float64) for name in ('slope', 'offset', 'thresholds'))
    count = len(GOEMOTIONS)
    weight = np.zeros((width, count))
    weight[np.arange(count), np.arange(count)] = slope
    bias = offset - np.log(threshold / (1 - threshold))
    return Start(words_of(GOEMOTIONS), weight.astype(np.float32), bias.astype(np.float32))


def sentence_start(features: Floats32, sentiment: Floats32) -> Start:
    """The labels of the head of text, and sentiment by ridge regression.

    Args:
        features: (N, 31) of lines whose sentiment is known.
        sentiment: (N,) in [-1, 1].
    """
    head, width, count = text_head(features.shape[1]), features.shape[1], len(GOEMOTIONS)
    weight, bias = np.zeros((width, count + 2)), np.zeros(count + 2)
    weight[:, :count], bias[:count] = head.weight, head.bias
    centre, scale = features.mean(axis=0), features.std(axis=0)
    standard = (features - centre) / scale
    fit = np.linalg.solve(standard.T @ standard + 100.0 * np.eye(width), standard.T @ (sentiment - sentiment.mean()))
    for column, sign in ((count, 3.0), (count + 1, -3.0)):
        weight[:, column] = sign * fit / scale
        bias[column] = -float(centre @ weight[:, column])
    words = (*head.words, 'positive', 'negative')
    return Start(words, weight.astype(np.float32), bias.astype(np.float32))


def directions(describer: Describer, words: Sequence[str]) -> torch.Tensor:
    """(H, K) vectors whose products with the embeddings of words, less their mean, are nearly the unit matrix."""
    table = describer.trunk.get_input_embeddings().weight  # type: ignore[operator]
    numbers = [describer.vocabulary.numbers(f' {word}')[0] for word in words]
    if len(set(numbers)) < len(numbers):
        raise ValueError('two words begin with one token')
    rows = table[torch.tensor(numbers)].detach().double()
    rows = rows - rows.mean(dim=0)
    gram = rows @ rows.T
    ridge = 0.05 * gram.diagonal().mean() * torch.eye(len(rows), dtype=gram.dtype)
    return (rows.T @ torch.linalg.inv(gram + ridge)).float()


def start_reader(describer: Describer, source: str, start: Start, vectors: dict[str, torch.Tensor]) -> None:
    """Put a head into a reader, whose features have been standardised before.

    Args:
        describer: changed in place.
        source: whose reader.
        start: its head.
        vectors: word to its (H,) direction.
    """
    reader = describer.reader(source)
    basis = torch.stack([vectors[word] for word in start.words], dim=1)  # (H, K)
    weight, bias = torch.from_numpy(start.weight).T, torch.from_numpy(start.bias)  # (K, D), (K,)
    weight, bias = weight - weight.mean(dim=0), bias - bias.mean()
    with torch.no_grad():
        reader.project.weight.copy_(basis @ (weight * reader.deviation))
        reader.project.bias.copy_(basis @ (bias + weight @ reader.mean))
