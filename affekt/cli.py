"""The command line: one verb per job. Each command parses, calls the public function of the same name, and prints."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from affekt import __version__
from affekt.errors import AffektError
from affekt.terminal import StageBars, facts_table, people_table, show_error

if TYPE_CHECKING:
    from affekt.analysis.batch import Outcome

# Faces and voice have a thread each; a pool inside the matrix products only makes them wait for each other.
for _pool in ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
    os.environ.setdefault(_pool, '1')

RUNS = Path('affekt_runs')
"""Where runs go without --out."""

Command = Callable[..., Any]


class Affekt(click.Group):
    """Turns every deliberate error into two lines and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except AffektError as error:
            show_error(Console(stderr=True), error)
            ctx.exit(2)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of this file, not of the alphabet."""
        return list(self.commands)


@click.group(cls=Affekt, context_settings={'help_option_names': ['-h', '--help'], 'max_content_width': 80})
@click.version_option(__version__, prog_name='affekt')
def main() -> None:
    """Sees, hears and reads how people come across in a recording.

    \b
    affekt demo                 a real clip, nothing to prepare
    affekt analyze clip.mp4     your own
    """


def _analysis_options(command: Command) -> Command:
    """The options that `analyze` and `demo` share."""
    options = [
        click.option(
            '--out', type=click.Path(path_type=Path), help='Run folder; a new one under affekt_runs without it.'
        ),
        click.option('--fps', type=float, help='Frames looked at per second of video (default 12.5).'),
        click.option('--max-people', type=int, help='Faces followed at once (default 5).'),
        click.option(
            '--asr', metavar='NAME', help='Speech recognition: tiny.en, base (99 languages), none, or a path.'
        ),
        click.option('--purpose', metavar='TEXT', help='What the analysis is for; recorded with the results.'),
        click.option('--no-frames', is_flag=True, help='Keep numbers and words only: no pictures, no video.'),
        click.option('--license', metavar='NAME', help='research (default), or commercial-ok.'),
        click.option('--json', 'as_json', is_flag=True, help='Print one JSON object and nothing else.'),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@click.argument('paths', nargs=-1, required=True, type=click.Path(path_type=Path))
@_analysis_options
@click.option('--transcript', type=click.Path(path_type=Path), help='SRT, VTT, TextGrid, ELAN or plain text.')
@click.option('--subtitles', is_flag=True, help='Use the subtitles inside or beside the recording.')
@click.option('--resume', is_flag=True, help='Go on with a run that was interrupted.')
def analyze(paths: Sequence[Path], out: Path | None, as_json: bool, resume: bool, **chosen: Any) -> None:
    """Analyze recordings: video, sound or pictures; files or whole folders."""
    from affekt.analysis.batch import gather

    files = gather(paths)
    title = paths[0].stem if len(paths) == 1 else f'{len(files)}-files'
    outcomes = _analyze_to(files, out or _run_folder(title, resume), as_json, resume, chosen)
    sys.exit(2 if any(outcome.error for outcome in outcomes) else 0)


@main.command()
@_analysis_options
@click.option('--silent', is_flag=True, help='The face alone, without the joined speech.')
def demo(out: Path | None, as_json: bool, silent: bool, **chosen: Any) -> None:
    """Analyze a real talking face; everything that is needed is fetched."""
    from affekt.demo import DISCLOSURE, demo_clip

    console = Console(stderr=True)
    folder = out or _run_folder('demo', False)
    _fetch(_needed_models(chosen), console)
    clip = demo_clip(folder.parent / 'demo_clip', silent=silent)
    _analyze_to([clip], folder, as_json, False, chosen, () if silent else (DISCLOSURE,))


@main.command()
@click.argument('run', type=click.Path(path_type=Path))
@click.option('--to', 'kind', required=True, metavar='FORMAT', help='parquet, csv, eaf, textgrid, vtt or json.')
@click.option('--out', type=click.Path(path_type=Path), help='Folder for the files; the run folder without it.')
def export(run: Path, kind: str, out: Path | None) -> None:
    """Write a run's timelines for other programs."""
    from affekt.analysis.batch import export_run

    for path in export_run(run, kind, out):
        click.echo(path)


@main.command()
@click.argument('file', type=click.Path(path_type=Path))
@click.option('--ties', default='half', metavar='MODEL', help='half (default), davidson or rao-kupper.')
@click.option('--control', multiple=True, metavar='NAME', help='Take out what length, or left_NAME/right_NAME, adds.')
@click.option('--order', is_flag=True, help='Take out what being shown first adds.')
@click.option('--prior', type=float, metavar='SD', help='A Gaussian prior on log-odds, for thin data; 1.0 is usual.')
@click.option('--cluster', metavar='BY', help='sample, rater, both or none; by default those that repeat.')
@click.option('--intervals', default='profile', metavar='KIND', help='profile (default), sandwich or bootstrap.')
@click.option('--level', type=float, default=0.95, metavar='SHARE', help='Coverage of the intervals (0.95).')
@click.option('--seed', type=int, default=0, metavar='N', help='Of bootstrap and places (0).')
@click.option('--json', 'as_json', is_flag=True, help='Print one JSON object and nothing else.')
def rank(file: Path, as_json: bool, cluster: str | None, **chosen: Any) -> None:
    """Rank items by who beat whom: a leaderboard with intervals from a csv, tsv,
    jsonl, json or parquet file.

    \b
    left,right,outcome[,sample,rater,order,weight]    outcome: left, right, tie
    model_a,model_b,winner                            arena
    name,a1,a2,preference,model1,model2               EmoPrefer
    """
    from affekt.ranking.leaderboard import ranked_file
    from affekt.terminal import leaderboard

    ranking, source = ranked_file(file, cluster=cluster, **chosen)
    if as_json:
        click.echo(json.dumps({**source, **ranking.to_dict()}))
    else:
        Console(width=min(Console().width, 80)).print(leaderboard(ranking))


@main.command()
@click.option('--thorough', is_flag=True, help='Hash every byte of the model files again.')
@click.option('--json', 'as_json', is_flag=True, help='Print one JSON object and nothing else.')
def doctor(thorough: bool, as_json: bool) -> None:
    """What is installed, which model files are verified, what extras would add."""
    from affekt.doctor import examine, is_healthy

    facts = examine(thorough=thorough)
    if as_json:
        click.echo(json.dumps({**facts, 'healthy': is_healthy(facts)}))
    else:
        console = Console(width=min(Console().width, 100))
        for rows in facts.values():
            console.print(facts_table(rows))
            console.print()
        healthy = 'Everything needed is here.' if is_healthy(facts) else 'Something needed is missing or damaged.'
        console.print(healthy, 'Model files that are missing are fetched when they are first used.')
    sys.exit(0 if is_healthy(facts) else 2)


@main.command()
def notice() -> None:
    """A text for the people who are to be analyzed."""
    from affekt.analysis import NOTICE

    click.echo(NOTICE)


@main.group()
def weights() -> None:
    """The model files: list, get, verify."""


@weights.command('list')
@click.option('--json', 'as_json', is_flag=True, help='Print one JSON object and nothing else.')
def list_weights(as_json: bool) -> None:
    """Every model file with its licence, size and state."""
    from affekt.weights import MODELS, state

    rows = [
        {
            'model': model.name,
            'state': state(model),
            'size': f'{model.size / 1e6:.1f} MB',
            'licence': model.licence,
        }
        for model in MODELS.values()
    ]
    if as_json:
        more = {
            model.name: {'for': model.role, 'sha256': {part.filename: part.sha256 for part in model.parts}}
            for model in MODELS.values()
        }
        click.echo(json.dumps([row | more[row['model']] for row in rows]))
    else:
        Console().print(facts_table(rows))


@weights.command('get')
@click.argument('names', nargs=-1)
@click.option('--all', 'everything', is_flag=True, help='Every model file, those of the demo included.')
def get_weights(names: Sequence[str], everything: bool) -> None:
    """Fetch model files by name; those that an analysis needs, without a name."""
    from affekt.weights import MODELS

    chosen = list(MODELS) if everything else list(names) or _needed_models({})
    _fetch(chosen, Console(stderr=True))


@weights.command('verify')
def verify_weights() -> None:
    """Hash every byte of the model files that are here."""
    from affekt.weights import MODELS, state

    rows = [{'model': model.name, 'state': state(model, thorough=True)} for model in MODELS.values()]
    Console().print(facts_table(rows))
    sys.exit(2 if any(row['state'] == 'damaged' for row in rows) else 0)


def _analyze_to(
    files: Sequence[Path],
    out: Path,
    as_json: bool,
    resume: bool,
    chosen: Mapping[str, Any],
    notes: tuple[str, ...] = (),
) -> list[Outcome]:
    """Analyze, show how it goes, and print what came out."""
    from affekt.analysis.batch import analyze_many

    settings = _settings(chosen)
    console = Console(stderr=True, quiet=as_json)
    _fetch(_needed_models(chosen), console)
    with StageBars(console) as bars:
        outcomes = analyze_many(
            files, out, settings, resume=resume, notes=notes, progress=bars, advanced=bars.next_file
        )
    for outcome in outcomes:
        if outcome.error:
            console.print()
            console.print(Text(outcome.path.name, style='bold'))
            show_error(Console(stderr=True), outcome.error)
    if as_json:
        click.echo(json.dumps({'run': str(out), 'files': [_as_json(outcome) for outcome in outcomes]}))
    else:
        _print_outcomes(outcomes, out)
    return outcomes


def _print_outcomes(outcomes: Sequence[Outcome], out: Path) -> None:
    """The table of people and the report's path for each of a few files; of many files one line each."""
    console = Console(width=min(Console().width, 80))
    for outcome in outcomes:
        if outcome.folder is None:
            continue
        report = outcome.folder / 'report.html'
        if len(outcomes) > 3:
            console.print(Text(f'{outcome.path.name}: {report}'), soft_wrap=True)
            continue
        analysis = outcome.load()
        console.print()
        console.print(people_table(analysis))
        for note in analysis.source.notes:
            console.print(Text(note, style='yellow'))
        console.print()
        console.print(Text(f'report {report}'), soft_wrap=True)
    if len(outcomes) > 1:
        failed = sum(outcome.error is not None for outcome in outcomes)
        console.print(Text(f'{len(outcomes) - failed} files analyzed, {failed} failed; run folder {out}'))


def _as_json(outcome: Outcome) -> dict[str, Any]:
    if outcome.folder is None:
        return {'input': str(outcome.path), 'error': str(outcome.error)}
    held = {'input': str(outcome.path), 'report': str(outcome.folder / 'report.html')}
    return {**held, **outcome.load().summary()}


def _settings(chosen: Mapping[str, Any]) -> Any:
    from affekt.analysis import AnalysisSettings

    given = {key: value for key, value in chosen.items() if value is not None and key != 'no_frames'}
    if transcript := given.get('transcript'):
        given['transcript'] = str(transcript)
    return AnalysisSettings(keep_frames=not chosen.get('no_frames', False), **given)


def _needed_models(chosen: Mapping[str, Any]) -> list[str]:
    from affekt.analysis import models_needed

    return list(models_needed(_settings(chosen)))


def _fetch(names: Sequence[str], console: Console) -> None:
    """Fetch what is missing, under a bar."""
    from affekt.weights import lookup, model_path, state

    missing = [name for name in names if state(lookup(name)) != 'verified']
    if missing:
        with StageBars(console, name_width=24, bar_width=28) as bars:
            for name in missing:
                model_path(name, bars)
                bars(name, 1, 1)


def _run_folder(title: str, resume: bool) -> Path:
    """A new folder named by title and time; to resume, the newest one of that title."""
    earlier = sorted(RUNS.glob(f'{title}-*/settings.json'))
    if resume and earlier:
        return earlier[-1].parent
    return RUNS / f'{title}-{time.strftime("%Y%m%d-%H%M%S")}'


if __name__ == '__main__':
    main()
