"""The vocal emotion heads, from RAVDESS and nEMO to the files in `affekt/models`: features, choices, heads, cards.

    python recipes/vocal_emotion/train.py --ravdess DIR --nemo DIR --out DIR [--encoders tiny.en base]

Arrays are kept under `--out`/features and reused: a run that was stopped goes on where it was. The head is multinomial
logistic regression over statistics of several encoder layers, the loss of a clip over the labels of its own corpus.
Everything is chosen by leaving one corpus out: learn from one, read the other, take the best mean over both directions
and over clean and altered clips. Where a figure is reported for a left-out corpus, its temperature and threshold come
from the other direction; the penalty and the copies, which are the same for both, from the mean of both.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from card import write_card, write_figure
from features import CORPORA, Store
from heads import Head, fit_heads, known_rows, pooled, rows_of, seven, together
from measure import (
    DIRECTIONS,
    LeftOut,
    as_shipped,
    in_corpus,
    left_out_figures,
    settled,
    short_figures,
    tried,
    unfamiliar_figures,
    unknown_emotions,
)

from affekt.arrays import Floats32
from affekt.metrics import balanced_accuracy
from affekt.voice.emotion import HEADS

PENALTIES = (3.0, 1.0, 0.3, 0.1)
STATISTICS_TRIED = (('mean', 'sd'), ('low', 'high'))
COPIES_TRIED: dict[str, dict[str, float]] = {
    'clean and coded': {'clean': 0.5, 'coded': 0.5},
    'clean, coded, altered at a quarter': {'clean': 0.5, 'coded': 0.5, 'train 0': 0.25},
    'clean, coded, altered': {'clean': 0.5, 'coded': 0.5, 'train 0': 1.0},
}
"""Shares of the copies; where a corpus comes coded, its clean copy stands for both."""

TOLERANCE = 0.005
"""Candidates whose mean UAR is this near to the best count as equal: the more altered copies win, then the stronger
penalty."""


@dataclass(frozen=True)
class Choice:
    """What is chosen by leaving one corpus out."""

    statistics: tuple[str, ...]
    copies: str
    penalty: float


def candidates(stores: dict[str, Store], encoder: str) -> dict[Choice, dict[str, LeftOut]]:
    """Scores of every candidate in both directions."""
    scored: dict[Choice, dict[str, LeftOut]] = {}
    for statistics in STATISTICS_TRIED:
        for copies, shares in COPIES_TRIED.items():
            for source, target in DIRECTIONS:
                heads = fit_heads(rows_of(stores[source], encoder, statistics, shares), PENALTIES)
                for penalty, head in zip(PENALTIES, heads, strict=True):
                    choice = Choice(statistics, copies, penalty)
                    scored.setdefault(choice, {})[target] = read_left_out(stores[target], encoder, head, statistics)
            print(f'{encoder}: {"+".join(statistics)}, {copies}', flush=True)
    return scored


def read_left_out(store: Store, encoder: str, head: Head, statistics: Sequence[str]) -> LeftOut:
    """What a head makes of a corpus that it never saw: clips whose category it knows."""
    keep = known_rows(store.clips, head.classes)
    clean, altered = (pooled(store, encoder, copy, statistics)[keep] for copy in ('clean', 'train 0'))
    return LeftOut(
        rows=np.flatnonzero(keep),
        clips=store.clips,
        clean=head.logits(clean),
        altered=head.logits(altered),
        strangeness=head.strangeness(clean),
        head=head,
    )


def mean_uar(directions: dict[str, LeftOut]) -> float:
    """Over clean and altered clips of both left-out corpora, in seven categories."""
    values = []
    for left_out in directions.values():
        for logits in (left_out.clean, left_out.altered):
            values.append(balanced_accuracy(left_out.truth, seven(logits).argmax(axis=1)))
    return float(np.mean(values))


def choose(scored: dict[Choice, dict[str, LeftOut]]) -> tuple[Choice, list[dict[str, object]]]:
    """The choice, and the table of all that were compared."""
    places = list(COPIES_TRIED)
    table = [
        {
            'statistics': '+'.join(c.statistics),
            'copies': c.copies,
            'penalty': c.penalty,
            'mean_uar': mean_uar(scored[c]),
        }
        for c in scored
    ]
    best = max(float(str(row['mean_uar'])) for row in table)
    equal = [c for c, row in zip(scored, table, strict=True) if float(str(row['mean_uar'])) >= best - TOLERANCE]
    return max(equal, key=lambda c: (places.index(c.copies), c.penalty, c.statistics)), table


def write_head(path: Path, head: Head, statistics: Sequence[str], arrays: dict[str, Floats32], layers: int) -> None:
    """The arrays that `VocalEmotion` loads."""
    np.savez_compressed(
        path,
        layers=np.arange(1, layers + 1),
        statistics=np.array(statistics),
        centre=head.centre,
        scale=head.scale,
        weight=head.weight,
        bias=head.bias,
        speech_axes=head.speech_axes.astype(np.float16),
        speech_middle=head.speech_middle.astype(np.float32),
        speech_spread=head.speech_spread.astype(np.float32),
        **arrays,
    )


def train(stores: dict[str, Store], encoder: str, out: Path) -> dict[str, Any]:
    """One encoder: choose, measure, fit on everything, write."""
    scored = candidates(stores, encoder)
    choice, table = choose(scored)
    directions = scored[choice]
    shares = COPIES_TRIED[choice.copies]
    results: dict[str, Any] = {'left_out_corpus': left_out_figures(directions)}
    results['short'] = short_figures(directions, stores, encoder, choice.statistics)
    results['unfamiliar'] = unfamiliar_figures(directions, stores, encoder, choice.statistics)
    results['unknown_emotions'] = unknown_emotions(
        stores['ravdess'], encoder, choice.statistics, shares, choice.penalty
    )
    results['in_corpus'] = in_corpus(stores, encoder, choice.statistics, shares, choice.penalty)
    results['tried'] = tried(stores, encoder, choice.penalty)
    parts = [rows_of(store, encoder, choice.statistics, shares) for store in stores.values()]
    (head,) = fit_heads(together(parts), [choice.penalty])
    path = out / f'{HEADS[encoder]}.npz'
    layers = stores['ravdess'].features(encoder, 'clean').shape[1] - 1
    arrays = settled(directions, results['in_corpus'], results['short'])
    results['settled'] = {
        name: np.round(np.asarray(arrays[name], float), 4).tolist()
        for name in ('temperature', 'far', 'far_warmth', 'abstains_below')
    }
    results['as_shipped'] = as_shipped(directions, arrays)
    write_head(path, head, choice.statistics, arrays, layers)
    write_card(path, encoder, results, choice, table)
    write_figure(path.with_suffix('.svg'), encoder, results)
    return results


def main() -> None:
    """Runs all steps; each reuses what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ravdess', type=Path, required=True, help="folder of RAVDESS's speech with metadata.csv")
    parser.add_argument('--nemo', type=Path, required=True, help='folder of nEMO with metadata.tsv')
    parser.add_argument('--out', type=Path, required=True, help='folder for arrays, heads, cards and figures')
    parser.add_argument('--encoders', nargs='+', default=list(HEADS), choices=list(HEADS))
    parser.add_argument('--threads', type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folders = {'ravdess': options.ravdess, 'nemo': options.nemo}
    names = {name: name for name in HEADS}
    stores = {name: Store(read(folders[name]), options.out / 'features', names) for name, read in CORPORA.items()}
    for encoder in options.encoders:
        results = train(stores, encoder, options.out)
        print(json.dumps(results['left_out_corpus'], indent=1), flush=True)


if __name__ == '__main__':
    main()
