"""The verb that degrades clean clips: corrupt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from affekt.cli.choices import Named, noise_presets, noises
from affekt.cli.group import AS_JSON, end_with, main
from affekt.terminal import StageBars, say, say_json
from affekt.wording import counted

PATH = click.Path(path_type=Path)


class Decibels(click.ParamType[tuple[float, ...]]):
    """Numbers with commas."""

    name = 'dB,dB…'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """(5.0, 10.0) from '5,10'"""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in str(value).split(','))
        except ValueError:
            self.fail(f'{value!r} is no list of decibels such as 5,10', param, ctx)


class Rates(click.ParamType[tuple[int, ...]]):
    """Whole numbers with commas."""

    name = 'RATE,RATE…'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """(1, 2, 4) from '1,2,4'"""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in str(value).split(','))
        except ValueError:
            self.fail(f'{value!r} is no list of rates such as 1,2,4', param, ctx)


@main.command('corrupt')
@click.argument('path', metavar='MANIFEST', type=PATH)
@click.option('--out', required=True, type=PATH, help='New folder for media and manifest.parquet.')
@click.option(
    '--snr', 'snr_db', type=Decibels(), default=(), help='Signal-to-noise ratios in dB; one is drawn per sample.'
)
@click.option('--as', 'preset', type=Named(noise_presets), help="Settings of a challenge's noisy clips.")
@click.option('--noise', type=Named(noises, others='FOLDER'), help='Noise, or a folder of recordings (default white).')
@click.option(
    '--power',
    type=Named(('whole', 'active')),
    default='whole',
    help='Level of speech: measured over the whole clip (default) or its active parts.',
)
@click.option('--talkers', type=int, default=6, help='Voices in babble noise (default 6).')
@click.option('--blur', 'blur_sigma', type=float, metavar='SIGMA', help='Gaussian blur, in pixels.')
@click.option(
    '--blur-rates',
    type=Rates(),
    default=(),
    help='Factors for downscaling frames and enlarging them again; one is drawn per clip.',
)
@click.option(
    '--occlude', 'occlude_share', type=float, metavar='SHARE', help='Black rectangle, as a share of the frame.'
)
@click.option('--drop', 'drop_rate', type=float, metavar='RATE', help='Share of frames replaced by the previous one.')
@click.option('--brightness', type=float, metavar='FACTOR', help='Brightness: below 1 darker, above 1 brighter.')
@click.option(
    '--missing',
    multiple=True,
    metavar='RULE',
    help='Modalities to withhold: audio, audio+text, audio:0.3 or any:0.3. Repeatable.',
)
@click.option('--seed', type=click.IntRange(0), default=0, help='Random seed (default 0).')
@click.option('--flac', is_flag=True, help='Write audio as flac instead of wav.')
@click.option(
    '--processes',
    type=click.IntRange(1, 256),
    default=1,
    help='Number of writing processes; files do not depend on it (default 1).',
)
@click.option('--root', type=PATH, help='Folder that the clean media are in now, if they moved.')
@click.option('--resume', is_flag=True, help='Continue an interrupted run.')
@AS_JSON
def corrupt_command(
    path: Path,
    out: Path,
    preset: str | None,
    noise: str | None,
    flac: bool,
    processes: int,
    root: Path | None,
    resume: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Write degraded copies of the clips of MANIFEST, by stated amounts.

    \b
    affekt corrupt mer2023.parquet --out noisy --snr 5,10 --noise musan/speech
    affekt corrupt mer2023.parquet --out soft --blur 2 --occlude 0.2
    affekt corrupt mer2023.parquet --out part --missing any:0.3
    affekt corrupt mer2023.parquet --out test2 --as mer2023-noise \\
        --noise musan/speech

    The new manifest records what was done to each sample. If speech and noise together exceed full scale, the mixture
    is attenuated, and this is noted.
    """
    from affekt.corpora import Manifest
    from affekt.corruption import Corruption, as_published, corrupt

    given = {name: value for name, value in asked.items() if value not in (None, ())}
    given['sound'] = '.flac' if flac else '.wav'
    corruption = as_published(preset, noise, **given) if preset else Corruption(noise=noise or 'white', **given)
    with StageBars(name_width=9) as bars:
        made = corrupt(Manifest.load(path, root), corruption, out, processes=processes, resume=resume, progress=bars)
    if as_json:
        answer = {
            'out': str(made.path), 'samples': made.samples, 'changed': made.changed, 'untouched': list(made.untouched),
            'failed': dict(made.failed), 'quieter_db': dict(made.quieter), 'missing': dict(made.missing),
            'resumed': made.resumed,
        }  # fmt: skip
        say_json(answer)
        end_with(made.failed)
        return
    say(f'{made.path}: {counted(made.samples, "sample")}, media of {made.changed:,} written')
    for modality, count in made.missing.items():
        if count:
            say(f'{modality} withheld from {counted(count, "sample")}')
    if made.quieter:
        most = max(made.quieter.values())
        say(f'{len(made.quieter):,} made quieter by up to {most:.1f} dB instead of clipping')
    if made.untouched and (corruption.snr_db or corruption.damages_pictures):
        say(f'{len(made.untouched):,} have nothing of what was to be changed', style='yellow')
    end_with(made.failed)
