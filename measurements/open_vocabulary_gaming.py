"""What constant answers reach, by the published metrics and by the consistent ones.

    python measurements/open_vocabulary_gaming.py [--data DIR] [--out FILE]

Every sample gets one and the same list of words. The truths are the 332 of OV-MERD that are public, and the labels of
MER2023 and MELD as MER-UniBench scores them; beside each constant stand released outputs: those of Chat-UniVi (the best
of the ten systems of OV-MER) and of AffectGPT (the checkpoint that was published for that set).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from affekt.labels import WordTable, load_table
from affekt.metrics import hit_rates, score_open_vocabulary, set_scores
from affekt.typed_json import json_file

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / 'shared' / 'data'
CONSTANTS = {
    'six words of MER2023': 'happy, angry, sad, worried, surprised, neutral',
    'seven words of MELD': 'anger, joy, sadness, neutral, disgust, fear, surprise',
    'four words': 'angry, sad, worried, happy',
    'three words': 'angry, worried, sad',
    'two words': 'angry, worried',
}
PUBLISHED_CHECKPOINT = {'mer2023': '000050', 'meld': '000030'}


def measure(data: Path) -> dict[str, Any]:
    """Constants and released outputs on three truths."""
    vectors = data / 'vectors' / 'ov'
    official = load_table(data / 'wheels' / '2025')
    own = load_table('affekt')
    released_answers = json.loads((vectors / 'ovmer_baselines.json').read_text(encoding='utf-8'))
    truth = released_answers['gt']
    released = {'Chat-UniVi': released_answers['runs']['Chat-UniVi/nosubtitle-addsub']['pred']}
    result: dict[str, Any] = {
        'tables': {'official': official.label, 'consistent': own.label},
        'ovmerd': {'samples': len(truth), 'rows': _open_rows(truth, released, official, own)},
    }
    for name, checkpoint in PUBLISHED_CHECKPOINT.items():
        released_answers = json.loads((vectors / f'unibench_{name}.json').read_text(encoding='utf-8'))
        released = {f'AffectGPT, checkpoint {int(checkpoint)}': released_answers['checkpoints'][checkpoint]['openset']}
        result[name] = {
            'samples': len(released_answers['gt']),
            'rows': _hit_rows(released_answers['gt'], released, official, own),
        }
    return result


def _answers(truth: dict[str, str], released: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    return {**released, **{name: dict.fromkeys(truth, words) for name, words in CONSTANTS.items()}}


def _open_rows(
    truth: dict[str, str], released: dict[str, dict[str, str]], official: WordTable, own: WordTable
) -> dict[str, Any]:
    rows = {}
    for name, prediction in _answers(truth, released).items():
        scores = set_scores(truth, prediction, official)
        rows[name] = {
            'words': CONSTANTS.get(name),
            **{
                f'{row} {part}': getattr(scores[row], part)
                for row in ('EW-L1', 'EW-L2')
                for part in ('f', 'precision', 'recall')
            },
            **_consistent(truth, prediction, own),
        }
    return rows


def _hit_rows(
    truth: dict[str, str], released: dict[str, dict[str, str]], official: WordTable, own: WordTable
) -> dict[str, Any]:
    rows = {}
    for name, prediction in _answers(truth, released).items():
        hit = hit_rates(truth, prediction, official)['HIT']
        rows[name] = {
            'words': CONSTANTS.get(name),
            'HIT': hit.hit_rate,
            'mscore': hit.mscore,
            'n': hit.n,
            **_consistent(truth, prediction, own),
        }
    return rows


def _consistent(truth: dict[str, str], prediction: dict[str, str], own: WordTable) -> dict[str, Any]:
    scored = score_open_vocabulary(truth, prediction, own, rng=np.random.default_rng(0), resamples=1000)
    row = scored.headline[0]
    assert scored.ceiling is not None
    scores = {'labels_per_answer': scored.prediction.labels_per_answer}
    for name, key in ((row, 'near'), ('affekt-L1', 'sector')):
        interval = scored.value(name, 'f1')
        scores[key] = {'value': interval.value, 'low': interval.low, 'high': interval.high}
        scores[f'{key}_ceiling'] = scored.ceiling.values[f'{name} f1']
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'open_vocabulary_gaming.json')
    options = parser.parse_args()
    options.out.write_bytes(json_file(measure(options.data)))
    print(options.out)


if __name__ == '__main__':
    main()
