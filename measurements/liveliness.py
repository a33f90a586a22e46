"""From which liveliness on a turn is told as livelier or calmer than its speaker's usual.

    python measurements/liveliness.py [--data SHARED_DATA] [--out FILE]

A speaker's usual is USUAL calm or neutral turns. Beside them stands one more: another of the same sort, which nobody
would call lively, or a strong one (anger, happiness, fear). The threshold is the least of GRID that tells at most
FALSE_SHARE of the former in RAVDESS (24 speakers of English); nEMO (nine of Polish) checks it. Acted speech both: in
talk, what is usual varies more.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Floats32
from affekt.media import Recording
from affekt.runs import write_atomically
from affekt.typed_json import json_file
from affekt.voice import acoustic_summary, liveliness

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / 'shared' / 'data'
SEED, USUAL, OTHERS = 12, 6, 3
GRID = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
FALSE_SHARE = 0.05


def main() -> None:
    """Measure, and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'liveliness.json')
    chosen = parser.parse_args()
    rng = np.random.default_rng(SEED)
    readings = {name: measured(rng, clips(chosen.data)) for name, clips in (('ravdess', ravdess), ('nemo', nemo))}
    shares = {name: told_shares(*pair) for name, pair in readings.items()}
    threshold = next((least for least in GRID if shares['ravdess']['usual'][str(least)] <= FALSE_SHARE), None)
    turns = {name: {'usual': len(usual), 'strong': len(strong)} for name, (usual, strong) in readings.items()}
    result = {'seed': SEED, 'usual_turns': USUAL, 'threshold': threshold, 'turns': turns, 'share_told': shares}
    write_atomically(chosen.out, json_file(result))


def ravdess(data: Path) -> dict[str, tuple[list[Path], list[Path]]]:
    """Speaker to calm and neutral clips, and to strong ones."""
    speakers = {}
    for folder in sorted((data / 'ravdess_speech').glob('Actor_*')):
        codes = {path: path.stem.split('-') for path in sorted(folder.glob('*.flac'))}
        calm = [path for path, code in codes.items() if code[2] in ('01', '02')]
        strong = [path for path, code in codes.items() if code[2] in ('03', '05', '06') and code[3] == '02']
        speakers[folder.name] = (calm, strong)
    return speakers


def nemo(data: Path) -> dict[str, tuple[list[Path], list[Path]]]:
    """Speaker to neutral clips, and to those of strong emotions."""
    speakers: dict[str, tuple[list[Path], list[Path]]] = {}
    for path in sorted((data / 'nemo').rglob('*.opus')):
        speaker, emotion = path.stem.split('_')[:2]
        calm, strong = speakers.setdefault(speaker, ([], []))
        {'neutral': calm, 'anger': strong, 'happiness': strong, 'fear': strong}.get(emotion, []).append(path)
    return speakers


def measured(
    rng: np.random.Generator, speakers: dict[str, tuple[list[Path], list[Path]]]
) -> tuple[list[float], list[float]]:
    """The liveliness of turns that are as usual, and of strong ones, each beside USUAL turns of the same speaker."""
    usual: list[float] = []
    strong: list[float] = []
    for calm_paths, strong_paths in speakers.values():
        calm = list(summaries(rng, calm_paths, USUAL + OTHERS))
        lively = list(summaries(rng, strong_paths, OTHERS))
        if len(calm) < USUAL + OTHERS:
            continue
        for tested, readings in ((calm[USUAL:], usual), (lively, strong)):
            for turn in tested:
                readings.append(float(liveliness(np.stack([*calm[:USUAL], turn]), ['a'] * (USUAL + 1))[-1]))
    return usual, strong


def summaries(rng: np.random.Generator, paths: list[Path], most: int) -> Iterator[Floats32]:
    """The sound of some of the clips, drawn."""
    for place in rng.permutation(len(paths))[:most]:
        blocks = [block.samples for block in Recording.open(paths[place]).samples(16000)]
        yield acoustic_summary(np.concatenate(blocks))


def told_shares(usual: list[float], strong: list[float]) -> dict[str, Any]:
    """Per threshold, which share of the turns would be told; the calmer-than-usual ones of strong turns are errors."""
    return {
        'usual': {str(least): round(float(np.mean(np.abs(usual) >= least)), 4) for least in GRID},
        'strong_as_livelier': {str(least): round(float(np.mean(np.array(strong) >= least)), 4) for least in GRID},
        'strong_as_calmer': {str(least): round(float(np.mean(np.array(strong) <= -least)), 4) for least in GRID},
    }


if __name__ == '__main__':
    main()
