"""MER-UniBench and OV-MER on the answers that their authors released, checked against stored values.

python measurements/open_vocabulary.py [--data DIR] [--released DIR] [--labels DIR]

Writes `results/unibench.json` and `results/ovmer.json`: scores only, no label of any corpus. `--data` holds stored
answers, labels and expected scores (`vectors/ov`) and the official word tables (`wheels`); every score must equal its
stored value to 1e-12. `--released`, the AffectGPT repository with its outputs (github.com/ouyangjutian/AffectGPT at
commit 77d0200fbbe01778ccd597211cf846de6cd117ff), adds `results/unibench_released.json`: the released files as they are,
on every set whose labels are in `--labels` (MERBench's layout).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from import_vectors import SETS, import_vectors

from affekt.benchmarks import run_ovmer, run_unibench
from affekt.benchmarks.facts import ovmer_facts, unibench_facts
from affekt.benchmarks.measures import derived_sentiment, measure_sentiment
from affekt.benchmarks.predictions import short_name
from affekt.benchmarks.published import published
from affekt.labels import load_table
from affekt.runs import versions, write_atomically

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / 'shared' / 'data'
CLOSE = 1e-12
KEPT = (
    'HIT hit_rate',
    'HIT mscore',
    'EW-L1 f',
    'EW-L1 precision',
    'EW-L1 recall',
    'EW-L2 f',
    'M-avg f',
    'WAF',
    'accuracy',
)
KEPT_CONSISTENT = (
    'near f1',
    'near precision',
    'near recall',
    'near+intensity f1',
    'affekt-L1 f1',
    'affekt-L2 f1',
    'M1 f1',
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--released', type=Path)
    parser.add_argument('--labels', type=Path, default=DATA / 'merbench')
    options = parser.parse_args()
    data = options.data
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder)
        import_vectors(data / 'vectors' / 'ov', stored)
        result = _unibench(stored / 'predictions', stored / 'labels', data, checked=True)
        _save('unibench', result | {'derived_sentiment': _derived(data)})
        _save('ovmer', _ovmer(data, stored / 'ovmer'))
    if options.released:
        _save('unibench_released', _unibench(options.released / 'AffectGPT' / 'output', options.labels, data))


def _unibench(predictions: Path, labels: Path, data: Path, *, checked: bool = False) -> dict[str, Any]:
    """The benchmark under both official tables, and the published row beside ours."""
    result: dict[str, Any] = {}
    for year in ('2025', '2026'):
        begun = time.perf_counter()
        outcome = run_unibench(predictions, labels, table=data / 'wheels' / year, rng=np.random.default_rng(0))
        seconds = time.perf_counter() - begun
        print(f'MER-UniBench, {len(outcome.results)} sets, table {year}: {seconds:.1f} s')
        if checked:
            worst = max(_unibench_gaps(data / 'vectors' / 'ov', outcome, year))
            print(f'  largest gap to a stored value {worst:.1e}')
            if worst > CLOSE:
                raise SystemExit(f'a score is {worst} from its stored value')
        result[year] = _trimmed_unibench(unibench_facts(outcome)) | {'seconds': round(seconds, 2)}
    row = next(row for row in published('unibench').rows if (row.model, row.inputs) == ('AffectGPT', 'AVT'))
    oracle = result['2025']['rows'][-1]
    result['published_row'] = {
        key: {
            'published': row.scores[key],
            'ours': oracle['scores'][key],
            'checkpoint': short_name(oracle['checkpoints'][key]),
            'same_digits': abs(row.scores[key] - oracle['scores'][key]) <= 0.5e-4 + 1e-9,
        }
        for key in oracle['counted']
    }
    for key, figures in result['published_row'].items():
        ours, theirs = 100 * figures['ours'], 100 * figures['published']
        print(f'  {key}: {ours:.3f} at checkpoint {figures["checkpoint"]}, published {theirs:.2f}')
    return result


def _derived(data: Path) -> dict[str, Any]:
    """Sentiment from the valence of open labels beside that of the released language model, by checkpoint."""
    table = load_table('affekt')
    result: dict[str, Any] = {'table': table.label}
    for key in (key for key, column in SETS.items() if column == 'sentiment'):
        released = _read(data / 'vectors' / 'ov' / f'unibench_{key}.json')
        rows = {}
        for number, answers in released['checkpoints'].items():
            words = derived_sentiment(answers['openset'], table)
            same = [words[name] == answers['sentiment'][name].strip().lower() for name in released['gt']]
            rows[number] = {
                'language_model': measure_sentiment(released['gt'], answers['sentiment']).value(),
                'derived': measure_sentiment(released['gt'], words).value(),
                'same_word': sum(same) / len(same),
            }
        result[key] = rows
        means = {part: sum(row[part] for row in rows.values()) / len(rows) for part in next(iter(rows.values()))}
        print(f'sentiment of {key}: ' + ', '.join(f'{part} {100 * value:.2f}' for part, value in means.items()))
    return result


def _unibench_gaps(vectors: Path, outcome: Any, year: str) -> list[float]:
    """How far every score is from its stored value."""
    gaps = []
    for key in (*SETS, 'ovmerdplus'):
        name = 'ovmerdplus_public332' if key == 'ovmerdplus' else f'unibench_{key}'
        for number, released in _read(vectors / f'{name}.json')['checkpoints'].items():
            scores, expected = outcome.results[key].scores[f'checkpoint_{number}'], released['expected']
            if 'waf' in expected:
                gaps += [abs(scores['WAF'] - expected['waf']), abs(scores['accuracy'] - expected['acc'])]
            elif 'hitrate' in expected[year]:
                gaps += [abs(scores['HIT hit_rate'] - expected[year]['hitrate'])]
                gaps += [abs(scores['HIT mscore'] - expected[year]['mscore'])]
            else:
                gaps += _folding_gaps(scores, expected[year])
    return gaps


def _folding_gaps(scores: Mapping[str, float], expected: Mapping[str, Any]) -> list[float]:
    gaps = []
    for name, parts in expected.items():
        ours = name.replace('case3_wheel', 'W').replace('_level', '-L').replace('case1', 'M1').replace('case2', 'M2')
        ours = ours.replace('M_avg12', 'M-avg')
        values = parts if isinstance(parts, dict) else {'f': parts}
        gaps += [abs(scores[f'{ours} {part}'] - value) for part, value in values.items()]
    return gaps


def _trimmed_unibench(answer: dict[str, Any]) -> dict[str, Any]:
    for answers_of_set in answer['sets'].values():
        for checkpoint in answers_of_set['checkpoints'].values():
            checkpoint['scores'] = {name: checkpoint['scores'][name] for name in KEPT if name in checkpoint['scores']}
    del answer['published']
    return answer


def _ovmer(data: Path, folder: Path) -> dict[str, Any]:
    """Ten systems in three modes under three tables."""
    begun = time.perf_counter()
    tables = [data / 'wheels' / '2025', data / 'wheels' / '2026', 'affekt']
    rng = np.random.default_rng(0)
    outcome = run_ovmer(folder, folder / 'truth.csv', rng=rng, tables=tables, resamples=5000)
    seconds = time.perf_counter() - begun
    stored = _read(data / 'vectors' / 'ov' / 'ovmer_baselines.json')['runs']
    gaps = [
        gap
        for view in outcome.views[:2]
        for name, released in stored.items()
        for gap in _folding_gaps(view.scores[name.split('/')[1]][name.split('/')[0]], released['expected'][view.name])
    ]
    print(f'OV-MER, {len(stored)} runs, tables 2025 and 2026: largest gap {max(gaps):.1e}, {seconds:.1f} s')
    if max(gaps) > CLOSE:
        raise SystemExit(f'a score is {max(gaps)} from its stored value')
    answer = ovmer_facts(outcome)
    for view in answer['views']:
        official = view['rule'] == 'official'
        for mode in view['scores'].values():
            for model, scores in mode.items():
                wanted = [name for name in scores if (name.endswith(' f') if official else name in KEPT_CONSISTENT)]
                mode[model] = {name: scores[name] for name in wanted}
        for ranking in view['rankings'].values():
            del ranking['pairs']
    del answer['published']
    return answer | {'seconds': round(seconds, 2)}


def _save(name: str, result: Mapping[str, Any]) -> None:
    content = {**result, 'versions': versions()}
    text = json.dumps(content, indent=1, allow_nan=False) + '\n'
    write_atomically(HERE / 'results' / f'{name}.json', text.encode())


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding='utf-8'))


if __name__ == '__main__':
    main()
