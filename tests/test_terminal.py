"""What a person sees in a terminal: numbers, bars, and file names that hold markup."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from affekt.errors import MediaError
from affekt.terminal import StageBars, clock, facts_table, interval, show_error, signed


def _console() -> Console:
    return Console(file=io.StringIO(), width=80, force_terminal=False)


@pytest.mark.parametrize(('seconds', 'said'), [(0, '0:00'), (59.6, '1:00'), (754.2, '12:34'), (3661, '1:01:01')])
def test_times_read_as_on_a_clock(seconds, said):
    assert clock(seconds) == said


def test_numbers_keep_their_sign_and_an_unknown_interval_is_a_dash():
    assert signed(-0.254) == '\N{MINUS SIGN}0.25'
    assert interval((0.5, 0.25, 0.75)) == '+0.50 [+0.25 +0.75]'
    assert interval((0.5, float('nan'), float('nan'))) == '+0.50'
    assert interval(None) == '–'


@given(st.lists(st.floats(0, 12), max_size=30))
def test_a_stage_never_runs_backwards_and_ends_once(steps):
    console = _console()
    with StageBars(console) as bars:
        for done in steps:
            bars('faces', done, 10.0)
        bars('faces', 10.0, 10.0)
        bars('faces', 3.0, 10.0)
    assert console.file.getvalue().count('faces done') == 1


def test_markup_in_names_and_messages_is_shown_as_it_stands():
    console = _console()
    console.print(facts_table([{'model': 'affekt[torch]', 'size': '[bold]1'}]))
    show_error(console, MediaError(expected='[red]a file[/]', came='[x]', todo='see [y]'))
    said = console.file.getvalue()
    assert all(text in said for text in ('affekt[torch]', '[bold]1', '[red]a file[/]', '[x]', 'see [y]'))
