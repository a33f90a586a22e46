"""Output on a terminal: one progress bar per stage, short tables, one red line for an error.

All text is printed by `say` without reading markup; control characters (in file names, answers of servers, names of
models) are shown as escapes. Progress bars go to standard error, so that standard output holds only results. Where
standard error is not a terminal, each stage prints one plain line when it is done.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from affekt.errors import AffektError
from affekt.typed_json import plain
from affekt.wording import length

if TYPE_CHECKING:
    from affekt.batch import Outcome

STAGES = ('probe', 'faces', 'voice', 'words', 'fuse')
"""Stages of an analysis in order."""
LINE_S = 30.0
"""Seconds between progress lines where no terminal shows bars."""
STEERING = re.compile(
    '[\x00-\x08\x0b-\x1f\x7f-\x9f'  # C0 but tab and newline, DEL, C1
    '\u200b\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f'  # invisible or reordering
    '\ud800-\udfff]'  # lone surrogates, which cannot be encoded
)
"""Control characters: they move the cursor, or colour, hide or reorder text on a terminal."""

Shown = str | Text | Table | Group
"""Types that `say` accepts."""


def visible(text: str, *, is_line: bool = False) -> str:
    """The text with every control character, as STEERING defines them, as an escape sequence.

    Args:
        text: text of any origin.
        is_line: show line breaks as escape sequences too.

    >>> print(visible('tone' + chr(27) + '[2J.wav'))
    tone\\x1b[2J.wav
    """
    escaped = STEERING.sub(_escaped, text)
    return escaped.replace('\n', '\\n') if is_line else escaped


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not valid UTF-8
        code -= 0xDC00
    return f'\\x{code:02x}' if code < 0x100 else f'\\u{code:04x}' if code < 0x10000 else f'\\U{code:08x}'


def say(*parts: Shown, err: bool = False, style: str = '', columns: int = 100, least: int = 0) -> None:
    """Print texts and tables; without parts, an empty line.

    Args:
        parts: texts and tables. A text is one line: its line breaks are shown as escapes, and it is never wrapped, so
            that a path can be copied. Tables fit the terminal.
        err: print to standard error.
        style: style of the texts, such as 'bold' or 'yellow'.
        columns: largest width of a table in columns.
        least: smallest width of a table, even where the terminal is narrower.
    """
    console = _console(err=err)
    console.width = max(min(console.width, columns), least)
    for part in parts or ('',):
        if isinstance(part, str):
            console.print(Text(visible(part, is_line=True), style=style), soft_wrap=True)
        else:
            console.print(_with_escapes(part))


def say_json(answer: Any, *, flush: bool = False) -> None:
    """Print a value as one line of JSON; nan and infinities become null.

    Args:
        answer: any value.
        flush: flush the output after the line.
    """
    print(json.dumps(plain(answer), allow_nan=False), flush=flush)


class _Console(Console):
    """A rich console that leaves a closed pipe to the caller; rich would exit the process."""

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError instead of exiting."""
        raise BrokenPipeError


def _console(*, err: bool) -> Console:
    stream = sys.stderr if err else sys.stdout
    with contextlib.suppress(AttributeError):  # characters that the stream cannot encode become escapes
        stream.reconfigure(errors='backslashreplace')  # type: ignore[union-attr]
    return _Console(stderr=err, markup=False, emoji=False, highlight=False)


def _with_escapes(part: Any) -> Any:
    """A part with control characters in all its texts escaped, before any width is measured; tables change in place.

    Raises:
        TypeError: it is not text, a table or a group of these.
    """
    if isinstance(part, str):
        return Text(visible(part))
    if isinstance(part, Text):
        return _visible_text(part)
    if isinstance(part, Group):
        return Group(*map(_with_escapes, part.renderables))
    if isinstance(part, Table):
        for column in part.columns:
            column.header, column._cells = _with_escapes(column.header), [*map(_with_escapes, column._cells)]
        part.title = _with_escapes(part.title) if part.title else None
        return part
    raise TypeError(f'say takes text, tables and groups of them, not {type(part).__name__}')


def _visible_text(text: Text) -> Text:
    """A styled text with control characters escaped and its styles in place."""
    positions = [match.start() for match in STEERING.finditer(text.plain)]
    if not positions:
        return text
    pieces = text.divide(sorted({edge for index in positions for edge in (index, index + 1)}))
    for piece in pieces:
        piece.plain = visible(piece.plain)
    return text.blank_copy().join(pieces)


class Screen:
    """Redraws one area of standard output; use as a context manager.

    Args:
        columns: largest width in columns.
    """

    def __init__(self, columns: int = 80) -> None:
        console = _console(err=False)
        console.width = min(console.width, columns)
        self.is_terminal = console.is_terminal
        """Whether standard output is a terminal; otherwise nothing is shown, and lines should be printed."""
        self._live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow='crop')

    def __enter__(self) -> Screen:
        if self.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, error_class: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.is_terminal:
            self._live.stop()

    def show(self, part: Shown) -> None:
        """Replace what is shown; control characters are escaped."""
        self._live.update(_with_escapes(part), refresh=True)


class StageBars:
    """Shows stages as progress bars that never run backwards; use as a context manager and call with each advance.

    With one file each stage has its bar; with several, one bar counts files and names the current stage. Without a
    terminal, a line is printed for each stage that is done and, every LINE_S seconds, for those in progress.
    """

    def __init__(self, *, name_width: int = 8, bar_width: int = 40, line_s: float = LINE_S) -> None:
        self._console = console = _console(err=True)
        self._bars = Progress(
            TextColumn('{task.description:<' + str(name_width) + '}', markup=False),
            BarColumn(bar_width=bar_width),
            TextColumn('{task.percentage:>3.0f} %', markup=False),
            TextColumn('{task.fields[note]}', style='dim', markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._shares: dict[str, float] = {}
        self._first_reports: dict[str, tuple[float, float]] = {}
        """Stage to the time and share of its first report; the share of a resumed stage does not begin at 0."""
        self._start_s = time.monotonic()
        self._files = 1
        self._current_stage = ''
        """Stage of the current file with its share; '' between files."""
        self._line_s = line_s
        self._stopped = threading.Event()

    def __enter__(self) -> StageBars:
        self._start_s = time.monotonic()
        self._bars.start()
        if not self._console.is_terminal:
            threading.Thread(target=self._say_regularly, daemon=True).start()
        return self

    def __exit__(
        self, error_class: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._bars.stop()

    def __call__(self, stage: str, done: float, total: float) -> None:
        """Set the progress of `stage` to `done` of `total`, in any unit; a lower value than before is ignored."""
        share = 1.0 if total <= 0 else min(done / total, 1.0)
        if self._files > 1:
            self._current_stage = f'{stage} {share:.0%} of this one'
            self._bars.update(self._tasks['files'], note=visible(stage, is_line=True))
        else:
            self._advance(stage, share)

    def next_file(self, outcome: Outcome | None, done: int, total: int) -> None:
        """Count a finished file.

        Args:
            outcome: outcome of the file; None before the first.
            done: number of finished files.
            total: number of all files.
        """
        self._files = total
        if total == 1:
            return
        self._current_stage = ''
        self._advance('files', done / total)
        if outcome and not self._console.is_terminal:
            outcome_words = 'failed' if outcome.error else 'was done before' if outcome.resumed else 'done'
            say(f'{done} of {total}: {outcome.file or outcome.path.name} {outcome_words}', err=True)

    def _advance(self, name: str, share: float) -> None:
        if share < self._shares.get(name, 0.0) or self._shares.get(name, 0.0) >= 1.0:
            return
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(visible(name, is_line=True), total=1.0, note='')
            self._first_reports[name] = (time.monotonic(), share)
        self._shares[name] = share  # last: another thread reads both
        elapsed = f'{time.monotonic() - self._start_s:.1f} s' if share >= 1.0 else ''
        self._bars.update(self._tasks[name], completed=share, note=elapsed)
        if share >= 1.0 and self._files == 1 and not self._console.is_terminal:
            say(f'{name} done after {elapsed}', err=True)

    def _say_regularly(self) -> None:
        previous = ''
        while not self._stopped.wait(self._line_s):
            if (line := self.standing()) != previous:  # a line is not repeated unchanged
                say(line, err=True)
            previous = line

    def standing(self) -> str:
        """One line: share of every stage in progress, and the longest remaining time at the rates so far."""
        now = time.monotonic()
        shares = {name: share for name, share in dict(self._shares).items() if share < 1.0}
        if not shares:
            return f'at work for {length(now - self._start_s)}'
        remaining_s = []
        for name, share in shares.items():
            first_s, first_share = self._first_reports[name]
            if share > first_share:
                remaining_s.append((now - first_s) * (1.0 - share) / (share - first_share))
        lines = [f'{name} {share:.0%}' for name, share in shares.items()]
        lines += [self._current_stage] if self._current_stage else []
        time_left = f'about {length(max(remaining_s))} left' if remaining_s else 'time left not known yet'
        return f'{", ".join(lines)}; {time_left}, {length(now - self._start_s)} so far'


def plain_table(*headings: str, left: int = 1, gap: int = 2, **options: Any) -> Table:
    """A table without lines, the style of all tables on a terminal.

    Args:
        headings: one per column; more columns can be added.
        left: number of left-aligned columns, counted from the first; the others are right-aligned.
        gap: spaces between columns.
        options: further options of `rich.table.Table`.
    """
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), show_edge=False, **options)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify='left' if index < left else 'right', no_wrap=True)
    return table


def columns_table(*columns: tuple[str, Literal['left', 'right']]) -> Table:
    """A plain table from headings with their alignment; only the last column wraps."""
    table = plain_table()
    for number, (heading, side) in enumerate(columns, 1):
        table.add_column(heading, justify=side, no_wrap=number < len(columns))
    return table


def facts_table(rows: Sequence[Mapping[str, str]]) -> Table:
    """Rows with equal keys as a plain table; only the last column wraps."""
    names = list(rows[0]) if rows else []
    table = columns_table(*((name, 'right' if name == 'size' else 'left') for name in names))
    for row in rows:
        table.add_row(*row.values())
    return table


def show_error(error: AffektError) -> None:
    """Print an error: a red line with what was expected and found, one per fault, then the advice and commands."""
    say(f'error: expected {error.expected}; got {error.came}{":" * bool(error.faults)}', err=True, style='red')
    for fault in error.faults:
        say(f'  {fault}', err=True, style='red')
    say(f'       {error.todo}', err=True)
    for step in error.steps:
        say(f'           {step}', err=True)


class SaidWarnings(logging.Handler):
    """Prints warnings of the package as lines on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one warning."""
        say(self.format(record), err=True, style='yellow')
