"""Merging and renaming people in all results of one file of a run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from affekt.analysis import UNSEEN, Analysis
from affekt.analysis.results import results_that_count
from affekt.analysis.storage import MAIN_FILE
from affekt.batch.changed import RESERVED_NAMES, seconds_together, with_changes
from affekt.batch.exports import noted_results, page_of
from affekt.errors import RunError, UnknownNameError, did_you_mean, listed
from affekt.people import Change, Merge, exact, exact_changes, fitting, names_after, read_changes, write_changes
from affekt.tables import storable
from affekt.wording import clock, opened


@dataclass(frozen=True)
class ChangedPeople:
    """The people of a file after changes."""

    folder: Path
    """Folder of the results."""
    analysis: Analysis
    """The analysis with all changes."""
    changes: tuple[Change, ...]
    """All changes that are stored, earlier ones first."""
    pages: tuple[Path, ...] = ()
    """Pages that were written again."""
    remarks: tuple[str, ...] = ()
    """Sentences on what the user should know."""


def change_people(
    run: Path, changes: Sequence[Change] = (), *, file: str | None = None, reset: bool = False
) -> ChangedPeople:
    """Merges and renames people; the page is rewritten, and later exports include the changes.

    1. Find and lock the file's results. 2. Determine all names. 3. Store the changes. 4. Write the page again.

    Args:
        run: folder of a run, or of one of its files.
        changes: changes in order, after earlier ones; without any, nothing is written.
        file: file of a run with several: its path in the run, or its name alone.
        reset: remove earlier changes first.

    Raises:
        UnknownNameError: the file or a person does not exist.
        ValueRangeError: a person is merged with itself, or a name is taken or not allowed.
        RunError: there are no finished results, they are damaged, or another process is writing the run.
    """
    # 1.
    folder = _results_of(run, file)
    if not (changes or reset):
        return ChangedPeople(folder, Analysis.load(folder), read_changes(folder))
    with noted_results(folder) as (journal, note):
        # 2.
        analyzed = Analysis.load(folder, as_analyzed=True)
        everybody = [person.name for person in analyzed.lanes]
        with fitting(folder):
            earlier = () if reset else exact_changes(everybody, read_changes(folder), RESERVED_NAMES)
        all_changes, remarks = _all_changes(analyzed, earlier, changes)
        analysis = with_changes(analyzed, all_changes) if all_changes else analyzed
        # 3.
        write_changes(folder, all_changes)
        # 4.
        page, page_remarks = page_of(folder, journal, note)
    return ChangedPeople(folder, analysis, all_changes, (page,), (*remarks, *page_remarks))


def _all_changes(
    analyzed: Analysis, earlier: Sequence[Change], changes: Sequence[Change]
) -> tuple[tuple[Change, ...], list[str]]:
    """All changes, each with people by their exact names at that time, and remarks on merged people seen together."""
    everybody = [person.name for person in analyzed.lanes]
    all_changes, remarks = tuple(earlier), list[str]()
    for change in changes:
        exact_change = exact(change, names_after(everybody, all_changes), RESERVED_NAMES)
        if isinstance(exact_change, Merge):
            exact_change = _into_person(exact_change)
            remarks += _seen_together_remark(
                with_changes(analyzed, all_changes) if all_changes else analyzed, exact_change
            )
        all_changes = exact_changes(everybody, [*all_changes, exact_change], RESERVED_NAMES)
    return all_changes, remarks


def _results_of(run: Path, file: str | None) -> Path:
    """The folder of results of one file.

    Raises:
        UnknownNameError: the run has several files, and not exactly one of this name.
        RunError: it has no finished file.
    """
    if (run / MAIN_FILE).exists():
        return run
    notes = results_that_count(run).notes
    names = [storable(note.file) for note in notes]
    if not notes:
        raise RunError(
            expected='a run with a finished file', came=f'none in {run}', todo='analyze a recording into it first'
        )
    if file is None:
        if len(notes) == 1:
            return run / notes[0].folder
        raise UnknownNameError(
            expected=f'one of the files {listed(names)}', came='none named',
            todo=f'name one, such as --file {shlex.quote(names[0])}',
        )  # fmt: skip
    matching = [note for note in notes if file in (storable(note.file), note.folder)]
    matching = matching or [note for note in notes if storable(note.file).rsplit('/', 1)[-1] == file]
    if len(matching) != 1:
        came = repr(file) if not matching else f'{file!r}, the name of several'
        todo = did_you_mean(file, names) if not matching else 'give its path as listed'
        raise UnknownNameError(expected=f'one of the files {listed(names)}', came=came, todo=todo)
    return run / matching[0].folder


def _into_person(merge: Merge) -> Merge:
    """The merge with the lane of unseen speech merged into the person, never the reverse."""
    return Merge(merge.person, merge.into) if merge.into == UNSEEN else merge


def _seen_together_remark(analysis: Analysis, merge: Merge) -> list[str]:
    """A sentence if two merged people are on screen together."""
    seconds, first_s = seconds_together(analysis, merge.into, merge.person)
    if not seconds > 0:
        return []
    times = '' if analysis.source.kind == 'image' else f' for {seconds:.1f} s, first at {clock(first_s)}'
    return [
        f'{opened(merge.into)} and {merge.person} are on screen together{times}, so they look like two people; they '
        'were merged anyway, and --reset undoes it'
    ]
