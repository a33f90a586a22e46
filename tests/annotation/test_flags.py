"""A rater to be doubted: on the board, in the tables, and in the ranking of a study's folder."""

from __future__ import annotations

import csv
import itertools
import json
import re

import pytest
from click.testing import CliRunner

from affekt.annotation import export_votes
from affekt.annotation.board import Board
from affekt.annotation.state import GOLD
from affekt.cli import main

IDS = itertools.count()


def _vote_through(study, clock, name, choose, *, seconds=7.0, watched=1.0, says=True):
    screen = study.join(name)
    while screen.shown:
        clock.now += seconds
        screen = study.vote(
            f'vote-{next(IDS):06}', name, screen.shown.id, choose(screen), seconds=seconds if says else 0.0,
            watched=watched, seen='video', heard='sound',
        )  # fmt: skip


def _careful(screen):
    """The first text in the alphabet; one in five the other way, so that strengths are finite."""
    is_left = screen.left_text < screen.right_text
    return 'left' if is_left != (screen.answered % 5 == 4) else 'right'


@pytest.fixture
def doubtful(open_study, clock):
    """Ann takes care; the bot chooses left nineteen times in twenty, at once; Sue looks at nothing."""
    study = open_study(with_gold=True, test_items=0, gold_every=4)
    _vote_through(study, clock, 'Ann', lambda screen: 'left' if screen.left_text.startswith('true') else
                  'right' if screen.right_text.startswith('true') else _careful(screen))  # fmt: skip
    _vote_through(study, clock, 'bot', lambda screen: 'right' if screen.answered % 20 == 7 else 'left', seconds=0.2,
                  watched=0.1, says=False)  # fmt: skip
    _vote_through(study, clock, 'Sue', lambda screen: 'left' if screen.left_text.startswith('true') else
                  'right' if screen.right_text.startswith('true') else _careful(screen), watched=0.0)  # fmt: skip
    return study


FLAGS = {'Ann': '', 'bot': 'fast, one-sided, unwatched, below gold', 'Sue': 'unwatched'}


def test_flags_stand_in_both_tables_beside_what_they_rest_on(doubtful):
    comparisons, raters, _ = export_votes(doubtful.folder)
    with raters.open(newline='') as file:
        rows = {row['name']: row for row in csv.DictReader(file)}
    assert {name: row['flags'] for name, row in rows.items()} == FLAGS
    assert {row['status'] for row in rows.values()} == {'admitted'}
    assert float(rows['bot']['seconds']) == pytest.approx(0.2, abs=1e-3)
    assert float(rows['bot']['left_share']) >= 0.9
    with comparisons.open(newline='') as file:
        votes = list(csv.DictReader(file))
    assert len(votes) == 3 * 36
    assert {vote['rater']: vote['flags'] for vote in votes} == FLAGS
    assert {vote['rater']: vote['watched'] for vote in votes} == {'Ann': '1.0', 'bot': '0.1', 'Sue': '0.0'}
    assert {(vote['seen'], vote['heard']) for vote in votes} == {('video', 'sound')}


def test_the_board_shows_flags_and_the_ranking_without_them(doubtful):
    shown = Board(doubtful).show()['html']
    for name, flags in FLAGS.items():
        assert f'<th scope="row">{name}</th><td>admitted</td><td>{flags or "–"}</td>' in shown
    assert 'With and without flagged raters' in shown
    assert re.search(r'<th scope="row">ash</th>(<td[^>]*>[^<]*</td>){4}</tr>', shown)


def test_ranking_a_folder_of_votes_writes_nothing_into_it(doubtful):
    export_votes(doubtful.folder, raw=True)
    table = doubtful.folder / 'comparisons.csv'
    table.write_text('mine\n')
    (doubtful.folder / 'raters.csv').unlink()
    before = {path.name: path.read_bytes() for path in doubtful.folder.iterdir()}
    done = CliRunner().invoke(main, ['rank', str(doubtful.folder), '--json'])
    assert (done.exit_code, json.loads(done.stdout)['facts']['comparisons']) == (0, 3 * 36)
    assert {path.name: path.read_bytes() for path in doubtful.folder.iterdir()} == before


def test_rank_reads_the_folder_of_a_study_and_its_table_alike(doubtful):
    export_votes(doubtful.folder)
    folder = json.loads(CliRunner().invoke(main, ['rank', str(doubtful.folder), '--json']).stdout)
    table = json.loads(CliRunner().invoke(main, ['rank', str(doubtful.folder / 'comparisons.csv'), '--json']).stdout)
    assert folder == table
    assert folder['facts']['comparisons'] == 3 * 36
    assert set(folder['flagged']) == {'bot', 'Sue'}
    assert [row['item'] for row in folder['without_flagged']] == ['ash', 'birch', 'cedar']


def test_progress_never_passes_its_end_whatever_is_gold_skipped_or_taken_back(open_study, clock):
    for every in (1, 2, 5, 10):
        study = open_study(with_gold=True, test_items=3, gold_every=every, folder=f'votes{every}')
        screen = study.join('Ann')
        totals = set()
        for turn in itertools.count():
            if not screen.shown:
                break
            if screen.status == 'admitted':
                totals.add(screen.of)
                assert screen.answered < screen.of
            choice = 'left' if screen.left_text.startswith('true') else 'skip' if turn % 7 == 6 else 'right'
            screen = study.vote(f'vote-{next(IDS):06}', 'Ann', screen.shown.id, choice)
            if turn % 11 == 10 and screen.can_undo and screen.status == 'admitted':
                screen = study.undo(f'undo-{next(IDS):06}', 'Ann')
        assert screen.answered == screen.of
        gold = sum(vote.phase == GOLD for vote in study.snapshot()[1])
        assert totals == {36 + gold}
