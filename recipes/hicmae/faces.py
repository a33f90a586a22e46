"""A small video branch of HiCMAE, pre-trained on made-up faces without labels.

    python recipes/hicmae/faces.py --out DIR

Draws the faces where DIR lacks them and goes on where it was stopped. `read_faces.py` then says what it brings.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from people import LABELLED_PEOPLE, RATE_HZ, SIZE, labelled_plans, packed, unlabelled_plan

from affekt.pretraining import HicmaeForm, PretrainingSettings, pretrain

CLIPS = 480
FORM = HicmaeForm(
    width=128, heads=2, decoder_width=64, decoder_heads=1, depth=7, frames=8, size=SIZE, modalities=('video',)
)
"""A quarter of the width of the published base, on half its frames and a third of their pixels: what minutes of one
core can train."""
SETTINGS = PretrainingSettings(
    epochs=20, batch_size=32, learning_rate=6e-3, video_mask=0.75, stride=1, log_every=25, save_every=100,
    snapshot_every=5, workers=0,
)  # fmt: skip
"""Frames are drawn at the rate that they are read at. Of 36 cells the published share would leave three visible; nine
are."""


def main() -> None:
    """Draws, pre-trains, and keeps weights each five epochs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, required=True, help='folder of what is kept')
    parser.add_argument('--clips', type=int, default=CLIPS, help=f'clips to learn from (default {CLIPS:,})')
    parser.add_argument(
        '--people', type=int, default=LABELLED_PEOPLE, help=f'with labels, to be read later (default {LABELLED_PEOPLE})'
    )
    parser.add_argument('--steps', type=int, help='steps, for a trial; else by epochs')
    given = parser.parse_args()
    torch.set_num_threads(1)
    packed(given.out / 'labelled', [plan for _, plan in labelled_plans(given.people)])
    clips = packed(given.out / 'unlabelled', [unlabelled_plan(number) for number in range(given.clips)])
    print(f'{len(clips):,} clips of {clips.frame_counts.sum():,} frames, {RATE_HZ} a second', flush=True)
    settings = (
        SETTINGS
        if given.steps is None
        else PretrainingSettings(
            steps=given.steps,
            batch_size=8,
            video_mask=SETTINGS.video_mask,
            stride=1,
            log_every=5,
            save_every=10,
            workers=0,
        )
    )
    pretrain(FORM, clips, settings, folder=given.out / 'pretrained', resume=True, report=_say)


def _say(row: dict[str, float]) -> None:
    print(' '.join(f'{name} {value:.5g}' for name, value in row.items()), flush=True)


if __name__ == '__main__':
    main()
