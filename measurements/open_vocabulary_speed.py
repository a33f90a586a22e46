"""Speed of open-vocabulary scores beside a plain rendering of the published loop, in one run.

    python measurements/open_vocabulary_speed.py [--data DIR] [--out FILE]

The peer is written here from the description of the published code (arXiv:2501.16566): for each wheel it parses both
answers of a sample again, folds each label through sets of candidates, and adds up. The published code also reads its
tables again in every call; that is what a reward for reinforcement learning pays for each single sample, and the peer
does so too, with this package's reader. Answers are the released ones of ten systems, repeated to 20,000 samples; in
the second row each has a word of its own, so that nothing that was parsed can be used again.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from affekt.labels import WordTable, load_table
from affekt.labels.official_tables import read_official
from affekt.metrics import score_open_vocabulary, set_scores
from affekt.metrics.open_vocabulary_reward import Reward
from affekt.typed_json import json_file

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / 'shared' / 'data'
SAMPLES = 20_000
RUNS = 5


def plain_labels(text: str) -> list[str]:
    """The published parser, one answer at a time."""
    if text == '':
        return []
    text = text[1:] if text[0] == '[' else text
    text = text[:-1] if text and text[-1] == ']' else text
    return [piece.strip() for piece in re.split(r"['\",]", text) if piece.strip() not in ('', ',')]


def plain_ew(truth: list[str], prediction: list[str], table: WordTable) -> float:
    """EW-L1 as the published loop goes: wheel by wheel, sample by sample, label by label."""
    scores = []
    for wheel in table.wheels:
        precision, recall = [], []
        for true, predicted in zip(truth, prediction, strict=True):
            sides = []
            for answer in (true, predicted):
                folded = set()
                for label in plain_labels(answer):
                    bases = table.bases.get(label.lower().strip(), ())
                    candidates = sorted({word for base in bases for word in table.words[base].placed[0]})
                    for word in candidates:
                        if word in wheel.inner:
                            folded.add(wheel.inner[word])
                            break
                sides.append(folded)
            left, right = sides
            if not left:
                continue
            precision.append(len(left & right) / len(right) if right else 0.0)
            recall.append(len(left & right) / len(left) if right else 0.0)
        p, r = float(np.mean(precision)), float(np.mean(recall))
        scores.append(2 * p * r / (p + r))
    return float(np.mean(scores))


def seconds(call: Callable[[], Any], runs: int = RUNS) -> float:
    """The median wall time of a call."""
    taken = []
    for _ in range(runs):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def measure(data: Path) -> dict[str, Any]:
    """All timings."""
    folder = data / 'wheels' / '2025'
    released = json.loads((data / 'vectors' / 'ov' / 'ovmer_baselines.json').read_text(encoding='utf-8'))
    pairs = [(released['gt'][name], run['pred'][name]) for run in released['runs'].values() for name in released['gt']]
    pairs = (pairs * (SAMPLES // len(pairs) + 1))[:SAMPLES]
    official, own = load_table(folder), load_table('affekt')
    result: dict[str, Any] = {'samples': SAMPLES, 'batch': {}}
    for text in ('released answers, repeated', 'a word of its own in every answer'):
        mark = '' if text.startswith('released') else ', x'
        truth = {str(index): true for index, (true, _) in enumerate(pairs)}
        prediction = {
            str(index): predicted.removesuffix(']') + (f'{mark}{index}]' if mark else ']')
            for index, (_, predicted) in enumerate(pairs)
        }
        texts = list(truth.values()), list(prediction.values())
        wheels = [f'W{index}-L1' for index in range(1, 6)]
        peer_value = plain_ew(*texts, official)
        own_value = set_scores(truth, prediction, official)['EW-L1'].f
        if abs(peer_value - own_value) > 1e-12:
            raise SystemExit(f'the peer says {peer_value}, affekt {own_value}')
        peer = seconds(lambda t=texts: plain_ew(*t, official), 3)
        ours = seconds(lambda t=truth, p=prediction, w=wheels: set_scores(t, p, official, w))
        every = seconds(lambda t=truth, p=prediction: set_scores(t, p, official))
        consistent = seconds(lambda t=truth, p=prediction: _consistent(t, p, own), 3)
        result['batch'][text] = {
            'peer_s': peer,
            'ew_l1_s': ours,
            'all_twelve_s': every,
            'consistent_s': consistent,
            'peer_over_affekt': peer / ours,
        }
    result['single'] = _single(folder)
    return result


def _consistent(truth: dict[str, str], prediction: dict[str, str], table: WordTable) -> None:
    score_open_vocabulary(truth, prediction, table, rng=np.random.default_rng(0), resamples=0, trivial=False)


def _single(folder: Path) -> dict[str, float]:
    """One sample: the peer reads its tables again, as the published code does."""
    true, predicted = '[happy, excited, surprised]', '[joyful, curious]'
    peer = seconds(lambda: plain_ew([true], [predicted], read_official(folder)))
    warm = load_table(folder)
    plain = seconds(lambda: plain_ew([true], [predicted], warm))
    times = {'peer_reading_tables_s': peer, 'peer_tables_held_s': plain}
    for name, reward in (('official', Reward(str(folder), 'official')), ('consistent', Reward())):
        reward(predicted, true)
        times[f'{name}_reward_s'] = seconds(lambda r=reward: [r(predicted, true) for _ in range(1000)]) / 1000
    times['peer_over_affekt'] = peer / times['official_reward_s']
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'open_vocabulary_speed.json')
    options = parser.parse_args()
    result = measure(options.data)
    options.out.write_bytes(json_file(result))
    print(json.dumps(result, indent=2))


if __name__ == '__main__':
    main()
