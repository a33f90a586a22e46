"""OV-MER: stored scores of thirty runs, published correlations, layouts, and bad input."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from affekt.benchmarks import run_ovmer
from affekt.benchmarks.ovmer import find_systems
from affekt.cli import main
from affekt.errors import AffektError, TableError

PAPER = 'nosubtitle-addsub'


@pytest.fixture(scope='module')
def thirty(stored, table_2025, table_2026):
    """Ten systems in three modes under three tables."""
    truth = stored / 'ovmer' / 'truth.csv'
    rng = np.random.default_rng(0)
    return run_ovmer(stored / 'ovmer', truth, rng=rng, tables=[table_2025, table_2026, 'affekt'], resamples=2000)


def test_every_stored_score_of_thirty_runs_is_met(thirty, shared_data):
    held = json.loads((shared_data / 'vectors' / 'ov' / 'ovmer_baselines.json').read_text())['runs']
    assert len(held) == len(thirty.systems) == 30
    for view in thirty.views[:2]:
        for name, run in held.items():
            model, mode = name.split('/')
            scores, expected = view.scores[mode][model], run['expected'][view.name]
            assert scores['M-avg f'] == pytest.approx(expected['M_avg12'], abs=1e-12)
            for ring in (1, 2):
                assert scores[f'EW-L{ring} f'] == pytest.approx(expected[f'EW_level{ring}']['f'], abs=1e-12)
            for wheel in range(1, 6):
                for ring in (1, 2):
                    theirs = expected[f'case3_wheel{wheel}_level{ring}']
                    for part in ('n', 'precision', 'recall', 'f'):
                        assert scores[f'W{wheel}-L{ring} {part}'] == pytest.approx(theirs[part], abs=1e-12)


def test_published_correlations_with_gpt_are_reproduced_from_the_published_table(thirty):
    # The paper's row PCC, to its three digits: a check of the transcription and of the correlation.
    row = ['.887', '.857', '.911', '.940', '.913', '.942', '.904', '.927', '.899', '.922', '.885', '.894', '.942']
    found = thirty.agreements['published'].values()
    assert [f'{held.pearson:.3f}'.lstrip('0') for held in found] == row
    assert {held.models for held in found} == {12}


def test_ranks_move_with_the_table(thirty):
    # M-avg of 2025 in the paper's mode: SALMONN 43.65, Video-LLaVA 43.53; the tables of 2026 turn them round.
    (move,) = [move for move in thirty.moves if (move.mode, move.after) == (PAPER, '2026')]
    assert move.moved == {'SALMONN': (5, 6), 'Video-LLaVA': (6, 5)}
    # One discordant pair of 45: 1 - 2 / 45.
    assert move.kendall == pytest.approx(1 - 2 / 45)


def test_neighbours_in_the_ranking_cannot_be_told_apart_and_the_ends_can(thirty):
    ranking = thirty.views[0].rankings[PAPER]
    assert ranking.order[0] == 'Chat-UniVi'
    assert {'Chat-UniVi', 'Video-ChatGPT', 'mPLUG-Owl', 'LLaMA-VID'} <= set(ranking.groups[0])
    assert not set(ranking.letters('Chat-UniVi')) & set(ranking.letters('Qwen-Audio'))


def test_scores_of_every_table_go_with_the_published_grouping(thirty):
    for view in thirty.views:
        assert thirty.agreements[view.name][view.headline].models == 10
        assert thirty.agreements[view.name][view.headline].pearson > 0.9


def test_floors_are_the_best_constant_answer(thirty):
    words, value = thirty.views[0].floor
    assert value == max(thirty.views[0].floors.values())
    assert value > 0.37
    assert words in thirty.views[0].floors


@pytest.fixture
def small(tmp_path):
    truth = tmp_path / 'truth.csv'
    truth.write_text('name,openset\na,"[happy]"\nb,"[sad, angry]"\n')
    folder = tmp_path / 'predictions'
    (folder / 'One').mkdir(parents=True)
    (folder / 'One' / 'subtitle.csv').write_text('name,openset\na,"[happy]"\nb,"[sad]"\n')
    (folder / 'One' / 'nosubtitle.jsonl').write_text('{"name":"a","openset":[]}\n{"name":"b","openset":["angry"]}\n')
    (folder / 'Two-subtitle').mkdir()
    np.savez(folder / 'Two-subtitle' / 'x-openset.npz', filenames=['a', 'b'], fileitems=['[joyful]', '[]'])
    np.savez(folder / 'Two-subtitle' / 'x.npz', name2reason=['described'])
    (folder / 'Three.csv').write_text('name,openset\na,"[sad]"\nb,"[sad]"\n')
    return folder, truth


def test_layouts_give_models_and_modes(small):
    found = {(system.model, system.mode): system.path.name for system in find_systems(small[0])}
    assert found == {
        ('One', 'nosubtitle'): 'nosubtitle.jsonl',
        ('One', 'subtitle'): 'subtitle.csv',
        ('Three', ''): 'Three.csv',
        ('Two', 'subtitle'): 'x-openset.npz',
    }


def test_a_file_is_one_system(small, rng):
    folder, truth = small
    outcome = run_ovmer(folder / 'Three.csv', truth, rng=rng, tables=['affekt'], resamples=20)
    assert [system.model for system in outcome.systems] == ['Three']
    assert list(outcome.views[0].rankings) == ['']


def test_tables_that_are_not_here_are_left_out_by_name_unless_asked_for(small, rng, monkeypatch):
    from affekt.benchmarks import ovmer
    from affekt.errors import WeightsError

    def load(name):
        if name == 'affekt':
            return real(name)
        raise WeightsError(expected='x', came='y', todo='get it')

    real = ovmer.load_table
    monkeypatch.setattr(ovmer, 'load_table', load)
    outcome = run_ovmer(*small, rng=rng, resamples=200)
    assert [view.name for view in outcome.views] == ['affekt']
    assert outcome.notes == ('table 2025 left out: get it', 'table 2026 left out: get it')
    with pytest.raises(WeightsError):
        run_ovmer(*small, rng=rng, tables=['2025'], resamples=5)


def test_too_few_resamples_to_tell_anything_apart_are_noted(small, rng):
    # Ten systems are 45 pairs: with 100 resamples the least p is 1/101, times 45 is .45.
    folder, truth = small
    for number in range(9):
        (folder / f'More{number}.csv').write_text('name,openset\na,"[sad]"\nb,"[sad]"\n')
    outcome = run_ovmer(folder, truth, rng=rng, tables=['affekt'], resamples=100)
    assert outcome.notes == ('100 resamples tell none of 45 pairs apart; take at least 900',)


@pytest.mark.parametrize(
    ('spoil', 'said'),
    [
        (lambda p, t: (p / 'Three.csv').write_text('name,openset\na,"[sad]"\n'), "none for 'b'"),
        (lambda p, t: (p / 'Three.csv').write_text('name,openset\na,x\na,y\n'), "'a' more than once"),
        (lambda p, t: (p / 'Three.csv').write_text('name,openset\na,x\nb,y\nc,z\n'), "others too: 'c'"),
        (lambda p, t: (p / 'Three.csv').write_text('name,reason\na,x\n'), 'read the labels out'),
        (lambda p, t: (p / 'One' / 'second-subtitle.csv').write_text('name,openset\n'), 'one file for One'),
        (lambda p, t: (p / 'Four.npz').write_bytes(b'PK\x03\x04'), 'whole .npz'),
        (lambda p, t: (p / 'Four.jsonl').write_text('{"name":"a","openset":3}\n'), 'Four.jsonl, sample'),
        (lambda p, t: (p / 'Four.jsonl').write_text('{"name":"a","openset":\n'), 'row 1 of Four.jsonl'),
        (lambda p, t: (p / 'Four.parquet').write_bytes(b'PAR1'), 'Four.parquet'),
        (lambda p, t: t.unlink(), 'not there'),
        (lambda p, t: t.write_text(''), 'a table with rows'),
    ],
)
def test_bad_input_is_refused_in_a_sentence(spoil, said, small, rng):
    spoil(*small)
    with pytest.raises(AffektError) as caught:
        run_ovmer(*small, rng=rng, tables=['affekt'], resamples=5)
    assert said in str(caught.value)


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(TableError, match='nothing at'):
        find_systems(tmp_path / 'none')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(TableError, match='an empty folder'):
        find_systems(tmp_path / 'empty')
    (tmp_path / 'empty' / 'notes.txt').touch()
    with pytest.raises(TableError, match='without any'):
        find_systems(tmp_path / 'empty')


def test_the_command_prints_tables_of_eighty_columns_and_json(stored, shared_data, tmp_path):
    widest = sorted({each.model for each in find_systems(stored / 'ovmer')}, key=len)[-3:]
    for each in find_systems(stored / 'ovmer'):
        if each.model in widest:
            copied = tmp_path / 'predictions' / each.path.relative_to(stored / 'ovmer')
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(each.path, copied)
    words = ['bench', 'ovmer', '--predictions', str(tmp_path / 'predictions')]
    words += ['--truth', str(stored / 'ovmer' / 'truth.csv')]
    for table in ('2025', '2026'):
        words += ['--tables', str(shared_data / 'wheels' / table)]
    words += ['--tables', 'affekt', '--resamples', '50', '--out', str(tmp_path / 'out')]
    result = CliRunner().invoke(main, words, env={'COLUMNS': '80'})
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert '…' not in result.stdout
    facts = json.loads((tmp_path / 'out' / 'ovmer.json').read_text())
    assert [view['rule'] for view in facts['views']] == ['official', 'official', 'consistent']
    assert 'sample_00000000' not in json.dumps(facts)
    assert CliRunner().invoke(main, [*words[:3], 'nowhere', *words[4:]]).exit_code == 2
