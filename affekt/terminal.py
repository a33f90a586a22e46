"""What a person sees in a terminal: one bar a stage, a short table, one red line for an error.

All text goes through `say`, which shows every character as it stands: no markup is read, and what would steer a
terminal (in file names, answers of servers, names of models) is made visible. Bars go to standard error, so that
standard output holds only what was asked for. Where standard error is no terminal, each stage prints one plain line
when it is done.
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


LINE_S = 30.0
"""Seconds between lines where no terminal shows bars."""
STEERING = re.compile(
    '[\x00-\x08\x0b-\x1f\x7f-\x9f'  # C0 but tab and newline, DEL, C1
    '\u200b\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f'  # unseen, or turning what follows
    '\ud800-\udfff]'  # halves of pairs, which no terminal can be sent
)
"""Characters that move a cursor, colour, hide or reorder what a terminal shows."""

Shown = str | Text | Table | Group
"""What `say` takes."""


def visible(text: str, *, is_line: bool = False) -> str:
    """The text with every character of STEERING written as its escape.

    Args:
        text: of any origin.
        is_line: a line break is written as its escape too.

    >>> print(visible('tone' + chr(27) + '[2J.wav'))
    tone\\x1b[2J.wav
    """
    written = STEERING.sub(_escaped, text)
    return written.replace('\n', '\\n') if is_line else written


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        code -= 0xDC00
    return f'\\x{code:02x}' if code < 0x100 else f'\\u{code:04x}' if code < 0x10000 else f'\\U{code:08x}'


def say(*parts: Shown, err: bool = False, style: str = '', columns: int = 100, least: int = 0) -> None:
    """Print text and tables as they stand; without any part an empty line.

    Args:
        parts: a text is one line: its own line breaks are made visible, and no others are added, so that a path can be
            copied. Tables fit the terminal.
        err: print to standard error.
        style: of the texts, such as 'bold' or 'yellow'.
        columns: the most columns that a table takes.
        least: the fewest, also where the terminal has less.
    """
    console = _console(err=err)
    console.width = max(min(console.width, columns), least)
    for part in parts or ('',):
        if isinstance(part, str):
            console.print(Text(visible(part, is_line=True), style=style), soft_wrap=True)
        else:
            console.print(_as_it_stands(part))


def say_json(answer: Any, *, flush: bool = False) -> None:
    """Print one JSON value on a line of its own; numbers that JSON lacks become null.

    Args:
        answer: any value.
        flush: whoever reads has the line at once.
    """
    print(json.dumps(plain(answer), allow_nan=False), flush=flush)


class _Console(Console):
    """Leaves it to whoever prints what follows when nobody reads any more; rich would end the process there."""

    def on_broken_pipe(self) -> None:
        """Called while the error is at hand."""
        raise BrokenPipeError


def _console(*, err: bool) -> Console:
    stream = sys.stderr if err else sys.stdout
    with contextlib.suppress(AttributeError):  # a stream that cannot write a character shows its escape
        stream.reconfigure(errors='backslashreplace')  # type: ignore[union-attr]
    return _Console(stderr=err, markup=False, emoji=False, highlight=False)


def _as_it_stands(part: Any) -> Any:
    """The same part with every text in it cleaned, before anything is measured."""
    if isinstance(part, str):
        return Text(visible(part))
    if isinstance(part, Text):
        return _visible_text(part)
    if isinstance(part, Group):
        return Group(*map(_as_it_stands, part.renderables))
    if isinstance(part, Table):
        for column in part.columns:
            column.header, column._cells = _as_it_stands(column.header), [*map(_as_it_stands, column._cells)]
        part.title = _as_it_stands(part.title) if part.title else None
        return part
    raise TypeError(f'say takes text, tables and groups of them, not {type(part).__name__}')


def _visible_text(text: Text) -> Text:
    """A styled text with its styles where they were."""
    steering = [match.start() for match in STEERING.finditer(text.plain)]
    if not steering:
        return text
    pieces = text.divide(sorted({edge for at in steering for edge in (at, at + 1)}))
    for piece in pieces:
        piece.plain = visible(piece.plain)
    return text.blank_copy().join(pieces)


class Screen:
    """Shows what changes in one place of standard output; use as a context manager.

    Args:
        columns: the most that are used.
    """

    def __init__(self, columns: int = 80) -> None:
        console = _console(err=False)
        console.width = min(console.width, columns)
        self.is_terminal = console.is_terminal
        """Whether there is a place to show it in; where there is none, print lines."""
        self._live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow='crop')

    def __enter__(self) -> Screen:
        if self.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, error_class: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self.is_terminal:
            self._live.stop()

    def show(self, part: Shown) -> None:
        """Put this in place of what is shown, characters as they stand."""
        self._live.update(_as_it_stands(part), refresh=True)


class StageBars:
    """Shows stages as bars that never run backwards; use as a context manager and call with each advance.

    With one file each stage has its line; with several one bar counts files and names the stage at hand. Without a
    terminal a line says each stage that is done and, every LINE_S seconds, how far the others are.
    """

    def __init__(self, *, name_width: int = 8, bar_width: int = 40, line_s: float = LINE_S) -> None:
        self._console = console = _console(err=True)
        self._bars = Progress(
            TextColumn('{task.description:<' + str(name_width) + '}', markup=False),
            BarColumn(bar_width=bar_width),
            TextColumn('{task.percentage:>3.0f} %', markup=False),
            TextColumn('{task.fields[said]}', style='dim', markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._high: dict[str, float] = {}
        self._first: dict[str, tuple[float, float]] = {}
        """When a stage was first heard of, and how far it was then: a resumed one does not begin at nothing."""
        self._begun = time.monotonic()
        self._files = 1
        self._within = ''
        """The stage of the file at hand."""
        self._line_s = line_s
        self._ended = threading.Event()

    def __enter__(self) -> StageBars:
        self._begun = time.monotonic()
        self._bars.start()
        if not self._console.is_terminal:
            threading.Thread(target=self._say_often, daemon=True).start()
        return self

    def __exit__(
        self, error_class: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._ended.set()
        self._bars.stop()

    def __call__(self, stage: str, done: float, total: float) -> None:
        """Advance `stage` to done of total, in any unit; less than before is ignored."""
        share = 1.0 if total <= 0 else min(done / total, 1.0)
        if self._files > 1:
            self._within = f'{stage} {share:.0%} of this one'
            self._bars.update(self._tasks['files'], said=visible(stage, is_line=True))
        else:
            self._advance(stage, share)

    def next_file(self, outcome: Outcome | None, done: int, total: int) -> None:
        """Count a finished file."""
        self._files = total
        if total == 1:
            return
        self._within = ''
        self._advance('files', done / total)
        if outcome and not self._console.is_terminal:
            became = 'failed' if outcome.error else 'was done before' if outcome.resumed else 'done'
            say(f'{done} of {total}: {outcome.file or outcome.path.name} {became}', err=True)

    def _advance(self, name: str, share: float) -> None:
        if share < self._high.get(name, 0.0) or self._high.get(name, 0.0) >= 1.0:
            return
        self._high[name] = share
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(visible(name, is_line=True), total=1.0, said='')
            self._first[name] = (time.monotonic(), share)
        took = f'{time.monotonic() - self._begun:.1f} s' if share >= 1.0 else ''
        self._bars.update(self._tasks[name], completed=share, said=took)
        if share >= 1.0 and self._files == 1 and not self._console.is_terminal:
            say(f'{name} done after {took}', err=True)

    def _say_often(self) -> None:
        while not self._ended.wait(self._line_s):
            say(self.standing(), err=True)

    def standing(self) -> str:
        """How far every stage is that is not done, and how long the slowest of them will take at its pace."""
        now = time.monotonic()
        shares = {name: share for name, share in dict(self._high).items() if share < 1.0}
        if not shares:
            return f'at work for {length(now - self._begun)}'
        left = []
        for name, share in shares.items():
            begun, before = self._first[name]
            if share > before:
                left.append((now - begun) * (1.0 - share) / (share - before))
        lines = [f'{name} {share:.0%}' for name, share in shares.items()] + [self._within] * bool(self._within)
        time_left = f'about {length(max(left))} left' if left else 'time left not known yet'
        return f'{", ".join(lines)}; {time_left}, {length(now - self._begun)} so far'


def plain_table(*headings: str, left: int = 1, gap: int = 2, **options: Any) -> Table:
    """A table without lines: the one form that tables have on a terminal.

    Args:
        headings: one a column; more columns can be added.
        left: how many columns, from the first, stand to the left; numbers stand to the right.
        gap: spaces between columns.
        options: further options of `rich.table.Table`.
    """
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), show_edge=False, **options)
    for at, heading in enumerate(headings):
        table.add_column(heading, justify='left' if at < left else 'right', no_wrap=True)
    return table


def columns_table(*columns: tuple[str, Literal['left', 'right']]) -> Table:
    """A plain table of columns, each a heading and the side that it stands to; only the last one wraps."""
    table = plain_table()
    for at, (heading, side) in enumerate(columns, 1):
        table.add_column(heading, justify=side, no_wrap=at < len(columns))
    return table


def facts_table(rows: Sequence[Mapping[str, str]]) -> Table:
    """Rows of equal keys as a plain table; only the last column wraps."""
    names = list(rows[0]) if rows else []
    table = columns_table(*((name, 'right' if name == 'size' else 'left') for name in names))
    for row in rows:
        table.add_row(*row.values())
    return table


def show_error(error: AffektError) -> None:
    """One red line on what was expected and what came, one for each fault, one of help, and lines to type."""
    say(f'error: expected {error.expected}; got {error.came}{":" * bool(error.faults)}', err=True, style='red')
    for fault in error.faults:
        say(f'  {fault}', err=True, style='red')
    say(f'       {error.todo}', err=True)
    for step in error.steps:
        say(f'           {step}', err=True)


class SaidWarnings(logging.Handler):
    """What the package warns of, as lines on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one."""
        say(self.format(record), err=True, style='yellow')
