"""What was tried of how labels are read out of the trained describer: greedy answers, offsets, shares, and why.

    python recipes/describer/tried.py --corpora DIR --out DIR

For the describer that ships, on the drawn comments of the development part (`likely.py` chooses its share on them, so
what is true of them is told here and chooses nothing). One answer is at most two labels here, which all but a few are.
It takes minutes of one core; the logits are kept below `--out`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from certainty import WORDS
from data import SENTENCE, goemotions
from evaluate import table
from page import TRIED
from page import main as write_page
from readers import KIND, Start, margins, text_head, words_of

from affekt.corpora import Manifest
from affekt.description import Describer, open_describer
from affekt.description.batches import tensors_of
from affekt.labels import GOEMOTIONS
from affekt.metrics import multilabel_macro_f1
from affekt.runs import write_atomically
from affekt.typed_json import json_file
from affekt.weights import PACKAGED
from examples import Clips, clips_of, decided, of_texts

WIDTH = 3
"""Likeliest first labels behind which the second is looked at."""
OFFSETS = tuple(np.arange(-2.0, 2.01, 0.5))
"""Offsets that a label or the end may get, in logits."""
PASSES = 2
BATCH = 64
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Logits:
    """What N answers may begin with and go on with, of K words.

    Args:
        first: (N, K) of each word as the first.
        likeliest: (N, W) the words likeliest to be first.
        second: (N, W, K + 1) of each word, and at last of the end, behind each of those; -inf for that word itself.
    """

    first: Floats
    likeliest: npt.NDArray[np.int64]
    second: Floats

    def greedy(self, offsets: Floats | None = None) -> Flags:
        """(N, K) the words of the likeliest answer, with (K + 1,) offsets added to logits; the first among the W."""
        added = np.zeros(self.second.shape[2]) if offsets is None else offsets
        rows = np.arange(len(self.first))
        begun = np.take_along_axis(self.first + added[:-1], self.likeliest, axis=1).argmax(axis=1)
        second = (self.second[rows, begun] + added).argmax(axis=1)
        named = np.zeros((len(rows), len(added)), bool)
        named[rows, self.likeliest[rows, begun]] = named[rows, second] = True
        return named[:, :-1]

    def shares(self, width: int) -> Floats:
        """(N, K) shares of answers that name each word, see `LikelyLabels`."""
        first = _softmax(self.first)
        named = first.copy()
        for place in range(width):
            share = np.take_along_axis(first, self.likeliest[:, place, None], axis=1)
            named += share * _softmax(self.second[:, place])[:, :-1]
        return named

    def likely(self, width: int, least: float) -> Flags:
        """(N, K) the words whose share is at least so much, else the one with the largest."""
        shares = self.shares(width)
        return (shares >= least) | (
            ~(shares >= least).any(axis=1, keepdims=True) & (shares == shares.max(1, keepdims=True))
        )

    def second_named(self) -> Floats:
        """(N,) the share of answers that go on behind the likeliest first word."""
        return 1.0 - _softmax(self.second[:, 0])[:, -1]


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def logits_of(describer: Describer, texts: Clips, start: Start) -> Logits:
    """Of all comments."""
    examples = of_texts(texts, np.arange(len(texts)), start)
    beginnings = [f' {word}' for word in WORDS]
    rows: list[tuple[torch.Tensor, ...]] = []
    for begin in range(0, len(examples), BATCH):
        asked = [describer.prompt(tensors_of(each), KIND, each.question) for each in examples[begin : begin + BATCH]]
        with torch.no_grad():
            first = describer.beginning_logits(asked, beginnings).double()
            likeliest = first.topk(WIDTH, dim=1).indices
            second = []
            for before in likeliest.T:
                begun = [f' {WORDS[at]},' for at in before.tolist()]
                logits = describer.beginning_logits(asked, [*beginnings, ''], begun).double()
                second.append(logits.scatter(1, before.unsqueeze(1), -torch.inf))
        rows.append((first, likeliest, torch.stack(second, dim=1)))
    return Logits(*(torch.cat(column).numpy() for column in zip(*rows, strict=True)))


def fitted_offsets(logits: Logits, truth: Flags, columns: list[int]) -> Floats:
    """(K + 1,) offsets by coordinate ascent on macro-F1: each word and the end in turn takes the best one."""
    offsets = np.zeros(logits.second.shape[2])
    for _ in range(PASSES):
        for place in (*columns, len(offsets) - 1):
            scores = []
            for offset in OFFSETS:
                offsets[place] = offset
                scores.append(multilabel_macro_f1(truth, logits.greedy(offsets)[:, columns]))
            offsets[place] = OFFSETS[int(np.argmax(scores))]
    return offsets


def part(logits: Logits, rows: Any) -> Logits:
    """Some of the comments."""
    return Logits(logits.first[rows], logits.likeliest[rows], logits.second[rows])


def area(scores: Floats, hits: Flags) -> float:
    """Share of pairs of one that is so and one that is not which the scores put in order; ties count half."""
    of, others = scores[hits, None], scores[None, ~hits]
    return float(np.mean((of > others) + 0.5 * (of == others)))


def score(truth: Flags, named: Flags) -> float:
    """Macro-F1."""
    return round(float(multilabel_macro_f1(truth, named)), 4)


def measured(logits: Logits, texts: Clips, start: Start, least: float) -> dict[str, Any]:
    """All figures."""
    words = words_of(GOEMOTIONS)
    columns = [WORDS.index(word) for word in words]
    features = texts.sources[SENTENCE]
    truth, taught = table(texts.truth, words), table(decided(start, features), words)
    head = margins(start, features)[:, : len(words)] >= 0
    greedy = logits.greedy()[:, columns]
    likely = {width: logits.likely(width, least)[:, columns] for width in range(1, WIDTH + 1)}
    half = np.arange(len(truth)) % 2 == 0
    offsets = {
        name: fitted_offsets(part(logits, half), goal[half], columns)
        for name, goal in (('by what is true', truth), ('by agreement with the head', taught))
    }  # fmt: skip
    rest = part(logits, ~half)
    areas = [area(logits.first[:, at], taught[:, k]) for k, at in enumerate(columns) if taught[:, k].any()]
    return {
        'comments': len(truth), 'least': least,
        'other_half': {
            'head of text': score(truth[~half], head[~half]), 'greedy': score(truth[~half], greedy[~half]),
            'shares': score(truth[~half], likely[1][~half]),
            **{f'offsets {name}': score(truth[~half], rest.greedy(row)[:, columns]) for name, row in offsets.items()},
        },
        'macro_f1': {
            'head of text': score(truth, head), 'greedy': score(truth, greedy),
            **{f'shares behind {width}': score(truth, named) for width, named in likely.items()},
        },
        'agreement_with_head': {'greedy': score(taught, greedy), 'shares': score(taught, likely[1])},
        'area': {
            'first label, mean over labels of the head': round(float(np.mean(areas)), 4),
            'second label': round(area(logits.second_named(), taught.sum(axis=1) > 1), 4),
        },
    }  # fmt: skip


def main() -> None:
    """Measure, and write the result file and the card that states it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--corpora', type=Path, required=True, help='folder with goemotions')
    parser.add_argument('--out', type=Path, required=True, help='folder for features and logits')
    options = parser.parse_args()
    torch.set_num_threads(1)
    comments = goemotions(options.corpora / 'goemotions' / 'original')
    texts = clips_of(Manifest(comments.facts, [row for row in comments.samples if row.split == 'dev']), options.out)
    start = text_head(texts.sources[SENTENCE].shape[1])
    saved = options.out / 'dev_logits.npz'
    if not saved.exists():
        made = logits_of(open_describer(PACKAGED / 'describer'), texts, start)
        np.savez(saved, first=made.first, likeliest=made.likeliest, second=made.second)
    with np.load(saved) as arrays:
        logits = Logits(arrays['first'], arrays['likeliest'], arrays['second'])
    least = json.loads((PACKAGED / 'describer' / 'describer.json').read_text())['notes']['likely_labels'][SENTENCE]
    TRIED.parent.mkdir(exist_ok=True)
    write_atomically(TRIED, json_file(measured(logits, texts, start, least)))
    write_page()


if __name__ == '__main__':
    main()
