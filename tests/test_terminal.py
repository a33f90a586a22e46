"""What a person sees in a terminal: numbers, bars, and file names that hold markup."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Group
from rich.table import Table
from rich.text import Text

import affekt
from affekt.cli import main
from affekt.cli.views import interval
from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import MediaError
from affekt.terminal import StageBars, facts_table, plain_table, say, say_json, show_error, visible
from affekt.wording import clock, signed

PACKAGE = Path(affekt.__file__).parent
HOSTILE = '\x1b[31mred\x1b]0;title\x07 \x9b2J \u202egnp.exe\u2069 \r \udce9 [bold]b[/bold] [x] :smile: \\[y]'
SHOWN = r'\x1b[31mred\x1b]0;title\x07 \x9b2J \u202egnp.exe\u2069 \x0d \xe9 [bold]b[/bold] [x] :smile: \[y]'


@pytest.mark.parametrize(('seconds', 'said'), [(0, '0:00'), (59.6, '0:59'), (754.2, '12:34'), (3661, '1:01:01')])
def test_times_read_as_on_a_clock(seconds, said):
    assert clock(seconds) == said


def test_numbers_keep_their_sign_and_an_unknown_interval_is_a_dash():
    assert signed(-0.254) == '\N{MINUS SIGN}0.25'
    assert interval((0.5, 0.25, 0.75)) == '+0.50 [+0.25 +0.75]'
    assert interval((0.5, float('nan'), float('nan'))) == '+0.50'
    assert interval(None) == '–'


@given(st.lists(st.floats(0, 12), max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
def test_a_stage_never_runs_backwards_and_ends_once(capsys, steps):
    with StageBars() as bars:
        for done in steps:
            bars('faces', done, 10.0)
        bars('faces', 10.0, 10.0)
        bars('faces', 3.0, 10.0)
    assert capsys.readouterr().err.count('faces done') == 1


def test_a_thread_that_asks_how_things_stand_while_a_stage_begins_gets_an_answer(monkeypatch):
    bars = StageBars()
    add_task, answers = bars._bars.add_task, []

    def asked_meanwhile(*words, **options):
        answers.append(bars.standing())
        return add_task(*words, **options)

    monkeypatch.setattr(bars._bars, 'add_task', asked_meanwhile)
    bars('faces', 1.0, 4.0)
    answers.append(bars.standing())
    assert answers[0] != answers[1]
    assert 'faces' in answers[1]


def test_markup_in_names_and_messages_is_shown_as_it_stands(capsys):
    say(facts_table([{'model': 'affekt[torch]', 'size': '[bold]1'}]))
    show_error(MediaError(expected='[red]a file[/]', came='[x]', todo='see [y]'))
    captured = capsys.readouterr()
    assert all(text in captured.out for text in ('affekt[torch]', '[bold]1'))
    assert all(text in captured.err for text in ('[red]a file[/]', '[x]', 'see [y]'))


def test_what_would_steer_a_terminal_is_written_as_its_escape_wherever_it_stands(capsys):
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE)
    table.add_row(Text('in a cell \x1b[2J', style='bold'))
    say(HOSTILE)
    say(Group(Text('styled \x1b[2J', style='red'), table), columns=1000, least=1000)
    show_error(MediaError(expected='a', came=HOSTILE, todo=HOSTILE))
    captured = capsys.readouterr()
    assert captured.out.startswith(f'{SHOWN}\n')
    assert captured.out.count(SHOWN) == 4
    assert r'styled \x1b[2J' in captured.out
    assert r'in a cell \x1b[2J' in captured.out
    assert captured.err.count(SHOWN) == 2
    assert not re.search('[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]', captured.out + captured.err)


@given(st.text(st.characters(exclude_categories=[])))
def test_nothing_that_steers_is_left_and_plain_text_stays(text):
    written = visible(text, is_line=True)
    assert not re.search('[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]', written)
    assert visible(written) == written
    written.encode()


def test_writing_of_other_languages_and_joined_emoji_stay_as_they_are():
    text = 'café 情感 שלום سلام می\u200cخواهم 👩\u200d👧 ❤\ufe0f'
    assert visible(text, is_line=True) == text


def test_a_text_is_one_line_however_long_and_whatever_it_holds(capsys):
    say('a' * 300, 'b\nerror: made up')
    assert capsys.readouterr().out == 'a' * 300 + '\nb\\nerror: made up\n'


def test_a_stage_whose_name_holds_markup_is_named_so(capsys):
    with StageBars() as bars:
        bars('model[fp16]\x1b[2J', 1, 1)
    assert capsys.readouterr().err.startswith(r'model[fp16]\x1b[2J done after')


def test_numbers_that_json_lacks_are_null_and_escape_codes_stay_escaped(capsys):
    say_json({'a': float('nan'), 'b': [float('inf'), 0.5], 'c': '\x1b[2J\udce9'})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {'a': None, 'b': [None, 0.5], 'c': '\x1b[2J\\xe9'}
    assert '\x1b' not in printed


PRINTS = re.compile(r'print|Console|echo|\bText\b|\bconsole\b|stdout|stderr|\brich\b')
"""One of these words stands in every file that prints: only such files are parsed."""


def _printing(path: Path) -> list[str]:
    """Where a file prints by anything but `say`."""
    places = []
    text = path.read_text(encoding='utf-8')
    for node in ast.walk(ast.parse(text)) if PRINTS.search(text) else ():
        match node:
            case ast.Call(func=ast.Name('print' | 'Console')):
                places.append(f'{path.name}:{node.lineno}')
            case ast.Call(
                func=ast.Attribute(attr='print' | 'print_json' | 'echo' | 'secho' | 'echo_via_pager' | 'Console')
            ):
                places.append(f'{path.name}:{node.lineno}')
            case ast.Call(func=ast.Attribute(attr='from_markup' | 'rule' | 'log', value=ast.Name('Text' | 'console'))):
                places.append(f'{path.name}:{node.lineno}')
            case ast.Attribute(attr='write', value=ast.Attribute(attr='stdout' | 'stderr')):
                places.append(f'{path.name}:{node.lineno}')
            case ast.ImportFrom(module='rich.console', names=names) if any(name.name == 'Console' for name in names):
                places.append(f'{path.name}:{node.lineno}')
            case ast.ImportFrom(module='rich' | 'rich.progress' | 'rich.markup' | 'rich.prompt'):
                places.append(f'{path.name}:{node.lineno}')
    return places


def test_only_say_prints():
    files = [path for path in PACKAGE.rglob('*.py') if path != PACKAGE / 'terminal.py']
    assert len(files) > 200
    assert [place for path in files for place in _printing(path)] == []


def test_a_corpus_whose_words_hold_brackets_and_escape_codes_is_shown_as_it_stands(tmp_path):
    rows = [Sample(f'a[/{n}]', category='[red]sad[/red]', text='[/b] \x1b[2J', split='train') for n in range(2)]
    facts = Facts('odd[corpus]', categories=('[red]sad[/red]',))
    Manifest(facts, tuple(rows)).save(tmp_path / 'odd.parquet')
    result = CliRunner().invoke(main, ['corpus', 'show', str(tmp_path / 'odd.parquet')])
    assert result.exit_code == 0, result.output
    assert all(text in result.stdout for text in ('odd[corpus]', 'a[/1]', '[red]sad[/red]', r'[/b] \x1b[2J'))


def test_the_extra_to_install_is_named_whole():
    result = CliRunner().invoke(main, ['features', 'list'], env={'COLUMNS': '200'})
    assert result.exit_code == 0
    assert set(re.findall(r'pip install (\S+)', result.stdout)) <= {
        f"'affekt[{extra}]'" for extra in ('torch', 'transformers', 'opensmile', 'all')
    } | {f'affekt[{extra}]' for extra in ('torch', 'transformers', 'opensmile', 'all')}


def test_wrong_usage_repeats_what_was_typed_as_it_stands():
    for words in (
        ['ana\x1b[2Jlyze'],
        ['rank', 'a.csv', '--bo\x1b[2Jld'],
        ['corpus', 'check', 'a', '--by', '\u202e[x]'],
    ):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 2
        assert not re.search('[\x1b\u202e]', result.output)
        assert r'\x1b[2J' in result.stderr or r'\u202e[x]' in result.stderr


def test_tables_are_drawn_by_the_command_line_alone_and_in_one_form():
    plain = 'Table(box=None'
    for path in sorted(PACKAGE.rglob('*.py')):
        text, place = path.read_text(), path.relative_to(PACKAGE)
        modules = {
            node.module.split('.')[0]
            for node in (ast.walk(ast.parse(text)) if 'rich' in text else ())
            if isinstance(node, ast.ImportFrom) and node.module and not node.level
        }
        assert 'rich' not in modules or place.parts[0] in ('cli', 'terminal.py'), place
        assert text.count(plain) == (place.parts == ('terminal.py',)), place


def test_a_plain_table_has_words_to_the_left_and_numbers_to_the_right(capsys):
    table = plain_table('set', 'metric', 'score', left=2, gap=1)
    table.add_row('MELD', 'F1', '0.5')
    table.add_row('SIMS', 'WAF', '12.25')
    say(table)
    assert capsys.readouterr().out.splitlines() == ['set  metric score', 'MELD F1       0.5', 'SIMS WAF    12.25']
