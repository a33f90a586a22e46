"""The verb that degrades clean clips: corrupt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from affekt.cli.choices import SEED, Named, noise_presets, noises, refuse_unused
from affekt.cli.group import AS_JSON, end_with, main
from affekt.terminal import StageBars, say, say_json
from affekt.wording import counted

PATH = click.Path(path_type=Path)


class Decibels(click.ParamType[tuple[float, ...]]):
    """A parameter that takes numbers separated by commas."""

    name = 'dB,dB…'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """(5.0, 10.0) from '5,10'"""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in str(value).split(','))
        except ValueError:
            self.fail(f'{value!r} is not a list of decibels such as 5,10', param, ctx)


class Rates(click.ParamType[tuple[int, ...]]):
    """A parameter that takes whole numbers separated by commas."""

    name = 'RATE,RATE…'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """(1, 2, 4) from '1,2,4'"""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in str(value).split(','))
        except ValueError:
            self.fail(f'{value!r} is not a list of rates such as 1,2,4', param, ctx)


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
@click.option('--seed', type=SEED, default=0, help='Random seed (default 0).')
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
    **options: Any,
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

    if not (preset or options['snr_db']):
        refuse_unused('--snr or --as', 'noise', 'power', 'talkers', 'flac')
    elif noise != 'babble':
        refuse_unused('--noise babble', 'talkers')
    settings = {name: value for name, value in options.items() if value not in (None, ())}
    settings['sound'] = '.flac' if flac else '.wav'
    corruption = as_published(preset, noise, **settings) if preset else Corruption(noise=noise or 'white', **settings)
    with StageBars(name_width=9) as bars:
        outcome = corrupt(Manifest.load(path, root), corruption, out, processes=processes, resume=resume, progress=bars)
    if as_json:
        answer = {
            'out': str(outcome.path), 'samples': outcome.samples, 'changed': outcome.changed,
            'untouched': list(outcome.untouched),
            'failed': dict(outcome.failed), 'quieter_db': dict(outcome.quieter), 'missing': dict(outcome.missing),
            'resumed': outcome.resumed,
        }  # fmt: skip
        say_json(answer)
        end_with(outcome.failed)
        return
    say(f'{outcome.path}: {counted(outcome.samples, "sample")}, media of {outcome.changed:,} written')
    for modality, count in outcome.missing.items():
        if count:
            say(f'{modality} withheld from {counted(count, "sample")}')
    if outcome.quieter:
        largest_db = max(outcome.quieter.values())
        say(f'{len(outcome.quieter):,} attenuated by up to {largest_db:.1f} dB to avoid clipping')
    if outcome.untouched and (corruption.snr_db or corruption.damages_pictures):
        say(f'{len(outcome.untouched):,} have no stream that these options change', style='yellow')
    end_with(outcome.failed)
