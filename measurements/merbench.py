"""What choosing fairly costs, and what fusing gives: MERBench's models beside simple ones, on real data.

    python measurements/merbench.py [--data DIR] [--work DIR] [--only ROW,…] [--out FILE]

Text rows: the released transcripts of CMU-MOSI, MELD and IEMOCAP through `hash512` and a real sentence encoder
(MiniLM), the published splits, also from MELD to IEMOCAP and back. Sound: RAVDESS through acoustic measures, as
functionals and as sequences, folds over actors. Three modalities: the released utterance features of CMU-MOSI (binary
sentiment, audio 73, text 100, video 100 columns), whose release has no validation part: folds over speakers of train.
(Its text and video columns were learnt by others on that train part, with labels, which flatters folds of it, not the
test.) Budgets are stated in each row. A killed run goes on with the same --work. Needs torch, on the CPU.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from affekt.benchmarks import MerbenchSettings, run_merbench
from affekt.benchmarks.merbench_tables import merbench_facts, merbench_markdown, save_merbench
from affekt.corpora import Facts, Manifest, Sample, import_corpus
from affekt.experiments import Part
from affekt.features import Features, Provenance, Store, extract, write_features
from affekt.runs import write_atomically
from affekt.typed_json import json_file

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / 'shared' / 'data'
MOST = MerbenchSettings(protocol='both', seeds=3, trials=4, epochs=40, patience=6)
SHORT = MerbenchSettings(protocol='both', seeds=2, trials=2, epochs=20, patience=5)
FAIR = dataclasses.replace(SHORT, protocol='fair')
Opened = tuple[Manifest, dict[str, Store], list[Part]]
Opener = Callable[[Path, Path], Opened]


@dataclass(frozen=True)
class Cited:
    """A figure that others report on the same test part, by another protocol."""

    what: str
    weighted_f1: float
    source: str


OFFICIAL = 'the published classes on the same features, hidden 128, 20 epochs, one seed, run elsewhere'
COSMIC = 'Ghosal et al. 2020, arXiv:2010.02795, results table'
BERT = 'Yang et al. 2020 (CM-BERT), results table of its repository thuiar/Cross-Modal-BERT'


@dataclass(frozen=True)
class RowPlan:
    """One row: what is read, by which settings, beside which cited figures."""

    opened: Opener
    settings: MerbenchSettings
    cited: tuple[Cited, ...] = ()


def of_text(corpus: str, recipe: str, *others: str) -> Opener:
    """A corpus's transcripts through a recipe, and those of others to test on."""

    def opened(data: Path, work: Path) -> Opened:
        parts = []
        for name in (corpus, *others):
            manifest = import_corpus(name, data / 'merbench')
            parts.append(Part(manifest, {'text': Store(extract(manifest, recipe, work / 'features' / name).path)}))
        return parts[0].manifest, dict(parts[0].stores), parts[1:]

    return opened


def of_sound(recipe: str) -> Opener:
    """RAVDESS through a recipe; the few clips that it cannot measure are left out."""

    def opened(data: Path, work: Path) -> Opened:
        manifest = import_corpus('ravdess', data / 'ravdess_speech')
        store = Store(extract(manifest, recipe, work / 'features' / 'ravdess').path)
        return manifest.keep(lambda row: row.sample in store), {'audio': store}, []

    return opened


def three_modalities(data: Path, work: Path) -> Opened:
    """The released features of CMU-MOSI as a manifest and three stores; the last column of each table is the label."""
    folder = data / 'cmu_mosi_feats'
    names = [row[0] for row in _table(folder / 'transcripts.csv')]
    samples: list[Sample] = []
    features: dict[str, list[Features]] = {'audio': [], 'text': [], 'video': []}
    for split in ('train', 'test'):
        order = [int(row[0]) for row in _table(folder / f'text_{split}.csv')]
        tables = {name: np.array(_table(folder / name / f'{name}_{split}0.csv'), dtype=float) for name in features}
        for at, number in enumerate(order):
            label = int(tables['text'][at, -1])
            name = names[number]
            recording = name.rsplit('_', 1)[0]
            category = ('negative', 'positive')[label]
            samples.append(Sample(name, category=category, speaker=recording, recording=recording, split=split))
            for modality, table in tables.items():
                features[modality].append(Features(name, table[at : at + 1, :-1].astype(np.float32)))
    described = Facts('CMU-MOSI, released features, binary', language='en', categories=('negative', 'positive'))
    manifest = Manifest(described, tuple(samples))
    stores = {}
    for modality, rows in features.items():
        path = work / 'features' / 'three' / f'{modality}.features.arrow'
        size = rows[0].values.shape[1]
        write_features(path, rows, Provenance(f'released-{modality}', f'released-{modality}-{size}', size, {}))
        stores[modality] = Store(path)
    return manifest, stores, []


def _table(path: Path) -> list[list[str]]:
    with path.open(encoding='utf-8', newline='') as file:
        return list(csv.reader(file))


ROWS: Mapping[str, RowPlan] = {
    'mosi hash512': RowPlan(of_text('mosi', 'hash512'), MOST, (Cited('attention', 0.6396, OFFICIAL),)),
    'mosi minilm': RowPlan(
        of_text('mosi', 'minilm-utt'), MOST, (Cited('BERT fine-tuned on text', 0.823, BERT),),
    ),
    'meld hash512': RowPlan(of_text('meld', 'hash512'), SHORT, (Cited('attention', 0.4403, OFFICIAL),)),
    'meld minilm': RowPlan(
        of_text('meld', 'minilm-utt'), SHORT,
        (
            Cited('CNN on one utterance', 0.5502, COSMIC),
            Cited('RoBERTa fine-tuned on one utterance', 0.6202, COSMIC),
            Cited('COSMIC, reads the dialogue', 0.6521, COSMIC),
        ),
    ),
    'iemocap4 minilm': RowPlan(of_text('iemocap4', 'minilm-utt'), SHORT),
    'mosi three': RowPlan(three_modalities, SHORT),
    'mosi three mmim': RowPlan(three_modalities, dataclasses.replace(FAIR, model='mmim')),
    'ravdess acoustics': RowPlan(of_sound('acoustics-utt'), SHORT),
    'ravdess frames': RowPlan(
        of_sound('acoustics-frm'), dataclasses.replace(FAIR, feat_type='frm_unalign', trials=1)
    ),
    'meld to iemocap4': RowPlan(of_text('meld', 'minilm-utt', 'iemocap4'), FAIR),
    'iemocap4 to meld': RowPlan(of_text('iemocap4', 'minilm-utt', 'meld'), FAIR),
}  # fmt: skip


def run_row(name: str, data: Path, work: Path) -> dict[str, Any]:
    """One row's facts, its Markdown among them; files of the run stay in the work folder."""
    plan = ROWS[name]
    manifest, stores, others = plan.opened(data, work)
    folder = work / 'runs' / name.replace(' ', '-')
    outcome = run_merbench(
        manifest, stores, plan.settings, others, folder=folder, resume=folder.exists(),
        progress=lambda stage, done, total: print(f'{name}: {stage} {done} of {total}', flush=True),
    )  # fmt: skip
    answer = merbench_facts(outcome)
    save_merbench(folder, outcome, answer)
    for row in answer['rows']:
        row.pop('seconds')  # of the last start only
    page = merbench_markdown(outcome)
    if plan.cited:
        answer['cited'] = [dataclasses.asdict(each) for each in plan.cited]
        cited = [f'- {100 * each.weighted_f1:.2f}: {each.what} ({each.source})' for each in plan.cited]
        page += '\n'.join(['\n## Cited, by other protocols\n', *cited]) + '\n'
    return answer | {'markdown': page}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--work', type=Path, default=HERE.parent / '.merbench')
    parser.add_argument('--only', default=','.join(ROWS))
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'merbench.json')
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = json.loads(options.out.read_text()) if options.out.exists() else {'rows': {}}
    for name in options.only.split(','):
        results['rows'][name] = run_row(name, options.data, options.work)
    results['torch'], results['rows'] = (
        torch.__version__,
        {name: results['rows'][name] for name in ROWS if name in results['rows']},
    )
    pages = [
        answer['markdown'].replace('\n## ', '\n### ').replace('# ', '## ', 1) for answer in results['rows'].values()
    ]
    origin = 'Made by `python measurements/merbench.py`; figures and settings in `merbench.json`.'
    write_atomically(options.out, json_file(results))
    page = '\n'.join([f'# MERBench, fair and as published\n\n{origin}\n', *pages])
    write_atomically(options.out.with_suffix('.md'), page.encode())


if __name__ == '__main__':
    main()
