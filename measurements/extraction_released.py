"""What the published pipeline's language model did to answers that could have been read without it.

    python measurements/extraction_released.py --released CHECKOUT [--data SHARED_DATA] [--out FILE]

CHECKOUT is the AffectGPT repository with its outputs (github.com/ouyangjutian/AffectGPT at commit
77d0200fbbe01778ccd597211cf846de6cd117ff): for each checkpoint and set the answers as the model gave them, and the label
lists that Qwen2.5-7B, drawing at temperature 0.7, took out of them.

- `templates`: answers of AffectGPT that follow its template ("The character's emotional state is a, b."), label sets
  that the language model left as they were, and those that it left in the same sectors of wheel 1.
- `hit`: hit rates by checkpoint from the language model's lists, and from the same answers read by template.
- `prose`: the free descriptions of the ten systems of OV-MER: labels of the language model and of the word list
  against the truth of OV-MERD. The word list's rules were chosen on other descriptions (`measurements/extraction.py`),
  on the even half of the same clips; the figures here are of the odd half.

Scores only are written, no answer and no label.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from affekt.labels import WordTable, load_table, official_labels, read_answers, read_labels
from affekt.metrics import hit_rates, score_open_vocabulary, set_scores
from affekt.typed_json import json_file

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / 'shared' / 'data'
HIT_SETS = {'mer2023': 'mer2023', 'meld': 'meld'}
MODES = ('nosubtitle-addsub', 'nosubtitle', 'subtitle')


def is_even(name: str) -> bool:
    """Whether a sample is of the half that the word list's rules were chosen on."""
    return int(hashlib.sha256(name.encode()).hexdigest()[0], 16) % 2 == 0


def measure(released: Path, data: Path) -> dict[str, Any]:
    """All three parts."""
    official = load_table(data / 'wheels' / '2025')
    own = load_table('affekt')
    outputs = released / 'AffectGPT' / 'output'
    return {
        'tables': {'official': official.label, 'affekt': own.label},
        'templates': _templates(outputs, official),
        'hit': {name: _hits(outputs / f'results-{name}', data, stored, official) for name, stored in HIT_SETS.items()},
        'prose': _prose(released / 'OV-MER' / 'output' / 'results-ovmerd', data, official, own),
    }


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    """The answers and the extracted lists of each checkpoint."""
    lists = sorted(folder.glob('*/checkpoint_*-openset.npz'))
    return [(path.with_name(path.name.replace('-openset', '')), path) for path in lists]


def _lower(labels: Iterable[str]) -> set[str]:
    return {label.lower().strip() for label in labels}


def _templates(outputs: Path, table: WordTable) -> dict[str, Any]:
    fold = table.fold('W1-L1')
    counts = {'answers': 0, 'by_template': 0, 'same_labels': 0, 'same_sectors': 0, 'emptied': 0, 'added': 0}
    checkpoints = 0
    for folder in sorted(outputs.glob('results-*')):
        for answers_path, lists_path in _pairs(folder):
            checkpoints += 1
            answers, lists = read_answers(answers_path), read_answers(lists_path)
            for name, answer in answers.items():
                read = read_labels(answer)
                written, extracted = _lower(read.labels), _lower(official_labels(lists[name]))
                counts['answers'] += 1
                counts['by_template'] += read.how == 'template'
                counts['same_labels'] += written == extracted
                counts['same_sectors'] += _sectors(written, fold) == _sectors(extracted, fold)
                counts['emptied'] += bool(written) and not extracted
                counts['added'] += bool(extracted - written)
    return {'sets': len(list(outputs.glob('results-*'))), 'files': checkpoints, **counts}


def _sectors(labels: set[str], fold: Mapping[str, str]) -> set[str]:
    return {fold[label] for label in labels if label in fold}


def _hits(folder: Path, data: Path, stored: str, table: WordTable) -> dict[str, Any]:
    released = json.loads((data / 'vectors' / 'ov' / f'unibench_{stored}.json').read_text(encoding='utf-8'))
    result = {}
    for answers_path, lists_path in _pairs(folder):
        answers = {name: list(read_labels(answer).labels) for name, answer in read_answers(answers_path).items()}
        lists = read_answers(lists_path)
        number = answers_path.name.split('_')[1]
        result[str(int(number))] = {
            'language_model': hit_rates(released['gt'], lists, table)['HIT'].hit_rate,
            'template': hit_rates(released['gt'], answers, table)['HIT'].hit_rate,
        }
    return result


def _prose(folder: Path, data: Path, official: WordTable, own: WordTable) -> dict[str, Any]:
    released = json.loads((data / 'vectors' / 'ov' / 'ovmer_baselines.json').read_text(encoding='utf-8'))
    truth = {name: answer for name, answer in released['gt'].items() if not is_even(name)}
    rows: dict[str, Any] = {'samples': len(truth), 'runs': {}}
    for run in sorted(released['runs']):
        model, mode = run.split('/')
        answers = read_answers(folder / model / f'output-reason-7b-{mode}-eng.npz')
        lists = read_answers(folder / model / f'output-reason-7b-{mode}-eng-openset.npz')
        listed = {name: list(read_labels(answers[name], own.bases).labels) for name in truth}
        rows['runs'][run] = {
            'language_model': _scores(truth, {name: lists[name] for name in truth}, official, own),
            'word_list': _scores(truth, listed, official, own),
        }
    for part in ('language_model', 'word_list'):
        rows[f'mean_{part}'] = {
            key: float(np.mean([run[part][key] for run in rows['runs'].values()]))
            for key in ('EW-L1 f', 'near f1', 'labels_per_answer')
        }
    both = [[run[part]['EW-L1 f'] for run in rows['runs'].values()] for part in ('language_model', 'word_list')]
    rows['pearson_of_EW_L1_over_runs'] = float(np.corrcoef(*both)[0, 1])
    return rows


def _scores(
    truth: Mapping[str, object], prediction: Mapping[str, object], official: WordTable, own: WordTable
) -> dict[str, float]:
    scored = score_open_vocabulary(truth, prediction, own, rng=np.random.default_rng(0), resamples=0, trivial=False)
    return {
        'EW-L1 f': set_scores(truth, prediction, official)['EW-L1'].f,
        'near f1': scored.value(scored.headline[0], 'f1').value,
        'labels_per_answer': scored.prediction.labels_per_answer,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--released', type=Path, required=True)
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'extraction_released.json')
    options = parser.parse_args()
    options.out.write_bytes(json_file(measure(options.released, options.data)))
    print(options.out)


if __name__ == '__main__':
    main()
