"""HiCMAE at the published scale: VoxCeleb2 without labels, base, 160 clips an update, 100 epochs, on GPUs.

    python voxceleb2.py manifest VOXCELEB2 --out voxceleb2.parquet
    torchrun --nproc-per-node 8 voxceleb2.py train voxceleb2.parquet --out run [--cache CLIPS] [--resume]

VOXCELEB2 has `dev/mp4/<person>/<video>/<clip>.mp4`, 224 x 224 at 25 frames a second, and the sound as `.m4a` or `.wav`
at the same place under `dev/aac`. 1,091,581 clips were used for the published weights. Packed they take some 17 TB, so
clips are decoded as they are read where no cache is named: some 50 ms of one processor each. The published run took
five days on four V100s; the numbers of `PretrainingSettings` are its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from affekt.clips import ClipSettings, DecodedClips, PackedClips, packed_clips
from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import CorpusError
from affekt.pretraining import HicmaeForm, Pretrained, PretrainingSettings, form_named, pretrain
from affekt.training import Pace, losses_in_words

CLIPS = ClipSettings(crop='published')
SOUNDS = ('.wav', '.m4a')


def voxceleb2(folder: Path) -> Manifest:
    """Every clip of the development part, with its own file of sound where there is one.

    Raises:
        CorpusError: there are no clips.
    """
    rows = []
    for video in sorted((folder / 'dev' / 'mp4').glob('*/*/*.mp4')):
        name = video.relative_to(folder / 'dev' / 'mp4').with_suffix('')
        sounds = [folder / 'dev' / 'aac' / f'{name}{ending}' for ending in SOUNDS]
        sound = next((path for path in sounds if path.exists()), None)
        rows.append(
            Sample(
                name.as_posix(), video=video.relative_to(folder).as_posix(), speaker=name.parts[0],
                audio=sound.relative_to(folder).as_posix() if sound else None,
            )
        )  # fmt: skip
    if not rows:
        raise CorpusError(
            expected='clips dev/mp4/<person>/<video>/<clip>.mp4',
            came=f'none in {folder}',
            todo='name the parent of dev',
        )
    return Manifest(Facts('VoxCeleb2', root=str(folder)), rows)


def settings_for(device: str, **changes: object) -> PretrainingSettings:
    """The published settings, in the precision that a GPU computes itself."""
    settings = PretrainingSettings(
        epochs=100, batch_size=160, precision='auto', compiled=device != 'cpu', device=device, workers=16,
        save_every=1000, snapshot_every=10,
    )  # fmt: skip
    return replace(settings, **changes)  # type: ignore[arg-type]


def train(
    manifest: Manifest,
    out: Path,
    settings: PretrainingSettings,
    *,
    form: HicmaeForm | None = None,
    clip_settings: ClipSettings = CLIPS,
    cache: Path | None = None,
    processes: int = 1,
    resume: bool = False,
    report: Callable[[Mapping[str, float]], None] | None = None,
) -> Pretrained:
    """Pre-train on a manifest's clips, packed into a cache or decoded as they are read."""
    clips: DecodedClips | PackedClips = DecodedClips(manifest, clip_settings)
    if cache is not None:
        clips = packed_clips(manifest, cache, clip_settings, processes=processes)
    base = form_named('hicmae', 'base')
    return pretrain(form or base, clips, settings, folder=out, resume=resume, report=report)


def main() -> None:
    """Make the manifest, or train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest='verb', required=True)
    making = verbs.add_parser('manifest')
    making.add_argument('folder', type=Path)
    making.add_argument('--out', type=Path, required=True)
    training = verbs.add_parser('train')
    training.add_argument('manifest', type=Path)
    training.add_argument('--out', type=Path, required=True)
    training.add_argument('--cache', type=Path)
    training.add_argument('--processes', type=int, default=1)
    training.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    training.add_argument('--steps', type=int)
    training.add_argument('--resume', action='store_true')
    options = parser.parse_args()
    if options.verb == 'manifest':
        voxceleb2(options.folder).save(options.out)
        return
    settings = settings_for(options.device, steps=options.steps)
    pace = Pace(settings.batch_size)

    def report(row: Mapping[str, float]) -> None:
        pace.row(row)
        print(f'{row["step"]:.0f}: {losses_in_words(row)}; {pace.latest:.3g} clips per second', flush=True)

    train(
        Manifest.load(options.manifest), options.out, settings, cache=options.cache, processes=options.processes,
        resume=options.resume, report=report,
    )  # fmt: skip


if __name__ == '__main__':
    main()
