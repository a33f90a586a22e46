"""Help: what stands where, names to choose from, examples that parse, completion."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
import sys

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from affekt.cli import main
from affekt.cli.choices import Named
from affekt.cli.group import SECTIONS
from affekt.cli.help import EXAMPLES, LONG, VerbWithVerbs


def _commands(command: click.Command = main, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    below = [
        pair
        for name, verb in (command.commands.items() if isinstance(command, click.Group) else ())
        for pair in _commands(verb, (*path, name))
    ]
    return [(path, command), *below]


COMMANDS = _commands()
VERBS = [
    (path, verb) for path, verb in COMMANDS if isinstance(verb, VerbWithVerbs) or not isinstance(verb, click.Group)
]


def _run(*words: str):
    return CliRunner().invoke(main, words)


@pytest.mark.parametrize('path', [path for path, _ in COMMANDS], ids=' '.join)
def test_help_fits_80_columns_and_cuts_nothing(path):
    shown = _run(*path, '--help').output
    assert max(map(len, shown.splitlines())) <= 80
    assert not re.search(r'^ .*\w\.\.\.$', shown, re.MULTILINE)


def test_help_of_an_option_starts_with_the_thing():
    first = {
        (' '.join(path), option.opts[0]): (option.help or '').split(' ')[0]
        for path, verb in COMMANDS
        for option in verb.params
        if isinstance(option, click.Option)
    }
    shy = {
        'Of',
        'At',
        'That',
        'For',
        'Where',
        'What',
        'Whose',
        'How',
        'The',
        'A',
        'An',
        'Below',
        'Default',
        'As',
        '0',
        '',
    }
    assert {where: word for where, word in first.items() if word in shy} == {}


@pytest.mark.parametrize(('path', 'verb'), VERBS, ids=lambda part: ' '.join(part) if isinstance(part, tuple) else '')
def test_every_verb_shows_an_example_that_parses(path, verb):
    start = ' '.join(('affekt', *path))
    shown = re.sub(r' *\\\n *', ' ', _run(*path, '--help').output)
    examples = [line.strip() for line in shown.splitlines() if line.strip().startswith(start + ' ')]
    examples += [start] if start in EXAMPLES.get(' '.join(path), ()) else []
    assert examples
    for example in examples:
        words = shlex.split(re.split(r' [>#] | >> |  +', example)[0])[1 + len(path) :]
        with verb.make_context(start, words):
            pass


def test_examples_stand_in_one_place():
    """In the description, between what it says of them, or at the end of the help: never in both."""
    both = [
        ' '.join(path)
        for path, verb in VERBS
        if ' '.join(path) in EXAMPLES
        and any(line.strip().startswith(f'affekt {" ".join(path)} ') for line in (verb.help or '').splitlines())
    ]
    assert both == []


def test_examples_are_wrapped_before_an_option_never_before_its_value():
    shown = _run('judge', '--help').output
    assert ' \\\n      --model NAME\n' in shown


def test_names_that_are_few_are_all_choices_that_are_corrected():
    plain = [
        (path, param.name) for path, verb in VERBS for param in verb.params if isinstance(param.type, click.Choice)
    ]
    assert plain == []


def _shows_bars(verb):
    """Whether the function of a verb, or one of its own file that it calls, draws bars."""
    work = inspect.unwrap(verb.callback)
    names = [vars(inspect.getmodule(work)).get(name) for name in work.__code__.co_names]
    parts = [work, *(part for part in names if inspect.isfunction(part) and part.__module__ == work.__module__)]
    return any('StageBars' in part.__code__.co_names for part in parts)


def test_every_verb_that_works_for_long_says_so_before_it_loads():
    silent = {' '.join(path) for path, verb in VERBS if verb.callback and _shows_bars(verb)} - set(LONG)
    assert silent == set()
    assert set(LONG) <= {' '.join(path) for path, _ in COMMANDS}


def test_a_verb_says_that_it_loads_before_it_checks_options_which_can_load_much():
    said = _run('bench', 'abaw', '--model', 'unknown', '--out', 'x').output
    assert said.splitlines()[0] == 'bench abaw: loading …'
    assert 'unknown' in said
    for words in (('bench', 'abaw', '--help'), ('describe', '-h'), ('pretrain',)):
        assert 'loading' not in _run(*words).output


def test_every_verb_has_a_section():
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(main.commands)
    shown = _run('--help').output
    assert [heading for heading in SECTIONS if f'{heading}:' in shown] == list(SECTIONS)


@pytest.mark.parametrize(
    ('words', 'came', 'meant'),
    [
        (['analyze', 'x.mp4', '--asr', 'bas'], "'bas' for --asr", "'base'"),
        (['export', 'run', '--to', 'elf'], "'elf' for --to", "'eaf'"),
        (['rank', 'x.csv', '--ties', 'davidsen'], "'davidsen' for --ties", "'davidson'"),
        (['judge', 'x.csv', '--strategy', 's5'], "'s5' for --strategy", "'s"),
        (
            ['features', 'extract', 'x', '--recipe', 'minilm-ut', '--out', 'o'],
            "'minilm-ut' for --recipe",
            "'minilm-utt'",
        ),
        (['corpus', 'import', 'meldd', 'x', '--out', 'm'], "'meldd' for NAME", "'meld'"),
        (['weights', 'get', 'whisper-bas'], "'whisper-bas'", "'whisper-base'"),
        (['track', 'check', 'mer2024-sem', 'x', '--candidates', 'c'], "'mer2024-sem' for TRACK", "'mer2024-semi'"),
        (['score', 'words', 'sad', '--tables', 'afekt'], "'afekt' for --tables", "'affekt'"),
        (['corpus', 'check', 'x', '--accept', 'dialog'], "'dialog' for --accept", "'dialogue'"),
        (['bench', 'merbench', '--protocol', 'fare'], "'fare' for --protocol", "'fair'"),
        (['bench', 'merbench', '--target', 'categorie'], "'categorie' for --target", "'category'"),
        (['bench', 'ovmer', '--tables', 'afekt'], "'afekt' for --tables", "'affekt'"),
        (['bench', 'unibench', '--set', 'melld'], "'melld' for --set", "'meld'"),
        (['bench', 'unibench', '--dev', 'mosei2'], "'mosei2' for --dev", "'cmumosei'"),
        (['corpus', 'folds', 'x', '--by', 'speakr'], "'speakr' for --by", "'speaker'"),
        (['completion', 'fsh'], "'fsh' for SHELL", "'fish'"),
        (['analyse', 'x.mp4'], "'analyse'", "'analyze'"),
        (['bench', 'merbnch'], "'merbnch'", "'merbench'"),
        (['analyze', 'x.mp4', '--maxpeople', '2'], '--maxpeople', '--max-people'),
    ],
)
def test_a_misspelt_name_is_answered_with_what_was_meant(words, came, meant):
    result = _run(*words)
    assert result.exit_code == 2
    shown = ' '.join((result.output + result.stderr).split())
    assert came in shown
    assert meant in shown.split(came, 1)[1]
    assert len(shown) < 1000


def test_a_path_may_stand_where_a_name_does():
    names = Named(('affekt', '2025'), others='PATH')
    option = click.Option(['--tables'], type=names)
    assert names.convert('tables/2052.json', option, None) == 'tables/2052.json'
    assert names.convert('mine', option, None) == 'mine'


def test_a_name_may_be_spelled_as_publications_spell_it():
    option = next(param for param in main.commands['bench'].commands['unibench'].params if param.name == 'sets')
    for spelled in ('sims', 'CH-SIMS', 'results-sims', 'MELD', 'OV-MERD+'):
        assert option.type.convert(spelled, option, None) == spelled


def test_names_are_listed_in_help_and_completed():
    assert 'ovmerdplus' in _run('bench', 'unibench', '--help').output.split('--dev can be:')[1]
    assert 'recording' in _run('corpus', 'folds', '--help').output.split('--by can be:')[1]
    assert '[half|davidson|rao-kupper]' in _run('rank', '--help').output
    assert 'mer2024-semi, ' in _run('track', 'train', '--help').output.split('TRACK can be:')[1]
    assert 'whisper-base' in _run('weights', 'get', '--help').output.split('NAME can be:')[1]
    environment = {
        **os.environ,
        '_AFFEKT_COMPLETE': 'bash_complete',
        'COMP_WORDS': 'affekt export run --to t',
        'COMP_CWORD': '4',
    }
    shown = subprocess.run(
        [sys.executable, '-m', 'affekt'], env=environment, capture_output=True, text=True, check=False
    )
    assert shown.stdout.split() == ['plain,textgrid']


@pytest.mark.parametrize('shell', ['bash', 'zsh', 'fish'])
def test_completion_is_written_for_every_shell(shell):
    result = _run('completion', shell)
    assert result.exit_code == 0
    assert '_AFFEKT_COMPLETE' in result.output


def test_completion_without_a_known_shell_names_those_that_are(monkeypatch):
    monkeypatch.setenv('SHELL', '/bin/csh')
    result = _run('completion')
    assert result.exit_code == 2
    assert 'bash, zsh, fish' in result.stderr


@pytest.mark.parametrize(
    'words',
    [
        ('stream', 'clip.mp4', '--seconds', 'nan'),  # within every range, since it compares as false
        ('describe', 'clip.mp4', '--timeout', 'NaN'),
        ('corpus', 'make', 'faces', '--out', 'x', '--seconds', '-nan'),
        ('corrupt', 'm.parquet', '--out', 'x', '--blur', '1', '--occlude', 'nan'),
    ],
)
def test_nan_is_no_value_of_an_option(words):
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert f"Invalid value for '{words[-2]}'" in result.stderr
    assert "'nan' is not a number" in result.stderr


def test_completion_goes_on_after_an_option_that_is_nan():
    completion = ShellComplete(main, {}, 'affekt', '_AFFEKT_COMPLETE')
    names = [each.value for each in completion.get_completions(['stream', '--seconds', 'nan'], '--no-f')]
    assert names == ['--no-faces', '--no-frames']
