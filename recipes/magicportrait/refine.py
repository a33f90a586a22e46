"""A personal refiner for the person of each video, judged on later frames of the same video.

    python recipes/magicportrait/refine.py FOLDER... --out DIR

The result lands in `recipes/magicportrait/results`.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from data import SIZE, Face, faces
from page import page_of_refiners

from affekt.diffusion import RefinerSettings, fit_refiner, judged_in_numbers
from affekt.typed_json import json_file, plain

RESULTS = Path(__file__).resolve().parents[2] / 'recipes' / 'magicportrait' / 'results'
SETTINGS = RefinerSettings(steps=120, width=16)


def main() -> None:
    """Trains and judges one for each video, and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folders', type=Path, nargs='+', help='folders of videos')
    parser.add_argument('--out', type=Path, required=True, help='folder of what is kept')
    parser.add_argument('--steps', type=int, help='updates, for a trial that writes no result')
    asked = parser.parse_args()
    torch.set_num_threads(1)
    settings = replace(SETTINGS, steps=asked.steps or SETTINGS.steps)
    every = faces(asked.folders, asked.out / 'faces')
    begin, refiners = time.process_time(), dict[str, Any]()
    for face in every:
        refiners[face.video.name] = refined(face, settings)
        print(face.video.name, refiners[face.video.name], flush=True)
    result = {
        'size': SIZE,
        'settings': asdict(settings),
        'cpu_s': round(time.process_time() - begin, 1),
        'refiners': refiners,
    }
    text = page_of_refiners(plain(result))
    print(text)
    if not asked.steps:
        (RESULTS / 'refiners.json').write_bytes(json_file(result))
        (RESULTS / 'refiners.md').write_text(text)


def refined(face: Face, settings: RefinerSettings) -> dict[str, Any]:
    """What a refiner brings on the later frames of a video."""
    refinement = fit_refiner(face.video, face.drawn, settings)
    return {**judged_in_numbers(refinement), 'is_kept': refinement.is_kept}


if __name__ == '__main__':
    main()
