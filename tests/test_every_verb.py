"""What must hold of every verb and every path that it takes: it never waits, never breaks, and says which path it was.

The verbs are found by walking the command line, so a new one is held to the same.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.cli.choices import Named
from affekt.corpora import Facts, Manifest, Sample
from affekt.media.writing import write_audio

WITHOUT_END = {'demo', 'stream', 'weights get', 'annotate'}
"""Verbs that fetch, watch a camera or serve: their paths have tests of their own."""
MANIFESTS = {'manifest', 'corpus', 'path', 'unlabelled'}
MEDIA = {'paths', 'portrait', 'driver', 'video', 'media', 'speech', 'portraits', 'vocal_head'}
FOLDERS = {'run', 'captions', 'root', 'key', 'release', 'carried_over', 'weights', 'init', 'filtered', 'model', 'judge'}
PLACES = {'out', 'cache', 'html', 'page'}
"""Names of parameters of which files of that kind are the good ones; all others take tables."""
WORDS = {'corpus': 'mosi', 'features': 'none', 'models': 'a=a.csv', 'answer': 'sad'}
"""Texts that verbs need besides."""
ODD = 'a\x1b[2J[red]=1'
"""A name with a code of terminals, a tag of rich markup, and what a spreadsheet computes."""


def _verbs(
    command: click.Command = main, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group) or (path and command.invoke_without_command):
        yield path, command
    for name, verb in command.commands.items() if isinstance(command, click.Group) else ():
        yield from _verbs(verb, (*path, name))


VERBS = {' '.join(path): verb for path, verb in _verbs() if ' '.join(path) not in WITHOUT_END}
PATHS = [
    (name, param.name)
    for name, verb in VERBS.items()
    for param in verb.params
    if isinstance(param.type, click.Path) and not param.is_eager
]


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """Good files of a few kinds, and entries of which none can be read."""
    folder = tmp_path_factory.mktemp('place')
    write_audio(folder / 'a.wav', np.zeros(1600, np.float32), 16_000)
    (folder / 'table.csv').write_text('name,openset,left,right,outcome,a1,a2\na,happy,a,b,left,good,bad\n')
    (folder / 'folder').mkdir()
    rows = [Sample('a', audio='a.wav', text='So', split='train'), Sample('b', audio='a.wav', text='No', split='val')]
    Manifest(Facts('toy', root=str(folder)), rows).save(folder / 'm.parquet')
    (folder / ODD).mkdir()
    os.mkfifo(folder / ODD / 'pipe')
    (folder / ODD / 'loop').symlink_to('loop')
    (folder / ODD / 'empty').touch()
    return folder


def _good(param: click.Parameter, place: Path) -> str:
    """What a required parameter may be."""
    name = str(param.name)
    if isinstance(param.type, click.Path):
        file = (
            'm.parquet' if name in MANIFESTS else 'a.wav' if name in MEDIA else 'folder' if name in FOLDERS
            else 'new' if name in PLACES else 'table.csv'
        )  # fmt: skip
        return str(place / file)
    if isinstance(param.type, Named):
        return param.type.names()[0]
    return WORDS.get(name, 'http://127.0.0.1:9/v1')


def _words(name: str, hostile: str, path: Path, place: Path) -> list[str]:
    """A command line of a verb in which one path is another one."""
    words, arguments = name.split(), []
    for param in VERBS[name].params:
        if not param.required and param.name != hostile:
            continue
        value = str(path) if param.name == hostile else _good(param, place)
        if isinstance(param, click.Argument):
            arguments.append(value)
        else:
            words += [max(param.opts, key=len), value]
    return words + arguments


def test_a_path_that_cannot_be_used_ends_every_verb_with_a_sentence(place, monkeypatch):
    monkeypatch.chdir(place / 'folder')
    previous = signal.signal(signal.SIGALRM, lambda *_: pytest.fail('waits'))
    wrong = []
    try:
        for name, hostile in PATHS:
            for kind in ('pipe', 'loop', 'empty', *(['empty/below/a file'] if hostile in PLACES else [])):
                signal.alarm(300)
                words = _words(name, hostile, place / ODD / kind, place)
                ran = CliRunner().invoke(main, words)
                is_kept = ran.exception is None or isinstance(ran.exception, SystemExit)
                if not is_kept or ran.exit_code not in (0, 2) or re.search('[\x1b]|Traceback', ran.output):
                    wrong.append((name, hostile, kind, ran.exit_code, repr(ran.exception), ran.output[-300:]))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    assert wrong == []


@pytest.mark.parametrize(('seed', 'reason'), [('-1', 'x>=0'), (str(2**64), 'the largest seed'), ('1.5', 'integer')])
def test_a_number_that_is_no_seed_is_refused_by_every_verb(seed, reason):
    seeds = {name: param for name, verb in VERBS.items() for param in verb.params if param.name == 'seed'}
    assert len(seeds) > 20
    for name, param in seeds.items():
        assert param.type.convert('7', param, None) == 7, name
        with pytest.raises(click.BadParameter, match=reason):
            param.type.convert(seed, param, None)
