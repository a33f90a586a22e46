"""Analyses on disk that were damaged, edited by hand, or sent by somebody: read, or refused in one sentence."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_up import made_up

from affekt.analysis import EXPORTS, Analysis, export
from affekt.cli.views import people_table
from affekt.errors import AffektError, RunError

VALUES = [None, [], {}, 'x', '', -1, 1e308, True, 10**400, [1], {'a': 1}, [[]], '\ud800', '\0', 0, 1.5, float('nan')]
TRIES = 60


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    return made_up(6.0).save(tmp_path_factory.mktemp('stored') / 'whole')


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / 'analysis')


def _nested(depth):
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


def _places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


def _use(folder, out):
    """Everything that is done with a stored analysis."""
    analysis = Analysis.load(folder)
    assert repr(analysis)
    analysis.summary()
    people_table(analysis)
    for to in EXPORTS:
        export(analysis, to, out / f'a.{to}')
    analysis.report(out / 'a.html')


@pytest.mark.filterwarnings('error')
def test_edited_json_is_read_or_refused_and_never_a_traceback(whole, folder, tmp_path):
    rng = random.Random(7)
    content = json.loads((whole / 'analysis.json').read_text())
    places = [place for place in _places(content) if place]
    refused = 0
    for _ in range(TRIES):
        edited = json.loads(json.dumps(content))
        *way, last = rng.choice(places)
        at = edited
        for key in way:
            at = at[key]
        if rng.random() < 0.2:
            del at[last]
        else:
            at[last] = rng.choice([*VALUES, _nested(300)])
        (folder / 'analysis.json').write_text(json.dumps(edited))
        try:
            _use(folder, tmp_path)
        except AffektError:
            refused += 1
    assert 0 < refused < TRIES


@pytest.mark.parametrize(
    'text', ['', '{', '[]', 'null', '7', '"x"', '{}', '[' * 100_000, '{"format": true}', 'Ã\udcff']
)
def test_a_main_file_that_is_no_analysis_is_refused(folder, text):
    (folder / 'analysis.json').write_bytes(text.encode('utf-8', 'surrogateescape'))
    with pytest.raises(RunError):
        Analysis.load(folder)


@pytest.mark.parametrize('name', ['timeline', 'faces', 'turns', 'voice', 'utterances'])
@pytest.mark.parametrize(
    'damage',
    [lambda path: path.unlink(), lambda path: path.write_bytes(b''), lambda path: path.write_bytes(b'PAR1' * 20),
     lambda path: path.write_bytes(path.read_bytes()[:-40]), lambda path: os.truncate(path, 7)],
    ids=['gone', 'empty', 'no Parquet', 'cut', 'seven bytes'],
)  # fmt: skip
def test_a_damaged_table_is_refused(folder, name, damage):
    damage(folder / f'{name}.parquet')
    with pytest.raises(RunError):
        Analysis.load(folder)


@pytest.mark.parametrize(
    ('column', 'values'),
    [('start_s', [1e300]), ('start_s', [None]), ('source', ['nose']), ('value', ['high']),
     ('confidence', [7.0]), ('evidence', [None]), ('name', [[1]])],
)  # fmt: skip
def test_a_timeline_of_other_values_is_refused(folder, column, values):
    path = folder / 'timeline.parquet'
    table = pq.read_table(path)
    at = table.column_names.index(column)
    pq.write_table(table.set_column(at, column, pa.array(values * table.num_rows)), path)
    with pytest.raises(RunError):
        Analysis.load(folder)


@pytest.mark.parametrize('name', ['analysis.json', 'timeline.parquet', 'faces.parquet', 'people/1.jpg', 'people'])
def test_links_in_a_folder_from_somebody_are_not_followed(folder, tmp_path, name):
    path = folder / name
    elsewhere = shutil.move(path, tmp_path / 'elsewhere')
    path.symlink_to(elsewhere)
    with pytest.raises(RunError, match='link'):
        Analysis.load(folder)


def test_a_picture_that_is_none_is_left_out(folder):
    (folder / 'people' / '1.jpg').write_text('root:x:0:0:')
    assert Analysis.load(folder).people[0].thumbnail_jpeg is None


def test_texts_that_utf8_cannot_hold_are_stored_and_read_back(tmp_path):
    odd = made_up(6.0)
    odd = dataclasses.replace(odd, source=dataclasses.replace(odd.source, name='\ud800 half'))
    stored = Analysis.load(odd.save(tmp_path / 'odd'))
    assert odd.report(tmp_path / 'odd.html').stat().st_size > 10_000
    assert '\N{REPLACEMENT CHARACTER} half' in stored.source.name


def test_an_analysis_over_another_that_is_cut_short_leaves_no_mixture(folder, monkeypatch):
    def full_disk(path, table):
        raise OSError('No space left on device')

    monkeypatch.setattr('affekt.analysis.storage.write_table', full_disk)
    with pytest.raises(OSError, match='space'):
        made_up(4.0).save(folder)
    with pytest.raises(RunError, match='expected analysis'):
        Analysis.load(folder)
