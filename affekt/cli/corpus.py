"""Verbs of corpora: corpus list, import, make, vocals, check, folds, show."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from affekt.cli.choices import SEED, Named, columns, corpora, leaks, reasons
from affekt.cli.group import AS_JSON, main, table_notes
from affekt.cli.installation import say_unusable
from affekt.cli.reenact import asked_cast, asked_speech, cast_options
from affekt.cli.views import frame_counts, sample_counts
from affekt.errors import UnknownNameError, listed
from affekt.terminal import StageBars, columns_table, say, say_json, visible
from affekt.wording import counted, subject

if TYPE_CHECKING:
    from affekt.corpora import CorpusCheck, DescriptionCheck, FrameCheck, Manifest
    from affekt.frames import FrameTable
    from affekt.reenactment import PortraitCast
    from affekt.voice import BorrowedSpeech

PATH = click.Path(path_type=Path)


@main.group()
def corpus() -> None:
    """Import a corpus as one manifest, check and inspect it."""


@corpus.command('list')
@AS_JSON
def list_corpora(as_json: bool) -> None:
    """List the corpora that can be imported; --json adds where to get them."""
    from affekt.corpora import CORPORA

    if as_json:
        rows = {
            name: {
                'title': entry.title, 'language': entry.language, 'published': entry.published,
                'categories': entry.categories, 'layouts': [layout.version for layout in entry.layouts],
                'source': entry.source, 'cite': entry.cite,
            }
            for name, entry in CORPORA.items()
        }  # fmt: skip
        say_json(rows)
        return
    table = columns_table(
        ('name', 'left'), ('corpus', 'left'), ('samples', 'right'), ('labels', 'left'), ('language', 'left')
    )
    for name, entry in CORPORA.items():
        numbers = f'{len(entry.ranges)} dimensions' if len(entry.ranges) > 1 else ', '.join(entry.ranges)
        fallback = 'by frame' if entry.by_frame else 'any'
        labels = f'{len(entry.categories)} categories' if entry.categories else numbers or fallback
        size = sum(entry.published.values())
        table.add_row(name, entry.title, f'{size:,}' if size else '', labels, entry.language)
    say(table)
    say_unusable(CORPORA.listed())


def _require_no_part_of(folder: Path, out: Path) -> None:
    """Checks that an output replaces no file of a release, such as its labels; a manifest of before may be replaced."""
    from affekt.corpora import Manifest
    from affekt.errors import TableError
    from affekt.files import require_own_output

    if out.is_file() and out.resolve().is_relative_to(folder.resolve()):
        try:
            Manifest.load(out)
        except TableError:
            require_own_output(out, (out,))


@corpus.command('import')
@click.argument('name', type=Named(corpora), metavar='NAME')
@click.argument('folder', type=PATH)
@click.option('--out', required=True, type=PATH, help='Manifest to write (.parquet).')
@click.option(
    '--leave-out', multiple=True, type=Named(reasons), metavar='REASON',
    help='Reason to leave samples of a corpus of descriptions out. Repeatable.',
)  # fmt: skip
@AS_JSON
def import_command(name: str, folder: Path, out: Path, leave_out: Sequence[str], as_json: bool) -> None:
    """Write the manifest of corpus NAME from its release in FOLDER.

    \b
    affekt corpus import meld MELD.Raw --out meld.parquet
    affekt corpus import folder my_clips --out mine.parquet

    FOLDER may be the parent of the release, and each archive may be in a folder of its own. Missing parts are reported;
    the rest can still be used.

    \b
    NAME `folder` reads your own FOLDER/samples.csv (or labels.csv,
    metadata.csv; .tsv, .jsonl, .json, .parquet, .xlsx). The columns are these,
    and only the first is needed:
      sample      the clip's name or path (or: name, id, file, filename, path,
                  file_id, clip)
      category    one label (or: emotion, label, discrete)
      text        what is said (or: transcript, utterance); chinese, english
      valence, arousal, dominance, sentiment    numbers
      speaker     (or: actor, subject, speaker_id, actor_id, subject_id,
                  participant); dialogue, session, recording
      start_s, end_s    the segment of a longer file (or: start, end)
      split       train, val, test; fold: a whole number
      video, audio, frames    paths, if the name does not give them
      description    in free words (or: reason); chinese_description;
                  openset: a list of labels in free words

    NAME `affwild2` and `affwild2-mtl` are labelled frame by frame: their labels
    go to a table beside the manifest, such as affwild2.frames.parquet.
    """
    from affekt.corpora import check_corpus, fit_to_learn, frames_path, import_with_frames

    _require_no_part_of(folder, out)
    with table_notes() as notes:
        manifest, frames = import_with_frames(name, folder)
    if leave_out:
        manifest = fit_to_learn(manifest, leave_out)
    manifest.save(out)
    if frames is not None:
        frames.save(frames_path(out))
    check = check_corpus(manifest, frames=frames)
    if as_json:
        answer = check.to_dict(manifest)
        say_json({'out': str(out), **answer, 'notes': [*answer['notes'], *notes]})
        return
    say(f'{out}: {manifest.facts.corpus}, {counted(len(manifest), "sample")} ({manifest.facts.version})')
    _print_presence(check)
    if check.frames is not None:
        say(f'{frames_path(out)}: labels by frame')
        _print_frame_check(check.frames)
    if check.descriptions is not None:
        _print_descriptions(check.descriptions)
    _print_notes(manifest.facts.notes)


@corpus.command('make')
@click.argument('name', type=Named(('faces', 'affwild2')), metavar='faces|affwild2')
@click.option('--out', required=True, type=PATH, help='New folder for videos and their truth.')
@click.option(
    '--clips', '--videos', 'clips', type=click.IntRange(1), help='Number of clips (default 100; affwild2: 40).'
)
@click.option('--people', type=click.IntRange(1), help='Number of people in faces (default: one per five clips).')
@click.option('--seconds', type=float, help='Length of a clip (default 2.56; affwild2: 20).')
@click.option('--fps', 'rate_hz', type=float, default=25.0, help='Frames per second (default 25).')
@click.option('--size', type=int, default=160, help='Height and width in pixels (default 160).')
@click.option('--noise', type=float, help='Standard deviation of rater noise in affwild2 (default 0.05).')
@click.option('--delay', 'delay_s', type=float, help='Rater delay in seconds in affwild2 (default 0).')
@click.option('--seed', type=SEED, default=0, help='Random seed (default 0).')
@click.option('--processes', type=click.IntRange(1, 256), default=1, help='Number of rendering processes (default 1).')
@click.option('--resume', is_flag=True, help='Continue an interrupted run.')
@cast_options
@AS_JSON
def make(
    name: str, out: Path, clips: int | None, people: int | None, noise: float | None, delay_s: float | None,
    processes: int, resume: bool, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Render synthetic faces with known expressions, pose and emotion.

    \b
    affekt corpus make faces --out faces --clips 1000
    affekt corpus make faces --out long --clips 2 --seconds 60 --size 256
    affekt corpus make affwild2 --out abaw
    affekt corpus make affwild2 --out abaw --portraits faces --portrayed agreed

    The people are computer graphics. They show emotions, speak, blink and look about. faces: one emotion per clip;
    manifest.parquet has a row per clip, curves.parquet a row per frame. affwild2: longer videos with audio (tones
    instead of speech), one emotion after another, annotated by frame in the official layout of ABAW6; the true labels
    of the test videos and all true curves are in key/. Each person is in one split only; the same seed gives the same
    files.

    With --portraits, affwild2 shows real faces animated by software: every video says so in the image
    and in a signed manifest, with your statement on the people. With --speech, recorded speech replaces the
    tones, and its pitch and level follow arousal.
    """
    if name == 'faces':
        _refuse(name, {'--portraits': options['portraits'], '--speech': options['speech']}, 'affwild2')
    cast, speech = asked_cast(options, options['size']), asked_speech(options)
    settings = {key: value for key, value in options.items() if value is not None}
    if name == 'faces':
        _refuse(name, {'--noise': noise, '--delay': delay_s}, 'affwild2')
        answer, sentence = _make_faces(out, clips or 100, people, processes, resume, settings)
    else:
        _refuse(name, {'--people': people}, 'faces')
        settings |= {key: value for key, value in (('noise', noise), ('delay_s', delay_s)) if value is not None}
        answer, sentence = _make_affwild2(out, clips or 40, cast, speech, processes, resume, settings)
    if as_json:
        say_json({'out': str(out), **answer})
    else:
        say(f'{out}: {sentence}')


@corpus.command()
@click.argument('path', metavar='MANIFEST', type=PATH)
@click.option('--out', required=True, type=PATH, help='Manifest to write; the audio goes to OUT.vocals.')
@AS_JSON
def vocals(path: Path, out: Path, as_json: bool) -> None:
    """Separate voices from music, once for all audio recipes.

    \b
    affekt corpus vocals affwild2.parquet --out affwild2_vocals.parquet

    Needs demucs (pip install 'demucs>=4.1'). The new manifest names the separated audio.
    """
    from affekt.clips import with_vocals
    from affekt.corpora import Manifest, copy_frames

    folder = out.with_suffix('.vocals')
    with StageBars(name_width=9) as bars:
        separated = with_vocals(Manifest.load(path), folder, progress=bars)
    separated.save(out)
    copy_frames(path, out)
    if as_json:
        say_json({'out': str(out), 'samples': len(separated), 'sounds': str(folder)})
    else:
        say(f'{out}: {counted(len(separated), "sample")}, voices alone in {folder}')


def _refuse(name: str, options: Mapping[str, Any], corpus_with: str) -> None:
    if misplaced := [option for option, value in options.items() if value is not None]:
        raise UnknownNameError(
            expected=f'options of {name}', came=listed(misplaced), todo=f'leave it out; it is one of {corpus_with}'
        )


def _make_faces(
    out: Path, clips: int, people: int | None, processes: int, resume: bool, options: Mapping[str, Any]
) -> tuple[dict[str, Any], str]:
    from affekt.corpora import FaceCorpus, made_up_face_corpus

    settings = FaceCorpus(clips, people or max(1, clips // 5), **options)
    with StageBars(name_width=9) as bars:
        manifest = made_up_face_corpus(out, settings, processes=processes, resume=resume, progress=bars)
    size = f'{counted(len(manifest), "clip")} of {counted(settings.people, "person", "people")}'
    answer = {'samples': len(manifest), 'people': settings.people, 'splits': manifest.facts.published}
    return answer, f'{size} (faces), frame by frame in curves.parquet'


def _make_affwild2(
    out: Path,
    videos: int,
    cast: PortraitCast | None,
    speech: BorrowedSpeech | None,
    processes: int,
    resume: bool,
    options: Mapping[str, Any],
) -> tuple[dict[str, Any], str]:
    from affekt.corpora import AffWild2Settings, made_up_affwild2

    settings = AffWild2Settings(videos, **options)
    with StageBars(name_width=9) as bars:
        parts = made_up_affwild2(
            out, settings, cast=cast, speech=speech, processes=processes, resume=resume, progress=bars
        )
    splits = dict(Counter(settings.split(part.number) for part in parts))
    frames = sum(len(part.times_s) for part in parts)
    answer: dict[str, Any] = {'videos': videos, 'annotations': len(parts), 'frames': frames, 'splits': splits}
    if cast is not None:
        answer |= {'portraits': [path.name for path in cast.portraits], 'not_taken': dict(cast.left_out)}
    size = f'{counted(videos, "video")} of {counted(len(parts), "person", "people")}, {frames:,} annotated frames'
    return answer, f'{size} (affwild2); answers of the test videos and all curves in key'


@corpus.command()
@click.argument('path', metavar='MANIFEST', type=PATH)
@click.option('--root', type=PATH, help='Folder that the media are in now, if they moved.')
@click.option(
    '--by', type=Named(('split', 'fold')), help='Sides to compare (default: splits, or folds if there are none).'
)
@click.option('--accept', multiple=True, type=Named(leaks), help='Known leak that does not fail the check. Repeatable.')
@AS_JSON
def check(path: Path, root: Path | None, by: str | None, accept: Sequence[str], as_json: bool) -> None:
    """Check files, counts and leaks of a MANIFEST.

    Exits with 1 if a speaker, a dialogue or an overlapping window (with labels by frame also a recording) is on both
    sides and was not accepted, if files are missing, empty or not fetched by Git LFS, or if there are labels for frames
    that a video does not have.
    """
    from affekt.corpora import Manifest, check_corpus

    manifest = Manifest.load(path, root)
    frames = _frames_beside(path)
    sides = ['' if value is None else str(value) for value in manifest.column(by)] if by else None
    checked = check_corpus(manifest, sides, frames)
    frame_faults = () if checked.frames is None else (*checked.frames.longer, *checked.frames.unknown)
    shared_recordings = () if checked.frames is None or by == 'fold' or 'recording' in accept else checked.frames.shared
    has_faults = checked.harmful(accept) or checked.gone or frame_faults or shared_recordings
    if as_json:
        say_json(checked.to_dict(manifest))
    else:
        _print_check(manifest, checked, accept)
    if shared_recordings and not as_json:
        say(
            'A recording on both sides cannot be benchmarked as it is: affekt bench abaw --leave-out-shared does not '
            'train on it. Or move its annotations to one partition, and import the corpus again.',
            style='yellow',
        )
    if has_faults:
        click.get_current_context().exit(1)


@corpus.command()
@click.argument('path', metavar='MANIFEST', type=PATH)
@click.option('--count', type=click.IntRange(2), default=5, help='Number of folds (default 5).')
@click.option('--seed', type=SEED, default=0, help='Random seed of the order of equal groups (default 0).')
@click.option(
    '--by',
    multiple=True,
    type=Named(columns),
    metavar='COLUMN',
    help='Column that must not cross folds (default speaker). Repeatable.',
)
@click.option('--out', required=True, type=PATH, help='Manifest to write (.parquet).')
@AS_JSON
def folds(path: Path, count: int, seed: int, by: Sequence[str], out: Path, as_json: bool) -> None:
    """Divide a MANIFEST into seeded folds that no speaker crosses."""
    from affekt.corpora import Manifest, copy_frames, seeded_folds, with_folds

    manifest, by = Manifest.load(path), by or ('speaker',)
    fold_numbers = seeded_folds(manifest, count, seed=seed, independent_of=by)
    note = f'{count} folds of seed {seed}, independent by {" and ".join(by)}'
    with_folds(manifest, fold_numbers, note).save(out)
    copy_frames(path, out)
    sizes = [int((fold_numbers == fold).sum()) for fold in range(1, count + 1)]
    if as_json:
        say_json({'out': str(out), 'sizes': sizes, 'note': note})
    else:
        say(f'{out}: {note}; {", ".join(f"{size:,}" for size in sizes)} samples')


@corpus.command()
@click.argument('path', metavar='MANIFEST', type=PATH)
@click.option('--samples', type=click.IntRange(0, 1000), default=3, help='Rows to print (default 3).')
@AS_JSON
def show(path: Path, samples: int, as_json: bool) -> None:
    """Show a MANIFEST: counts by split and category, ranges, first rows."""
    from affekt.corpora import Manifest, sides_of

    manifest = Manifest.load(path)
    if as_json:
        rows = [dataclasses.asdict(row) for row in manifest.samples[:samples]]
        by_frame = {} if (frames := _frames_beside(path)) is None else {'frames': frames.counts()}
        say_json({**dataclasses.asdict(manifest.facts), 'samples': len(manifest), 'rows': rows, **by_frame})
        return
    facts = manifest.facts
    headline_parts = [facts.corpus, f'{counted(len(manifest), "sample")}', facts.language, facts.version]
    say(', '.join(part for part in headline_parts if part), style='bold')
    sides = sides_of(manifest)
    if any(side.startswith('fold ') for side in sides):
        say('by fold', style='dim')
    say(sample_counts(manifest, sides))
    if (frames := _frames_beside(path)) is not None:
        say()
        say(frame_counts(frames))
    _print_numbers(manifest)
    _print_rows(manifest, samples)


def _print_presence(checked: CorpusCheck) -> None:
    table = columns_table(('', 'left'), ('samples', 'right'), ('', 'left'))
    for modality, count in checked.present.items():
        lost = len(checked.gone.get(modality, ()))
        in_video = modality == 'audio' and checked.sound_in_video
        files = f'{counted(lost, "file")} {"is" if lost == 1 else "are"}'
        remark = (
            'read from the videos'
            if count == lost and in_video
            else 'none: what needs it cannot run'
            if count == lost
            else f'{files} missing, empty or not fetched by Git LFS: {listed(checked.gone[modality], 2)}'
            if lost
            else ''
        )
        if not lost and 0 < count < checked.samples:
            remark = f'{checked.samples - count:,} without' + (': read from the videos' if in_video else '')
        table.add_row(modality, f'{count - lost:,}', remark)
    say(table)


def _print_notes(notes: Sequence[str], most: int = 8) -> None:
    for note in notes[:most]:
        say(f'note: {note}', style='yellow')
    if len(notes) > most:
        say(f'and {len(notes) - most} notes more (--json has all)', style='yellow')


def _frames_beside(path: Path) -> FrameTable | None:
    """The table of labels by frame beside a manifest; None if there is none."""
    from affekt.corpora import frames_path
    from affekt.frames import FrameTable

    labels_path = frames_path(path)
    return FrameTable.load(labels_path) if labels_path.exists() else None


def _print_frame_check(checked: FrameCheck, most: int = 8) -> None:
    from affekt.frames import TASK_NAMES

    labelled = ', '.join(f'{TASK_NAMES[task]} {count:,}' for task, count in checked.labelled.items())
    say(f'{checked.frames:,} frames of {counted(checked.videos, "video")}; with a label: {labelled or "none"}')
    if checked.uncropped:
        say(f'{counted(checked.uncropped, "labelled frame")} without a face image')
    for fault in checked.faults[:most]:
        say(fault, style='yellow')
    if len(checked.faults) > most:
        say(f'and {len(checked.faults) - most} more (--json has all)', style='yellow')


def _print_descriptions(checked: DescriptionCheck) -> None:
    """Prints the counts of descriptions and labels, and of samples for each reason to leave them out."""
    from affekt.corpora import REASONS

    fewest, mean, most = checked.characters
    sizes = f', {fewest:,} to {most:,} characters, mean {mean:,.0f}' if checked.descriptions else ''
    say(f'{counted(checked.descriptions, "description")}{sizes}')
    say(
        f'{counted(checked.labels, "label")} of {counted(checked.label_lists, "sample")}, '
        f'{checked.different_labels:,} different'
    )
    if checked.reasons:
        table = columns_table(('reason to leave out', 'left'), ('samples', 'right'), ('', 'left'))
        for reason, names in checked.reasons.items():
            table.add_row(reason, f'{len(names):,}', REASONS[reason])
        say(table)


def _print_check(manifest: Manifest, checked: CorpusCheck, accepted: Sequence[str]) -> None:
    from affekt.corpora.checks import TRUSTED
    from affekt.corpora.leaks import KINDS

    say(f'{manifest.facts.corpus}, {counted(checked.samples, "sample")}', style='bold')
    _print_presence(checked)
    if checked.frames is not None:
        _print_frame_check(checked.frames)
    if checked.descriptions is not None:
        _print_descriptions(checked.descriptions)
    _print_notes(manifest.facts.notes)
    if checked.unlabelled:
        say(f'{subject(checked.unlabelled, "sample", "has", "have")} no label')
    say()
    table = columns_table(
        ('on both sides', 'left'), ('how many', 'right'), ('samples', 'right'), ('for example', 'left')
    )
    for kind in KINDS:
        leaks = [leak for leak in checked.leaks if leak.kind == kind]
        if kind in checked.unchecked:
            table.add_row(kind, '', '', Text('not checked: the release does not say', style='dim'))
            continue
        style = 'red' if leaks and kind in TRUSTED and kind not in accepted else ''
        example = f'{leaks[0].what} ({", ".join(leaks[0].sides)})' if leaks else ''
        sample_count = sum(leak.samples for leak in leaks)
        table.add_row(Text(kind, style=style), f'{len(leaks):,}', f'{sample_count:,}' if leaks else '', example)
    say(table)


def _print_numbers(manifest: Manifest) -> None:
    import numpy as np

    table = columns_table(
        ('', 'left'), ('rated', 'right'), ('mean', 'right'), ('sd', 'right'), ('from', 'right'), ('to', 'right')
    )
    for name in ('valence', 'arousal', 'dominance', 'sentiment'):
        values = manifest.column(name)
        values = values[~np.isnan(values)]
        if len(values):
            summary = (values.mean(), values.std(), values.min(), values.max())
            table.add_row(name, f'{len(values):,}', *(f'{value:z.2f}' for value in summary))
    if table.row_count:
        say()
        say(table)


def _print_rows(manifest: Manifest, count: int) -> None:
    for row in manifest.samples[:count]:
        say()
        say(row.sample, style='bold')
        cells = {key: value for key, value in dataclasses.asdict(row).items() if value is not None and key != 'sample'}
        if cells.get('english') == cells.get('text') or cells.get('chinese') == cells.get('text'):
            cells = {key: value for key, value in cells.items() if key == 'text' or value != cells.get('text')}
        for key, value in cells.items():
            say(Text(visible(f'  {key:<10}{value}', is_line=True), overflow='ellipsis', no_wrap=True))
