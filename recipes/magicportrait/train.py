"""MagicPortrait's two stages at a tiny size on real clips, against geometry alone.

    python recipes/magicportrait/train.py FOLDER... --out DIR

Each folder holds videos of one face. Every fourth person is held out with all of their videos, and of the other videos
the last quarter. An autoencoder is trained first, since the published one is not there. Goes on where it was stopped;
the result lands in `recipes/magicportrait/results`, the nets in DIR/run/weights, for `affekt reenact --weights`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from data import SAME_PERSON, SIZE, Face, faces, persons, require_apart
from page import page_of_stages

from affekt.diffusion import (
    MAPS,
    Autoencoder,
    AutoencoderSizes,
    Drawing,
    DrawingSettings,
    GuidanceEncoder,
    PortraitNets,
    StageSettings,
    UNet,
    UNetSizes,
    save_nets,
    train_autoencoder,
    train_spatial,
    train_temporal,
)
from affekt.metrics import bootstrap_interval, peak_signal_to_noise, structural_similarity, temporal_flicker
from affekt.typed_json import json_file, plain

Images = npt.NDArray[np.uint8]
RESULTS = Path(__file__).resolve().parents[2] / 'recipes' / 'magicportrait' / 'results'
HELD_OUT = 4
"""Every fourth person is held out."""
LEARNT_SHARE = 0.75
JUDGED_FRAMES = 8
"""Of a video, one after another, so that windows are as in training."""
AUTOENCODER = StageSettings(steps=160, batch_size=6, learning_rate=3e-3, warm_up=10, log_every=10, save_every=40)
SPATIAL = StageSettings(steps=220, batch_size=6, learning_rate=1e-3, warm_up=20, log_every=10, save_every=40)
TEMPORAL = StageSettings(
    steps=40, batch_size=2, learning_rate=1e-3, warm_up=10, frames=8, stride=1, log_every=5, save_every=20
)
RANGES = {
    'psnr_db': (0.0, np.inf), 'ssim': (-1.0, 1.0), 'flicker': (0.0, np.inf),
    'psnr_db less geometry': (-np.inf, np.inf), 'ssim less geometry': (-2.0, 2.0),
}  # fmt: skip
"""Metric to the least and the largest value that it can have."""
DRAWING = DrawingSettings(steps=8, guidance=1.0, window=8, overlap=0, decoded_at_once=8)
"""Without going beyond what the net says: nearest to the truth in pixels."""


def tiny_nets(seed: int = 0) -> PortraitNets:
    """Nets of the published shape at a fraction of its size; latents are a quarter of the picture, not an eighth."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = {'widths': (32, 64), 'layers': 1, 'text_width': 32, 'groups': 8}
        return PortraitNets(
            reference=UNet(UNetSizes(**sizes, is_reference=True)),
            denoiser=UNet(UNetSizes(**sizes, has_motion=True)),
            guides={name: GuidanceEncoder(32, (8, 16, 32), groups=8) for name in MAPS},
            autoencoder=Autoencoder(AutoencoderSizes((16, 32, 32), layers=1, groups=8)),
            text=torch.zeros(1, 2, 32),
            coverage={},
        )


def trained_nets(every: list[Face], out: Path, stages: Mapping[str, StageSettings]) -> dict[str, Any]:
    """The nets after both stages, those after the first, and what the stages took."""
    videos = [face.video.frames(0, int(LEARNT_SHARE * len(face.video))) for face in every]
    nets, took = tiny_nets(), {}
    begin = time.process_time()
    rebuilt = train_autoencoder(
        nets.autoencoder, videos, stages['autoencoder'], folder=out / 'autoencoder', resume=True, report=_say
    )
    took['autoencoder'], begin = time.process_time() - begin, time.process_time()
    spatial = train_spatial(nets, videos, stages['spatial'], folder=out / 'spatial', resume=True, report=_say)
    took['spatial'], begin = time.process_time() - begin, time.process_time()
    first = as_they_are(nets)
    temporal = train_temporal(nets, videos, stages['temporal'], folder=out / 'temporal', resume=True, report=_say)
    took['temporal'] = time.process_time() - begin
    losses = {'autoencoder': rebuilt, 'spatial': spatial.history, 'temporal': temporal.history}
    return {'nets': nets, 'first': first, 'took': took, 'losses': losses}


def as_they_are(nets: PortraitNets) -> Callable[[Face, int], Images]:
    """Draws frames of a video as the denoising net is now, whatever it learns later."""
    state = {name: value.clone() for name, value in nets.denoiser.state_dict().items()}

    def drawn(face: Face, start: int) -> Images:
        now = {name: value.clone() for name, value in nets.denoiser.state_dict().items()}
        nets.denoiser.load_state_dict(state)
        pictures = drawn_by(nets, face, start)
        nets.denoiser.load_state_dict(now)
        return pictures

    return drawn


def drawn_by(nets: PortraitNets, face: Face, start: int) -> Images:
    """Frames of a video from its first picture and their maps."""
    maps = [{name: face.video.maps[name][at] for name in MAPS} for at in range(start, start + JUDGED_FRAMES)]
    return np.stack(list(Drawing(nets, face.video.pictures[0], DRAWING).frames(maps)))


@torch.no_grad()
def rebuilt_by(nets: PortraitNets, truth: Images) -> Images:
    """What the autoencoder alone makes of pictures: no drawing can be nearer."""
    signed = torch.from_numpy(truth).permute(0, 3, 1, 2).float() / 127.5 - 1
    shown = nets.autoencoder.decode(nets.autoencoder.encode(signed)).clamp(-1, 1) * 127.5 + 127.5
    return shown.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def main() -> None:
    """Trains, judges, and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folders', type=Path, nargs='+', help='folders of videos')
    parser.add_argument('--out', type=Path, required=True, help='folder of what is kept')
    parser.add_argument('--steps', type=int, help='updates of each stage, for a trial that writes no result')
    asked = parser.parse_args()
    torch.set_num_threads(1)
    every = [face for face in faces(asked.folders, asked.out / 'faces') if len(face.video) >= 4 * JUDGED_FRAMES]
    known, unknown = sides(every)
    nearest = require_apart(known, unknown)
    stages = {'autoencoder': AUTOENCODER, 'spatial': SPATIAL, 'temporal': TEMPORAL}
    if asked.steps:
        stages = {name: StageSettings(**{**asdict(each), 'steps': asked.steps}) for name, each in stages.items()}
    # 1. the stages
    out = asked.out / ('trial' if asked.steps else 'run')
    made = trained_nets(known, out, stages)
    save_nets(made['nets'], out / 'weights')
    # 2. frames that they have not seen
    arms: dict[str, Callable[[Face, int], Images]] = {
        'geometry': lambda face, start: face.drawn[start : start + JUDGED_FRAMES],
        'first frame, unmoved': lambda face, _: np.repeat(face.video.pictures[:1], JUDGED_FRAMES, axis=0),
        'diffusion, first stage': made['first'],
        'diffusion, both stages': lambda face, start: drawn_by(made['nets'], face, start),
        'autoencoder alone': lambda face, start: rebuilt_by(
            made['nets'], face.video.pictures[start : start + JUDGED_FRAMES]
        ),
    }
    scores = {'later frames of videos learnt from': scores_of(known, arms), 'videos held out': scores_of(unknown, arms)}
    result = {
        'videos': {'learnt from': names_of(known), 'held out': names_of(unknown)},
        'frames': sum(len(face.video) for face in every),
        'persons': {'learnt from': count_of(known), 'held out': count_of(unknown)},
        'nearest_persons_apart': nearest, 'same_person_below': SAME_PERSON,
        'size': SIZE, 'judged_frames': JUDGED_FRAMES, 'scores': scores,
        'losses': {name: [rows[0]['loss'], rows[-1]['loss']] for name, rows in made['losses'].items()},
        'settings': {name: asdict(each) for name, each in stages.items()},
        'drawing': asdict(DRAWING),
        'cpu_s': {name: round(value, 1) for name, value in made['took'].items()},
    }  # fmt: skip
    text = page_of_stages(plain(result))
    print(text)
    if not asked.steps:
        (RESULTS / 'stages.json').write_bytes(json_file(result))
        (RESULTS / 'stages.md').write_text(text)


def sides(every: list[Face]) -> tuple[list[Face], list[Face]]:
    """Videos to learn from, and those of every fourth person."""
    numbers = persons([face.identity for face in every])
    held_out = set(sorted(set(numbers))[HELD_OUT - 1 :: HELD_OUT])
    known = [face for face, number in zip(every, numbers, strict=True) if number not in held_out]
    return known, [face for face, number in zip(every, numbers, strict=True) if number in held_out]


def names_of(every: list[Face]) -> list[str]:
    """Of the videos."""
    return [face.video.name for face in every]


def count_of(every: list[Face]) -> int:
    """Persons in the videos."""
    return len(set(persons([face.identity for face in every])))


def scores_of(every: list[Face], arms: Mapping[str, Callable[[Face, int], Images]]) -> dict[str, Any]:
    """Each arm's PSNR, SSIM and flicker, and how far the first two are from geometry's; intervals over persons."""
    columns: dict[str, dict[str, list[float]]] = {name: {'psnr_db': [], 'ssim': [], 'flicker': []} for name in arms}
    numbers = np.array(persons([face.identity for face in every]))
    for face in every:
        start = max(int(LEARNT_SHARE * len(face.video)), 1)
        start = min(start, len(face.video) - JUDGED_FRAMES)
        truth = face.video.pictures[start : start + JUDGED_FRAMES]
        for name, arm in arms.items():
            pictures = arm(face, start)
            for true, drawn in zip(truth, pictures, strict=True):
                columns[name]['psnr_db'].append(min(peak_signal_to_noise(true, drawn), 100.0))
                columns[name]['ssim'].append(structural_similarity(true, drawn))
            columns[name]['flicker'].append(temporal_flicker(truth, pictures))
    of_frames = np.repeat(numbers, JUDGED_FRAMES)
    result: dict[str, Any] = {}
    for name, each in columns.items():
        result[name] = {
            metric: _interval(np.array(values), numbers if metric == 'flicker' else of_frames, RANGES[metric])
            for metric, values in each.items()
        }
        for metric in ('psnr_db', 'ssim') if name != 'geometry' else ():
            gain = np.array(each[metric]) - np.array(columns['geometry'][metric])
            result[name][f'{metric} less geometry'] = _interval(gain, of_frames, RANGES[f'{metric} less geometry'])
        result[name]['by_frame'] = {metric: np.round(values, 4).tolist() for metric, values in each.items()}
    return result


def _interval(
    values: npt.NDArray[np.float64], groups: npt.NDArray[np.int64], bounds: tuple[float, float]
) -> dict[str, float]:
    """A mean with its interval over groups; ends are nan where there is one group alone."""
    mean = bootstrap_interval(
        lambda column: float(np.mean(column)), values, groups=groups, rng=np.random.default_rng(0), bounds=bounds
    )
    return {'value': mean.value, 'low': mean.low, 'high': mean.high}


def _say(row: dict[str, float]) -> None:
    print(' '.join(f'{name} {value:.5g}' for name, value in row.items()), flush=True)


if __name__ == '__main__':
    main()
