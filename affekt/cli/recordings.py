"""Verbs on recordings: analyze, people, demo, export, report, verify."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Group
from rich.text import Text

from affekt.cli.choices import Named, exports, licenses, recognisers
from affekt.cli.group import AS_JSON, Command, end_with, main
from affekt.cli.installation import fetch
from affekt.cli.views import described_lines, people_table
from affekt.terminal import StageBars, say, say_json, show_error
from affekt.wording import counted, subject

if TYPE_CHECKING:
    from affekt.analysis import Analysis
    from affekt.batch import Batch, ChangedPeople, Outcome, Written

RUNS = Path('affekt_runs')
"""Default folder of runs."""
MOST_TABLES = 3
"""Maximum number of files whose people are shown; for more, only the paths."""
LINES_OF_LOSS = 2
"""Maximum number of sentences on a file's losses in a list of many files."""


def _analysis_options(command: Command) -> Command:
    """The options that `analyze` and `demo` share."""
    options = [
        click.option(
            '--out', type=click.Path(path_type=Path), help='Run folder (default: a new one under affekt_runs).'
        ),
        click.option('--fps', type=float, help='Frames analyzed per second of video (default 12.5).'),
        click.option('--max-people', type=int, help='Faces tracked at once (default 5).'),
        click.option(
            '--asr',
            type=Named(recognisers, others='PATH'),
            help='Speech recognition: tiny.en (default, English), base (99 languages), none, or a path.',
        ),
        click.option('--purpose', metavar='TEXT', help='Purpose of the analysis; recorded with the results.'),
        click.option('--no-frames', is_flag=True, help='Keep only numbers and words: no images, no video.'),
        click.option(
            '--license', type=Named(licenses), help='Licence of the models: research (default), or commercial-ok.'
        ),
        AS_JSON,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@click.argument('paths', nargs=-1, required=True, type=click.Path(path_type=Path))
@_analysis_options
@click.option(
    '--transcript', type=click.Path(path_type=Path), help='Transcript: SRT, VTT, TextGrid, ELAN or plain text.'
)
@click.option(
    '--encoding',
    metavar='NAME',
    help='Encoding of transcript or subtitles, such as gb18030 or cp1251 (default: recognised).',
)
@click.option('--subtitles', is_flag=True, help='Use the subtitles inside or beside the recording.')
@click.option(
    '--sound-stream', type=int, metavar='N', help="Audio stream, counted from 0 (default: the file's own default)."
)
@click.option('--describe', is_flag=True, help='Also describe people by a trained describer.')
@click.option('--describe-model', metavar='PATH|NAME', help='Describer: a folder, a checkpoint, or small (default).')
@click.option('--resume', is_flag=True, help='Continue an interrupted run.')
def analyze(paths: Sequence[Path], out: Path | None, as_json: bool, resume: bool, **options: Any) -> None:
    """Analyze recordings: video, audio or photographs; files or whole folders."""
    title = paths[0].absolute().resolve().stem if len(paths) == 1 else f'{len(paths)}-files'
    batch = _analyze_to(paths, out or run_folder(title, resume), as_json, resume, options)
    end_with(batch.failed)


@main.command()
@_analysis_options
@click.option('--silent', is_flag=True, help='Use the face only, without the added speech.')
def demo(out: Path | None, as_json: bool, silent: bool, **options: Any) -> None:
    """Analyze a short clip of a real person talking; needed files are downloaded."""
    from affekt.demo import DISCLOSURE, demo_clip

    folder = out or run_folder('demo', False)
    fetch_models(options)
    clip = demo_clip(folder.parent / 'demo_clip', silent=silent)
    _analyze_to([clip], folder, as_json, False, options, () if silent else (DISCLOSURE,))


@main.command()
@click.argument('run', type=click.Path(path_type=Path))
@click.option('--file', metavar='NAME', help='File of the run, if it has several.')
@click.option('--merge', nargs=2, multiple=True, metavar='A B', help='Person B is person A. Repeatable.')
@click.option('--name', 'names', nargs=2, multiple=True, metavar='PERSON NAME', help='Name of a person. Repeatable.')
@click.option('--reset', is_flag=True, help='Undo earlier merges and names.')
@AS_JSON
def people(
    run: Path,
    file: str | None,
    merge: Sequence[tuple[str, str]],
    names: Sequence[tuple[str, str]],
    reset: bool,
    as_json: bool,
) -> None:
    """Merge and rename the people of a run, in report and exports.

    \b
    affekt people study                             list the people
    affekt people study --merge 1 3 --name 1 "A."   1 and 3 are one, named A.
    affekt people study --file b.mp4 --name 2 "B."  in a run with several files
    affekt people study --reset                     as analyzed

    People are given by number or name; merges come before names. The results stay as analyzed: the changes are
    stored beside them and applied whenever they are read.
    """
    from affekt.batch import change_people
    from affekt.people import Change, Merge, Rename

    changes: list[Change] = [Merge(*pair) for pair in merge]
    changes += [Rename(*pair) for pair in names]
    changed = change_people(run, changes, file=file, reset=reset)
    if as_json:
        say_json(_changed_as_json(changed))
        return
    say(people_table(changed.analysis), columns=80)
    for page in changed.pages:
        say()
        say(f'report {page}')
    for remark in changed.remarks:
        say(f'{remark}.', err=True, style='yellow')


@main.command()
@click.argument('run', type=click.Path(path_type=Path))
@click.option('--to', required=True, type=Named(exports), help='Format to write.')
@click.option('--out', type=click.Path(path_type=Path), help='Folder for the files (default: the run folder).')
@click.option('--raw-csv', is_flag=True, help='Write texts like =1+1 unchanged, without an apostrophe in front.')
def export(run: Path, to: str, out: Path | None, raw_csv: bool) -> None:
    """Write a run's timelines for other programs."""
    from affekt.batch import export_run

    _say_written(export_run(run, to, out, raw_csv=raw_csv))


@main.command()
@click.argument('run', type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Write the reports of a run again, with recordings that are still in place."""
    from affekt.batch import report_run

    _say_written(report_run(run))


@main.command('verify')
@click.argument('path', metavar='FILE', type=click.Path(path_type=Path))
@click.option(
    '--trust',
    'trusted',
    type=click.Path(path_type=Path),
    metavar='PEM',
    help='Certificates of authorities that you trust.',
)
@AS_JSON
def verify_command(path: Path, trusted: Path | None, as_json: bool) -> None:
    """Check whether FILE is as signed, and show what made it.

    \b
    affekt verify out.mp4
    affekt verify still.png --trust university.pem --json

    The answer is one of: intact (exit code 0), changed, no manifest (exit
    code 2). A self-made signature of affekt shows that nothing was changed,
    not who signed: the signer is unknown unless covered by --trust.
    """
    from affekt.reenactment import verify

    verdict = verify(path, trusted)
    if as_json:
        say_json(asdict(verdict) | {'path': str(path), 'words': verdict.words})
    else:
        say(f'{path}: {verdict.words}', style='' if verdict.is_intact else 'bold red')
        for line in _manifest_lines(verdict):
            say(line)
    if not verdict.is_intact:
        click.get_current_context().exit(2)


def _manifest_lines(verdict: Any) -> list[str]:
    """The content of a manifest as lines."""
    lines = [f'reason: {verdict.reason}'] if verdict.reason else []
    if verdict.state == 'no manifest':
        return lines
    if verdict.made_by:
        source = f' ({verdict.source_type})' if verdict.source_type else ''
        lines.append(f'made by {verdict.made_by}{source}, signed as {verdict.signer or "nobody"}')
    stated = verdict.statement
    if not stated:
        return lines
    driver = stated.get('driver_sha256')
    lines.append(f'engine {stated.get("engine")}, portrait {str(stated.get("portrait_sha256"))[:12]}…')
    if driver:
        mouth = ', whose mouth is in the output' if stated.get('has_drivers_mouth') else ''
        lines.append(f'driver {str(driver)[:12]}…{mouth}')
    consent = stated['consent'] if isinstance(stated.get('consent'), Mapping) else {}
    lines.append(f'stated by the maker on {consent.get("stated_at", "")}: {consent.get("statement", "")}')
    if consent.get('note'):
        lines.append(f'note: {consent["note"]}')
    return lines


def _say_written(written: Written) -> None:
    """Prints the files on standard output, and remarks and errors on standard error."""
    for path in written:
        say(str(path))
    for remark in written.remarks:
        say(remark, err=True, style='yellow')
    for error in written.errors:
        show_error(error)
    end_with([*written.errors, *written.lacking])


def _analyze_to(
    paths: Sequence[Path],
    out: Path,
    as_json: bool,
    resume: bool,
    options: Mapping[str, Any],
    notes: tuple[str, ...] = (),
) -> Batch:
    """Analyze with progress, and print the results."""
    from affekt.batch import analyze_many, gather

    shown_parts: dict[Path, Any] = {}

    def keep_shown_part(outcome: Outcome | None, done: int, total: int) -> None:
        """Keeps of each analysis, which is large, only the part that is printed at the end."""
        bars.next_file(outcome, done, total)
        if outcome is not None and outcome.analysis is not None and (as_json or total <= MOST_TABLES):
            shown_parts[outcome.path] = _shown(outcome.analysis, as_json)

    settings = settings_of(options)
    gather(paths)  # missing paths are reported before models are fetched
    fetch_models(options)
    with StageBars() as bars:
        batch = analyze_many(paths, out, settings, resume=resume, notes=notes, progress=bars, advanced=keep_shown_part)
    for outcome in batch:
        if outcome.error is None:
            continue
        say(err=True)
        say(outcome.file or outcome.path.name, style='bold', err=True)
        show_error(outcome.error)
    if as_json:
        say_json(_as_json(batch, out, shown_parts))
    else:
        _print_outcomes(batch, out, shown_parts)
    return batch


def _shown(analysis: Analysis, as_json: bool) -> Any:
    return analysis.summary() if as_json else Group(people_table(analysis), *described_lines(analysis))


def _print_outcomes(batch: Batch, out: Path, tables: Mapping[Path, Any]) -> None:
    """Prints the table of people and the report's path of a few files, or one line per file and its losses for many."""
    incomplete = 0
    for outcome in batch.analyzed:
        losses = outcome.losses
        incomplete += bool(losses)
        if len(batch) > MOST_TABLES:
            say(f'{outcome.file}: {outcome.report_page}')
            for sentence in losses[:LINES_OF_LOSS]:
                say(f'  {sentence}', style='yellow')
            if further := len(losses[LINES_OF_LOSS:]):
                say(f'  and {further} more, in the report', style='yellow')
            continue
        table = tables.get(outcome.path) or _shown(outcome.load(), False)
        say()
        if len(batch) > 1:
            say(outcome.file, style='bold')
        say(table, columns=80)
        for note in outcome.notes:
            say(Text(note, style='yellow'), columns=80)
        say()
        say(f'report {outcome.report_page}')
    for outcome in batch.copies:
        say(f'{outcome.file}: the same content as {outcome.same_as}, so it counts once', style='yellow')
    for remark in batch.remarks:
        say(f'{remark}.', style='yellow')
    if batch.left_out:
        extensions = ', '.join(f'{number} {extension}' for extension, number in batch.left_out.items())
        say(f'left out, since affekt reads no such files: {extensions}', style='dim')
    if len(batch) > 1:
        copies = f', {len(batch.copies)} with the content of another' if batch.copies else ''
        earlier = sum(outcome.resumed for outcome in batch.analyzed)
        resumed_text = f', {earlier} of them before' if earlier else ''
        counts = f'{counted(len(batch.analyzed), "file")} analyzed{resumed_text}, {len(batch.failed)} failed{copies}'
        say(f'{counts}; run folder {out}')
    if incomplete and len(batch) > 1:
        say(f'{subject(incomplete, "file", "was", "were")} not read whole', style='yellow')


def _as_json(batch: Batch, out: Path, summaries: Mapping[Path, Any]) -> dict[str, Any]:
    return {
        'run': str(out),
        'files': [_file_as_json(outcome, summaries.get(outcome.path)) for outcome in batch],
        'left_out': dict(batch.left_out),
        'remarks': list(batch.remarks),
    }


def _file_as_json(outcome: Outcome, summary: Mapping[str, Any] | None) -> dict[str, Any]:
    """One input and its outcome as JSON values; without a summary its results are read from disk."""
    from affekt.analysis import parts_of
    from affekt.tables import storable

    identity: dict[str, Any] = {
        'input': storable(str(outcome.path)), 'file': outcome.file, 'parts': list(parts_of(outcome.file)),
        'sha256': outcome.sha256 or None,
    }  # fmt: skip
    if outcome.error is not None or outcome.folder is None:
        return {**identity, 'error': storable(str(outcome.error))}
    if outcome.same_as:
        return {**identity, 'same_as': outcome.same_as}
    return {**identity, 'report': str(outcome.report_page), **(summary or outcome.load().summary())}


def settings_of(options: Mapping[str, Any]) -> Any:
    """The settings of an analysis that options name; those that are None keep their defaults."""
    from affekt.analysis import AnalysisSettings

    fields = {key: value for key, value in options.items() if value is not None and key != 'no_frames'}
    if 'transcript' in fields:
        fields['transcript'] = str(fields['transcript'])
    return AnalysisSettings(keep_frames=not options.get('no_frames', False), **fields)


def fetch_models(options: Mapping[str, Any]) -> None:
    """Fetches the model files that an analysis with these options needs, and optional ones if available."""
    from affekt.analysis import models_wanted

    fetch(needed_models(options))
    fetch(models_wanted(settings_of(options)), required=False)


def needed_models(options: Mapping[str, Any]) -> list[str]:
    """The model files that an analysis with these options needs."""
    from affekt.analysis import models_needed

    return list(models_needed(settings_of(options)))


def run_folder(title: str, resume: bool) -> Path:
    """A new folder named by title and time; to resume, the newest one of that title."""
    is_run = re.compile(rf'{re.escape(title)}-\d{{8}}-\d{{6}}').fullmatch  # `talk-*` would take runs of talk-2 too
    earlier = sorted(path.parent for path in RUNS.glob('*/settings.json') if is_run(path.parent.name))
    if resume and earlier:
        return earlier[-1]
    return RUNS / f'{title}-{time.strftime("%Y%m%d-%H%M%S")}'


def _changed_as_json(changed: ChangedPeople) -> dict[str, Any]:
    from affekt.people import Merge

    return {
        'results': str(changed.folder),
        'file': changed.analysis.source.file or changed.analysis.source.name,
        'changes': [
            {'merge': [change.into, change.person]}
            if isinstance(change, Merge)
            else {'name': [change.person, change.name]}
            for change in changed.changes
        ],
        'report': [str(page) for page in changed.pages],
        'remarks': list(changed.remarks),
        'people': changed.analysis.summary()['people'],
    }
