"""The linear head, how it is fitted on several corpora, and what it knows of speech.

The loss of a clip is the cross-entropy over the labels that its corpus has: nothing is learned about disgust from a
corpus without it. Corpora weigh the same, and within a corpus its labels do.
Axes: N clips, P features, K principal components, 8 labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from features import Clips, Store

from affekt.arrays import Floats32
from affekt.labels import EKMAN, RAVDESS8, RAVDESS8_TO_EKMAN
from affekt.voice.emotion import STATISTICS, distance_from_speech, seven_categories

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

COMPONENTS = 300
SPEECH_COMPONENTS = 50

ONTO_EKMAN = np.array([EKMAN.index(RAVDESS8_TO_EKMAN[label]) for label in RAVDESS8])


@dataclass(frozen=True)
class Rows:
    """Copies of clips, as the fit takes them.

    Attributes:
        features: (N, P).
        truth: (N,) indices into RAVDESS8.
        weight: (N,) of the loss.
        classes: (N, 8) True for the labels that count for a row.
    """

    features: Floats32
    truth: IntArray
    weight: npt.NDArray[np.float64]
    classes: BoolArray


@dataclass(frozen=True)
class Head:
    """Scores = ((x - centre) / scale) @ weight + bias, for each penalty of one fit, and what speech looks like."""

    centre: Floats32
    scale: Floats32
    weight: Floats32
    bias: Floats32
    classes: BoolArray
    speech_axes: Floats32
    speech_middle: Floats32
    speech_spread: Floats32

    def logits(self, features: Floats32) -> Floats32:
        """(N, 8); minus infinity, nearly, for labels that no row of the fit had."""
        scores = ((features - self.centre) / self.scale) @ self.weight + self.bias
        return np.where(self.classes, scores, -1e9).astype(np.float32)

    def strangeness(self, features: Floats32) -> Floats32:
        """(N,) distances from the speech of the fit."""
        standard = (features - self.centre) / self.scale
        return distance_from_speech(standard, self.speech_axes, self.speech_middle, self.speech_spread)


def rows_of(
    store: Store,
    encoder: str,
    statistics: Sequence[str],
    shares: dict[str, float],
    keep: BoolArray | None = None,
) -> Rows:
    """The copies of one corpus; all together weigh 1, `shares` says how copies compare.

    A copy that the corpus has no need of (it comes coded) is left out.
    """
    clips = store.clips
    keep = np.ones(clips.truth.shape[0], bool) if keep is None else keep
    copies = {copy: share for copy, share in shares.items() if not (copy == 'coded' and clips.name == 'nemo')}
    truth = clips.truth[keep]
    each = 1 / np.bincount(truth, minlength=len(RAVDESS8))[truth]
    weight = np.concatenate([each * share for share in copies.values()])
    return Rows(
        features=np.concatenate([pooled(store, encoder, copy, statistics)[keep] for copy in copies]),
        truth=np.tile(truth, len(copies)),
        weight=weight / weight.sum(),
        classes=np.tile(clips.classes, (truth.shape[0] * len(copies), 1)),
    )


def pooled(store: Store, encoder: str, copy: str, statistics: Sequence[str]) -> Floats32:
    """(S, P) features of a copy: some statistics of all layers but the first."""
    places = [STATISTICS.index(name) for name in statistics]
    array = store.features(encoder, copy)[:, 1:][:, :, places]
    return array.reshape(array.shape[0], -1).astype(np.float32)


def together(parts: Sequence[Rows]) -> Rows:
    """Several corpora, each of the same weight."""
    return Rows(
        features=np.concatenate([part.features for part in parts]),
        truth=np.concatenate([part.truth for part in parts]),
        weight=np.concatenate([part.weight for part in parts]) / len(parts),
        classes=np.concatenate([part.classes for part in parts]),
    )


def fit_heads(rows: Rows, penalties: Sequence[float], components: int = COMPONENTS) -> list[Head]:
    """One head per penalty, each started from the one before (give them in falling order).

        sum_i weight_i * -log softmax(scores_i over classes_i)[truth_i] + penalty / 2 * |W|**2

    W lives on the first principal components of the standardised features, which hold nearly all that the classes
    differ in and make a fit cheap.
    """
    centre, scale = rows.features.mean(axis=0), rows.features.std(axis=0) + 1e-6
    standard = torch.from_numpy((rows.features - centre) / scale)
    torch.manual_seed(0)
    rank = min(components, *standard.shape)
    _, _, axes = torch.svd_lowrank(standard, q=rank, niter=2)
    inputs, target = standard @ axes, torch.from_numpy(rows.truth)  # (N, K)
    masked = torch.from_numpy(np.where(rows.classes, 0.0, -1e9).astype(np.float32))
    share = torch.from_numpy(rows.weight.astype(np.float32))
    weight = torch.zeros(rank, len(RAVDESS8), requires_grad=True)
    bias = torch.zeros(len(RAVDESS8), requires_grad=True)
    speech = _speech(inputs.numpy(), axes.numpy())
    heads = []
    for penalty in penalties:
        optimizer = torch.optim.LBFGS(
            [weight, bias], max_iter=40, history_size=10, line_search_fn='strong_wolfe', tolerance_change=1e-7
        )

        def loss(penalty: float = penalty, optimizer: torch.optim.LBFGS = optimizer) -> torch.Tensor:
            optimizer.zero_grad()
            scores = inputs @ weight + bias + masked
            each = torch.nn.functional.cross_entropy(scores, target, reduction='none')
            value = (share * each).sum() + penalty / 2 * weight.square().sum()
            value.backward()
            return value

        optimizer.step(loss)
        whole = (axes @ weight.detach()).numpy()  # (P, 8)
        heads.append(Head(centre, scale, whole, bias.detach().numpy().copy(), rows.classes.any(axis=0), *speech))
    return heads


def _speech(inputs: Floats32, axes: Floats32) -> tuple[Floats32, Floats32, Floats32]:
    """Axes (P, M), middle (M,) and spread (M,) of the first components, which are uncorrelated."""
    count = min(SPEECH_COMPONENTS, inputs.shape[1])
    first = inputs[:, :count]
    return axes[:, :count].astype(np.float16).astype(np.float32), first.mean(axis=0), first.std(axis=0) + 1e-6


def seven(logits: Floats32) -> Floats32:
    """(N, 7) probabilities of the categories, as the package folds them."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return seven_categories((powers / powers.sum(axis=1, keepdims=True)).astype(np.float32))


def known_rows(clips: Clips, classes: BoolArray) -> BoolArray:
    """(S,) True where the head knows the clip's category; calm counts as neutral."""
    return np.isin(ONTO_EKMAN[clips.truth], ONTO_EKMAN[np.flatnonzero(classes)])
