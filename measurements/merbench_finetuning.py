"""What training an encoder end to end adds to its frozen vectors: a sentence encoder on three corpora's transcripts.

    python measurements/merbench_finetuning.py [--data DIR] [--work DIR] [--only ROW,…] [--out FILE]

MiniLM-L6 (22.6 million parameters, float32, from a published wheel) on the released transcripts of CMU-MOSI (sign of
the sentiment), MELD (seven categories) and IEMOCAP (four categories, five sessions in turn), each utterance by itself.
The protocol is MERBench's fair one; budgets are stated in each row and small: one thread of a CPU. Where one rate is
tried it was named beforehand; where bfloat16 is said, products are, weights never. A killed run goes on with the same
--work, from its last epoch. Needs torch and transformers.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from affekt.benchmarks.finetuning import run_finetuning
from affekt.benchmarks.finetuning_settings import FinetuningSettings
from affekt.benchmarks.finetuning_tables import finetuning_facts, finetuning_markdown, save_finetuning
from affekt.corpora import import_corpus
from affekt.runs import write_atomically
from affekt.typed_json import json_file
from affekt.weights import model_path

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / 'shared' / 'data'
ENCODER = 'minilm-l6-fp32'
MOSI = FinetuningSettings(learning_rates=(1e-3, 1e-4), seeds=3, trials=2, epochs=8, patience=2)
MELD = FinetuningSettings(
    learning_rates=(1e-3,), seeds=2, trials=1, epochs=3, patience=1, frozen_trials=4, precision='bfloat16'
)  # fmt: skip
IEMOCAP = FinetuningSettings(
    learning_rates=(1e-3,), seeds=1, trials=1, epochs=2, patience=1, frozen_trials=2, precision='bfloat16'
)  # fmt: skip
ROWS: Mapping[str, tuple[str, FinetuningSettings]] = {
    'mosi': ('mosi', MOSI),
    'meld': ('meld', MELD),
    'iemocap four': ('iemocap4', IEMOCAP),
}


def run_row(name: str, data: Path, work: Path) -> dict[str, Any]:
    """One row's facts, its Markdown among them; files of the run stay in the work folder."""
    corpus, settings = ROWS[name]
    folder = work / name.replace(' ', '-')
    manifest = import_corpus(corpus, data / 'merbench')
    begun = time.process_time()

    def tell(stage: str, done: float, total: float) -> None:
        if stage not in ('read', 'encode') or done == total:
            print(f'{name}: {stage} {done:.2f} of {total:g}, {time.process_time() - begun:.0f} s of CPU', flush=True)

    outcome = run_finetuning(
        manifest, model_path(ENCODER), settings, folder=folder, resume=folder.exists(), progress=tell
    )
    answer = finetuning_facts(outcome)
    save_finetuning(folder, outcome, answer)
    for row in answer['rows']:
        row.pop('seconds')  # of the last start only
    return answer | {'markdown': finetuning_markdown(outcome)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--work', type=Path, default=HERE.parent / '.merbench' / 'finetuning')
    parser.add_argument('--only', default=','.join(ROWS))
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'merbench_finetuning.json')
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.only.split(','):
        answer = run_row(name, options.data, options.work)
        results = json.loads(options.out.read_text()) if options.out.exists() else {'rows': {}}
        results['rows'][name] = answer
        results |= {'torch': torch.__version__, 'transformers': version('transformers')}
        results['rows'] = {each: results['rows'][each] for each in ROWS if each in results['rows']}
        write_atomically(options.out, json_file(results))
        pages = [
            each['markdown'].replace('\n## ', '\n### ').replace('# ', '## ', 1) for each in results['rows'].values()
        ]
        origin = (
            'Made by `python measurements/merbench_finetuning.py`; figures and settings in `merbench_finetuning.json`.'
        )
        page = '\n'.join([f'# An encoder fine-tuned, and its frozen vectors\n\n{origin}\n', *pages])
        write_atomically(options.out.with_suffix('.md'), page.encode())


if __name__ == '__main__':
    main()
