"""What choosing fairly costs, and what fusing gives: MERBench's attention model beside simple ones, on real data.

    python benchmarks/merbench.py [--data DIR] [--work DIR] [--only ROW,…] [--out FILE]

Text rows: the released transcripts of CMU-MOSI and MELD through `hash512` and a real sentence encoder (MiniLM), the
published splits. One row of three modalities: the released utterance features of CMU-MOSI (binary sentiment, audio 73,
text 100, video 100 columns), whose release has no validation part: folds over speakers of train. (Its text and video
columns were learnt by others on that train part, with labels, which flatters folds of it, not the test.) Budgets are
stated in each row; rows of CMU-MOSI run both protocols, rows of MELD the fair one. A killed run goes on with the same
--work. Needs torch, on the CPU.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from affekt.benchmarks import MerbenchSettings, run_merbench
from affekt.benchmarks.merbench_saving import merbench_facts, save_merbench
from affekt.benchmarks.merbench_tables import merbench_markdown
from affekt.corpora import Facts, Manifest, Sample, import_corpus
from affekt.features import Features, Provenance, Store, extract, write_features
from affekt.runs import write_atomically

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / 'shared' / 'data'
MOSI = MerbenchSettings(protocol='both', seeds=3, trials=6, epochs=60, patience=8)
SHORT = MerbenchSettings(protocol='both', seeds=2, trials=3, epochs=30, patience=5)
MELD = MerbenchSettings(protocol='fair', seeds=2, trials=3, epochs=20, patience=5)
LEAST = MerbenchSettings(protocol='fair', seeds=2, trials=1, epochs=10, patience=3)
THREE = MerbenchSettings(protocol='both', seeds=2, trials=3, epochs=20, patience=5)
OFFICIAL = {'mosi hash512': (0.6396, 20), 'meld hash512': (0.4403, 20)}
"""Row to the test figure and epochs of the published classes on the same features (hidden 128, dropout 0.3, rate 1e-3,
one seed), run elsewhere with the same hashing."""


def of_text(corpus: str, recipe: str) -> Callable[[Path, Path], tuple[Manifest, dict[str, Store]]]:
    """A corpus's transcripts through a recipe."""

    def opened(data: Path, work: Path) -> tuple[Manifest, dict[str, Store]]:
        manifest = import_corpus(corpus, data / 'merbench')
        made = extract(manifest, recipe, work / 'features' / corpus)
        return manifest, {'text': Store(made.path)}

    return opened


def three_modalities(data: Path, work: Path) -> tuple[Manifest, dict[str, Store]]:
    """The released features of CMU-MOSI as a manifest and three stores; the last column of each table is the label."""
    folder = data / 'cmu_mosi_feats'
    names = [row[0] for row in _table(folder / 'transcripts.csv')]
    samples: list[Sample] = []
    held: dict[str, list[Features]] = {'audio': [], 'text': [], 'video': []}
    for split in ('train', 'test'):
        order = [int(row[0]) for row in _table(folder / f'text_{split}.csv')]
        tables = {name: np.array(_table(folder / name / f'{name}_{split}0.csv'), dtype=float) for name in held}
        for at, number in enumerate(order):
            label = int(tables['text'][at, -1])
            name = names[number]
            recording = name.rsplit('_', 1)[0]
            category = ('negative', 'positive')[label]
            samples.append(Sample(name, category=category, speaker=recording, recording=recording, split=split))
            for modality, table in tables.items():
                held[modality].append(Features(name, table[at : at + 1, :-1].astype(np.float32)))
    facts = Facts('CMU-MOSI, released features, binary', language='en', categories=('negative', 'positive'))
    manifest = Manifest(facts, tuple(samples))
    stores = {}
    for modality, rows in held.items():
        path = work / 'features' / 'three' / f'{modality}.features.arrow'
        size = rows[0].values.shape[1]
        write_features(path, rows, Provenance(f'released-{modality}', f'released-{modality}-{size}', size, {}))
        stores[modality] = Store(path)
    return manifest, stores


def _table(path: Path) -> list[list[str]]:
    with path.open(encoding='utf-8', newline='') as file:
        return list(csv.reader(file))


ROWS: Mapping[str, tuple[Callable[[Path, Path], tuple[Manifest, dict[str, Store]]], MerbenchSettings]] = {
    'mosi hash512': (of_text('mosi', 'hash512'), MOSI),
    'mosi minilm': (of_text('mosi', 'minilm-utt'), SHORT),
    'meld hash512': (of_text('meld', 'hash512'), MELD),
    'meld minilm': (of_text('meld', 'minilm-utt'), LEAST),
    'mosi three': (three_modalities, THREE),
}


def run_row(name: str, data: Path, work: Path) -> dict[str, Any]:
    """One row's facts, its Markdown among them; files of the run stay in the work folder."""
    opened, settings = ROWS[name]
    manifest, stores = opened(data, work)
    folder = work / 'runs' / name.replace(' ', '-')
    outcome = run_merbench(
        manifest, stores, settings, folder=folder, resume=folder.exists(),
        progress=lambda stage, done, total: print(f'{name}: {stage} {done} of {total}', flush=True),
    )  # fmt: skip
    facts = merbench_facts(outcome)
    save_merbench(folder, outcome, facts)
    for row in facts['rows']:
        row.pop('seconds')  # of the last start only
    if name in OFFICIAL:
        test, epochs = OFFICIAL[name]
        facts['published_classes_run_elsewhere'] = {'test_weighted_f1': test, 'epochs': epochs, 'seeds': 1}
    return facts | {'markdown': merbench_markdown(outcome)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--work', type=Path, default=HERE.parent / '.merbench')
    parser.add_argument('--only', default=','.join(ROWS))
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'merbench.json')
    options = parser.parse_args()
    torch.set_num_threads(1)
    held = json.loads(options.out.read_text()) if options.out.exists() else {'rows': {}}
    for name in options.only.split(','):
        held['rows'][name] = run_row(name, options.data, options.work)
    held['torch'], held['rows'] = torch.__version__, {name: held['rows'][name] for name in ROWS if name in held['rows']}
    pages = [facts['markdown'].replace('\n## ', '\n### ').replace('# ', '## ', 1) for facts in held['rows'].values()]
    told = 'Made by `python benchmarks/merbench.py`; figures and settings in `merbench.json`.'
    write_atomically(options.out, (json.dumps(held, indent=1) + '\n').encode())
    page = '\n'.join([f'# MERBench, fair and as published\n\n{told}\n', *pages])
    write_atomically(options.out.with_suffix('.md'), page.encode())


if __name__ == '__main__':
    main()
