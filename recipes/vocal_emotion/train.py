"""The vocal emotion heads, from RAVDESS to the files in `affekt/models`: features, folds, heads, cards, figure.

    python recipes/vocal_emotion/train.py --data DIR --out DIR [--encoders tiny.en base]

DIR of the data holds RAVDESS's speech clips and `metadata.csv`. Arrays are kept under `--out`/features and reused.
The head is multinomial logistic regression with equal weight for each emotion over statistics of several encoder
layers. Everything is judged on actors that took no part: the outer folds measure, the inner folds (of the other twenty
actors) choose. What is chosen: statistics, penalty, temperature, threshold of abstention; by inner clean and altered
copies alike, so that a head which reads only clean recordings does not win.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from augment import HELD_OUT
from card import write_card, write_figure
from features import Store
from measure import measure, seven

from affekt.arrays import Floats32
from affekt.labels import RAVDESS8
from affekt.metrics import balanced_accuracy, fit_temperature
from affekt.voice.emotion import HEADS, STATISTICS

IntArray = npt.NDArray[np.int64]

COPIES = ('clean', 'train 0', 'joined 0')
ALTERED = 'train 0'
FOLDS = 6
SHORT_S = (0.4, 0.7, 1.0, 1.5)


@dataclass(frozen=True)
class Choice:
    """What the inner folds choose among."""

    statistics: tuple[str, ...]
    penalty: float


CHOICES = tuple(
    Choice(statistics, penalty) for statistics in (('mean', 'sd'), ('low', 'high')) for penalty in (4.0, 0.5)
)


@dataclass(frozen=True)
class Head:
    """A linear head: scores = ((x - centre) / scale) @ weight + bias."""

    centre: Floats32
    scale: Floats32
    weight: Floats32
    bias: Floats32

    def scores(self, features: Floats32) -> Floats32:
        """(N, 8)."""
        return np.asarray(((features - self.centre) / self.scale) @ self.weight + self.bias, dtype=np.float32)


def fit_heads(features: Floats32, truth: IntArray, penalties: Sequence[float]) -> list[Head]:
    """One head per penalty, each started from the one before (give them in falling order).

    The loss is the mean cross-entropy, each class weighing the same, plus penalty / 2 times the squared weights.
    """
    centre, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    inputs = torch.from_numpy((features - centre) / scale)
    target = torch.from_numpy(truth)
    shares = torch.bincount(target, minlength=len(RAVDESS8)).float()
    class_weight = torch.where(shares > 0, shares.sum() / (shares * (shares > 0).sum()), torch.zeros_like(shares))
    weight = torch.zeros(inputs.shape[1], len(RAVDESS8), requires_grad=True)
    bias = torch.zeros(len(RAVDESS8), requires_grad=True)
    heads = []
    for penalty in penalties:
        optimizer = torch.optim.LBFGS(
            [weight, bias], max_iter=25, history_size=8, line_search_fn='strong_wolfe', tolerance_change=1e-6
        )

        def loss(penalty: float = penalty, optimizer: torch.optim.LBFGS = optimizer) -> torch.Tensor:
            optimizer.zero_grad()
            value = torch.nn.functional.cross_entropy(inputs @ weight + bias, target, weight=class_weight)
            value = value + penalty / 2 * weight.square().sum()
            value.backward()
            return value

        optimizer.step(loss)
        heads.append(Head(centre, scale, weight.detach().numpy().copy(), bias.detach().numpy().copy()))
    return heads


class Bench:
    """One encoder's features, and the heads that were fitted on parts of them."""

    def __init__(self, store: Store, encoder: str, choices: Sequence[Choice] = CHOICES) -> None:
        """Reads or makes the features of all copies."""
        self.store, self.encoder, self.clips, self.choices = store, encoder, store.clips, choices
        self.arrays = {copy: store.features(encoder, copy) for copy in COPIES}
        self.layers = np.arange(1, self.arrays['clean'].shape[1])

    def rows(self, copy: str, statistics: Sequence[str], keep: npt.NDArray[np.bool_]) -> Floats32:
        """(n, P) features of the kept clips."""
        places = [STATISTICS.index(name) for name in statistics]
        array = self.arrays[copy] if copy in self.arrays else self.store.features(self.encoder, copy)
        chosen = array[keep][:, self.layers][:, :, places]
        return chosen.reshape(chosen.shape[0], -1).astype(np.float32)

    def heads(self, statistics: Sequence[str], keep: npt.NDArray[np.bool_], penalties: Sequence[float]) -> list[Head]:
        """Fitted on all copies of the kept clips."""
        features = np.concatenate([self.rows(copy, statistics, keep) for copy in COPIES])
        return fit_heads(features, np.tile(self.clips.truth[keep], len(COPIES)), penalties)

    def without(self, left_out: frozenset[int], cache: Path) -> dict[str, Floats32]:
        """Scores of two copies on the left-out folds by heads that never saw them, per choice: (2, n, 8)."""
        name = '_'.join(map(str, sorted(left_out)))
        path = cache / f'{self.encoder}.without_{name}.npz'
        if not path.exists():
            keep = ~np.isin(self.clips.fold, list(left_out))
            scores = {}
            for statistics in dict.fromkeys(choice.statistics for choice in self.choices):
                penalties = [choice.penalty for choice in self.choices if choice.statistics == statistics]
                unseen = [self.rows(copy, statistics, ~keep) for copy in ('clean', ALTERED)]
                for penalty, head in zip(penalties, self.heads(statistics, keep, penalties), strict=True):
                    scores[_key(Choice(statistics, penalty))] = np.stack([head.scores(x) for x in unseen])
            np.savez_compressed(path, **scores)
            print(f'{self.encoder}: without folds {name}', flush=True)
        with np.load(path) as held:
            return {key: held[key] for key in held.files}


def _key(choice: Choice) -> str:
    """A name for arrays."""
    return f'{"+".join(choice.statistics)}|{choice.penalty:g}'


@dataclass(frozen=True)
class Chosen:
    """What inner folds chose, and how it did there."""

    choice: Choice
    clean: float
    altered: float
    temperature: float
    threshold: float


def choose(bench: Bench, outer: int | None, cache: Path) -> Chosen:
    """The choice with the best mean of clean and altered UAR on inner folds; ties go to the stronger penalty.

    Each inner fold is read by a head that saw neither it nor the outer one. Temperature and threshold then come from
    the same scores: the threshold is the lowest at which 85 % of the named clips are right on altered copies.
    """
    inner = [fold for fold in range(FOLDS) if fold != outer]
    truth, scores = [], {_key(choice): [] for choice in bench.choices}
    for fold in inner:
        left_out = frozenset({fold} if outer is None else {fold, outer})
        held = bench.without(left_out, cache)
        among = bench.clips.fold[np.isin(bench.clips.fold, list(left_out))] == fold
        truth.append(bench.clips.truth[bench.clips.fold == fold])
        for key in scores:
            scores[key].append(held[key][:, among])
    target = np.concatenate(truth)
    ranked = []
    for choice in bench.choices:
        both = np.concatenate(scores[_key(choice)], axis=1)
        clean, altered = (balanced_accuracy(target, part.argmax(axis=1)) for part in both)
        ranked.append(
            (round((clean + altered) / 2, 3), choice.penalty, -len(choice.statistics), clean, altered, choice)
        )
    _, _, _, clean, altered, choice = max(ranked, key=lambda entry: entry[:3])
    both = np.concatenate(scores[_key(choice)], axis=1)
    temperature = fit_temperature(both.reshape(-1, both.shape[-1]), np.tile(target, 2))
    return Chosen(choice, clean, altered, temperature, threshold_of(both[1] / temperature, target))


def threshold_of(logits: Floats32, truth: IntArray, wanted: float = 0.85) -> float:
    """The lowest confidence above which at least `wanted` of the clips are right, in seven categories."""
    categories, target = seven(logits), seven(truth)
    confidence, right = categories.max(axis=1), categories.argmax(axis=1) == target
    order = np.argsort(-confidence)
    share = np.cumsum(right[order]) / np.arange(1, order.size + 1)
    enough = np.flatnonzero(share >= wanted)
    return float(confidence[order][enough[-1]]) if enough.size else 1.0


def outer_scores(bench: Bench, cache: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Scores of every clip by a head, a temperature and a threshold that its actor had no part in."""
    path = cache / f'{bench.encoder}.outer.npz'
    clips = bench.clips
    if not path.exists():
        size = clips.truth.shape[0]
        kinds = {'clean': np.ones(size, bool), ALTERED: np.ones(size, bool)}
        kinds |= {kind: np.isin(np.arange(size), bench.store.sampled_rows()) for kind in HELD_OUT}
        found = {kind: np.full((size, 8), np.nan, np.float32) for kind in kinds}
        found['other statement'] = np.full((size, 8), np.nan, np.float32)
        for fold in range(FOLDS):
            chosen = choose(bench, fold, cache)
            test, statistics = clips.fold == fold, chosen.choice.statistics
            (head,) = bench.heads(statistics, ~test, [chosen.choice.penalty])
            for kind, wanted in kinds.items():
                found[kind][test & wanted] = head.scores(bench.rows(kind, statistics, test & wanted))
            for statement in (1, 2):
                unseen = test & (clips.statement == statement)
                (other,) = bench.heads(statistics, ~test & (clips.statement != statement), [chosen.choice.penalty])
                found['other statement'][unseen] = other.scores(bench.rows('clean', statistics, unseen))
            print(f'{bench.encoder}: fold {fold} {chosen}', flush=True)
        np.savez_compressed(path, **found)
    settled = {'temperature': np.ones(clips.truth.shape[0]), 'threshold': np.ones(clips.truth.shape[0])}
    for fold in range(FOLDS):
        chosen = choose(bench, fold, cache)
        settled['temperature'][clips.fold == fold] = chosen.temperature
        settled['threshold'][clips.fold == fold] = chosen.threshold
    with np.load(path) as held:
        return {name: held[name] for name in held.files} | settled


def short_turns(bench: Bench, cache: Path) -> dict[float, Floats32]:
    """Scores of the 288 sampled clips cropped to a few lengths, by heads that their actors had no part in."""
    path = cache / f'{bench.encoder}.short.npz'
    sampled = np.isin(np.arange(bench.clips.truth.shape[0]), bench.store.sampled_rows())
    if not path.exists():
        found = {f'{seconds}': np.zeros((sampled.sum(), 8), np.float32) for seconds in SHORT_S}
        for fold in range(FOLDS):
            chosen = choose(bench, fold, cache)
            test, statistics = bench.clips.fold == fold, chosen.choice.statistics
            (head,) = bench.heads(statistics, ~test, [chosen.choice.penalty])
            for seconds in SHORT_S:
                rows = bench.rows(f'cropped {seconds}', statistics, sampled & test)
                found[f'{seconds}'][test[sampled]] = head.scores(rows)
        np.savez_compressed(path, **found)
    with np.load(path) as held:
        return {seconds: held[f'{seconds}'] for seconds in SHORT_S}


def cooling(bench: Bench, scores: dict[float, Floats32], temperature: float, skip: int | None = None) -> list[float]:
    """How much warmer than `temperature` the scores of each short length need to be, never less than 1."""
    rows = bench.store.sampled_rows()
    used = bench.clips.fold[rows] != (-1 if skip is None else skip)
    truth = bench.clips.truth[rows][used]
    return [max(1.0, fit_temperature(scores[seconds][used], truth) / temperature) for seconds in SHORT_S]


def write_head(bench: Bench, chosen: Chosen, warmth: list[float], out: Path) -> Path:
    """The head on all 24 actors."""
    everyone = np.ones(bench.clips.truth.shape[0], bool)
    (head,) = bench.heads(chosen.choice.statistics, everyone, [chosen.choice.penalty])
    path = out / f'{HEADS[bench.encoder]}.npz'
    np.savez_compressed(
        path,
        layers=bench.layers,
        statistics=np.array(chosen.choice.statistics),
        centre=head.centre,
        scale=head.scale,
        weight=head.weight,
        bias=head.bias,
        temperature=np.float32(chosen.temperature),
        abstains_below=np.float32(chosen.threshold),
        short_s=np.array(SHORT_S, np.float32),
        short_warmth=np.array(warmth, np.float32),
    )
    return path


def measure_short(bench: Bench, short: dict[float, Floats32], cache: Path) -> list[dict[str, float | None]]:
    """Coverage and accuracy of short turns; warmth, temperature and threshold come from other actors."""
    rows = bench.store.sampled_rows()
    target, fold_of = seven(bench.clips.truth[rows]), bench.clips.fold[rows]
    found = []
    for place, seconds in enumerate(SHORT_S):
        right, named, sure = np.zeros(rows.size, bool), np.zeros(rows.size, bool), np.zeros(rows.size)
        for fold in range(FOLDS):
            own, chosen = fold_of == fold, choose(bench, fold, cache)
            warmth = cooling(bench, short, chosen.temperature, skip=fold)[place]
            categories = seven(short[seconds][own] / (chosen.temperature * warmth))
            right[own], sure[own] = categories.argmax(axis=1) == target[own], categories.max(axis=1)
            named[own] = sure[own] >= chosen.threshold
        found.append(
            {
                'seconds': seconds,
                'accuracy': round(float(right.mean()), 4),
                'mean_confidence': round(float(sure.mean()), 4),
                'coverage': round(float(named.mean()), 4),
                'accuracy_where_named': round(float(right[named].mean()), 4) if named.any() else None,
            }
        )
    return found


def main() -> None:
    """Runs all steps; each reuses what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='folder of RAVDESS speech with metadata.csv')
    parser.add_argument('--out', type=Path, required=True, help='folder for arrays, heads, cards and the figure')
    parser.add_argument('--encoders', nargs='+', default=list(HEADS), choices=list(HEADS))
    parser.add_argument('--choice', choices=[_key(choice) for choice in CHOICES], help='choose nothing: take this one')
    parser.add_argument('--threads', type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    store = Store(options.data, options.out / 'features', {name: name for name in HEADS})
    cache = options.out / 'scores'
    cache.mkdir(parents=True, exist_ok=True)
    for encoder in options.encoders:
        bench = Bench(store, encoder, [c for c in CHOICES if options.choice in (None, _key(c))])
        results = measure(outer_scores(bench, cache), store, list(HELD_OUT))
        chosen = choose(bench, None, cache)
        short = short_turns(bench, cache)
        results['short'] = measure_short(bench, short, cache)
        path = write_head(bench, chosen, cooling(bench, short, chosen.temperature), options.out)
        write_card(path, encoder, results, chosen, len(bench.choices))
        write_figure(options.out / f'{HEADS[encoder]}.svg', encoder, results)
        print(json.dumps(results['headline'], indent=1), flush=True)


if __name__ == '__main__':
    main()
