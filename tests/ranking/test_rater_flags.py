"""Raters to be doubted: the rule, and a ranking with and without them."""

from __future__ import annotations

import csv
import json

import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.ranking import rank, read_comparisons
from affekt.ranking.page import ranking_page
from affekt.ranking.rater_flags import RaterRecord, rater_flags

PAIRS = (('ash', 'birch'), ('birch', 'cedar'), ('ash', 'cedar'))


@pytest.mark.parametrize(
    ('record', 'flags'),
    [
        (RaterRecord(), ()),
        (RaterRecord(seconds=[0.2] * 4), ()),  # too few to say
        (RaterRecord(seconds=[0.2] * 5), ('fast',)),
        (RaterRecord(seconds=[0.2, 0.2, 1.5, 9.0, 9.0]), ()),  # two of five are below 1.5
        (RaterRecord(seconds=[0.2] * 3 + [9.0] * 3), ('fast',)),  # half of them, though the median is 4.6
        (RaterRecord(on_left=38, on_right=2), ('one-sided',)),
        (RaterRecord(on_left=2, on_right=38), ('one-sided',)),
        (RaterRecord(on_left=11), ('one-sided',)),  # 2 / 2**11 = 0.00098
        (RaterRecord(on_left=10), ()),  # 2 / 2**10 = 0.00195
        (RaterRecord(on_left=700, on_right=300), ()),  # no coin, but no side to blame either
        (RaterRecord(watched=[0.0, 0.0, 0.4, 1.0, 1.0]), ('unwatched',)),
        (RaterRecord(watched=[0.5] * 9), ()),
        (RaterRecord(gold_right=2, gold_of=4, gold_share=0.75), ('below gold',)),
        (RaterRecord(gold_right=3, gold_of=4, gold_share=0.75), ()),
        (RaterRecord(gold_right=0, gold_of=3, gold_share=0.75), ()),
    ],
)
def test_a_flag_needs_enough_to_go_by(record, flags):
    assert rater_flags(record) == flags


def _write(path, rows):
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _rows(**of_bot):
    """Ann and Ben prefer ash to birch to cedar, three times in four; the bot takes what stood on the left."""
    rows = []
    for number in range(48):
        left, right = PAIRS[number % 3]
        order = 'left' if number % 2 else 'right'
        shared = {'left': left, 'right': right, 'sample': f'clip{number}', 'order': order}
        for rater in ('Ann', 'Ben'):
            outcome = 'left' if (number // 3 + len(rows)) % 4 else 'right'
            rows.append({**shared, 'rater': rater, 'outcome': outcome, 'seconds': 6.5, **dict.fromkeys(of_bot, '')})
        outcome = order if number % 20 else ('right' if order == 'left' else 'left')
        rows.append({**shared, 'rater': 'bot', 'outcome': outcome, 'seconds': 0.2, **of_bot})
    return rows


def test_a_bot_is_flagged_and_the_ranking_stands_with_and_without_it(tmp_path):
    table = _write(tmp_path / 'votes.csv', _rows())
    comparisons = read_comparisons(table)
    assert comparisons.rater_flags == {'bot': ('fast', 'one-sided')}
    ranking = rank(comparisons)
    assert len(comparisons) == 144
    assert ranking.flagged == {'bot': ('fast', 'one-sided')}
    alone = rank(read_comparisons(_write(tmp_path / 'good.csv', [r for r in _rows() if r['rater'] != 'bot'])))
    assert alone.flagged == {}
    assert alone.without_flagged == ()
    assert [(s.item, s.strength) for s in ranking.without_flagged] == [
        (s.item, pytest.approx(s.strength)) for s in alone.standings]  # fmt: skip
    assert ranking.standings[0].strength < alone.standings[0].strength
    assert 'counted although flagged: bot (fast, one-sided), 48 comparisons' in ranking.notes
    page = ranking_page(ranking)
    assert 'With and without flagged raters' in page
    assert 'bot: fast, one-sided' in page


def test_a_column_of_flags_is_taken_as_it_is(tmp_path):
    comparisons = read_comparisons(_write(tmp_path / 'votes.csv', _rows(flags='below gold, fast')))
    assert comparisons.rater_flags == {'bot': ('fast', 'below gold')}


def test_a_column_of_flags_with_words_of_its_own_does_not_hide_the_rule(tmp_path):
    comparisons = read_comparisons(_write(tmp_path / 'votes.csv', _rows(flags='checked by Eva')))
    assert comparisons.rater_flags == {'bot': ('fast', 'one-sided')}


def test_where_all_are_flagged_the_ranking_stands_and_says_so(tmp_path):
    rows = [{**row, 'flags': 'unwatched'} for row in _rows()]
    ranking = rank(read_comparisons(_write(tmp_path / 'votes.csv', rows)))
    assert len(ranking.standings) == 3
    assert ranking.notes[-1] == 'without flagged raters nothing is left to rank'


def test_the_command_says_who_is_flagged_and_what_is_left_without_them(tmp_path):
    table = str(_write(tmp_path / 'votes.csv', _rows()))
    shown = CliRunner().invoke(main, ['rank', table])
    assert shown.exit_code == 0
    text = ' '.join(shown.output.split())
    assert 'counted although flagged: bot (fast, one-sided), 48 comparisons' in text
    assert 'flagged raters counted left out ash 1 +' in text
    held = json.loads(CliRunner().invoke(main, ['rank', table, '--json']).stdout)
    assert held['flagged'] == {'bot': ['fast', 'one-sided']}
    assert [row['item'] for row in held['without_flagged']] == ['ash', 'birch', 'cedar']


def test_tables_without_raters_or_times_have_no_flags(tmp_path):
    rows = [{name: row[name] for name in ('left', 'right', 'outcome', 'rater')} for row in _rows()]
    assert read_comparisons(_write(tmp_path / 'votes.csv', rows)).rater_flags == {}


def test_skips_speak_against_nobody(tmp_path):
    rows = [row for row in _rows() if row['rater'] != 'bot']
    skipped = {**rows[0], 'rater': 'Cat', 'outcome': 'skip', 'seconds': 0.4}
    rows += [{**skipped, 'sample': f'clip{number}'} for number in range(20)]
    rows += [{**row, 'rater': 'Cat'} for row in rows[:12:2]]
    assert read_comparisons(_write(tmp_path / 'votes.csv', rows)).rater_flags == {}


@pytest.mark.parametrize('shape', [('a1', 'a2', 'same'), ('A1', 'A2', 'Same')])
def test_the_rule_holds_in_every_shape_of_table_and_way_to_write_it(tmp_path, shape):
    words = dict(zip(('left', 'right', 'tie'), shape, strict=True))
    rows = [
        {
            'name': row['sample'], 'model1': row['left'], 'model2': row['right'], 'a1': 'text', 'a2': 'other text',
            'preference': words[row['outcome']], 'rater': row['rater'], 'order': row['order'].title(),
            'seconds': str(row['seconds']).replace('.', ','),
        }
        for row in _rows()
    ]  # fmt: skip
    assert read_comparisons(_write(tmp_path / 'votes.csv', rows)).rater_flags == {'bot': ('fast', 'one-sided')}


def test_a_flagged_rater_without_a_verdict_changes_nothing(tmp_path):
    rows = [row | ({'outcome': 'skip'} if row['rater'] == 'bot' else {}) for row in _rows(flags='unwatched')]
    ranking = rank(read_comparisons(_write(tmp_path / 'skips.csv', rows)))
    assert set(ranking.flagged) == {'bot'}
    assert ranking.without_flagged == ()
    assert not [note for note in ranking.notes if 'flagged' in note]
