"""A small audio branch of HiCMAE, pre-trained on unlabelled speech of two corpora.

    python recipes/hicmae/voices.py --ravdess DIR --nemo DIR --out DIR [--form eighth --epochs 10]

Goes on where it was stopped. `read.py` then says what it brings.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from speech import unlabelled

from affekt.pretraining import HicmaeForm
from affekt.pretraining.masked_settings import PretrainingSettings
from affekt.pretraining.masked_training import pretrain

FORMS = {
    'quarter': HicmaeForm(width=128, heads=2, decoder_width=64, decoder_heads=1, depth=7, modalities=('audio',)),
    'eighth': HicmaeForm(
        width=64, heads=1, decoder_width=32, decoder_heads=1, depth=4, decoder_depth=3, modalities=('audio',)
    ),
}
"""By their width, of that of the published base: what an hour of one core can train, and what ten minutes can."""
SETTINGS = PretrainingSettings(
    epochs=60, batch_size=64, learning_rate=1.5e-3, log_every=25, save_every=100, snapshot_every=5, workers=1
)


def main() -> None:
    """Decodes, pre-trains, and keeps weights each five epochs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ravdess', type=Path, required=True, help="folder of RAVDESS's speech with metadata.csv")
    parser.add_argument('--nemo', type=Path, required=True, help='folder of nEMO with metadata.tsv')
    parser.add_argument('--out', type=Path, required=True, help='folder of what is kept')
    parser.add_argument('--epochs', type=int, default=SETTINGS.epochs, help=f'of all (default {SETTINGS.epochs})')
    parser.add_argument('--form', choices=tuple(FORMS), default='quarter', help='size (default quarter)')
    given = parser.parse_args()
    torch.set_num_threads(1)
    clips = unlabelled(given.ravdess, given.nemo, given.out / 'recordings')
    print(f'{len(clips):,} recordings', flush=True)
    settings = replace(SETTINGS, epochs=given.epochs)
    pretrain(FORMS[given.form], clips, settings, folder=given.out / 'pretrained', resume=True, report=_say)


def _say(row: dict[str, float]) -> None:
    print(' '.join(f'{name} {value:.5g}' for name, value in row.items()), flush=True)


if __name__ == '__main__':
    main()
