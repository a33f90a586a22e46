"""What other packages add: found lazily, usable by name, and refused in one sentence where it is broken."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from affekt.analysis import EXPORTS, Analysis, AnalysisSettings, Source, Timeline, export
from affekt.cli import main
from affekt.cli.choices import corpora, exports, metrics, recipes, reference_judges
from affekt.corpora import CORPORA, corpus_named, made_up_corpus
from affekt.doctor import plugged_in
from affekt.errors import PluginError
from affekt.features import RECIPES, listed_recipes, recipe_named
from affekt.metrics import METRICS, metric_named
from affekt.plugins import GROUPS, blamed, installed

MODULE = """
from pathlib import Path
from affekt.corpora import Corpus
from affekt.features import Recipe
from affekt.metrics import Metric
from affekt.judging import AlwaysLeft

Path(__file__).with_name('loaded').touch()
LENGTH = Recipe('length', 'text', 1, {'tool': 'strangers'}, print)
PLAYS = Corpus('plays', 'Plays', 'en', (), 'nowhere', 'nobody')
MISNAMED = Corpus('others', 'Others', 'en', (), 'nowhere', 'nobody')
AGREEMENT = Metric(lambda truth, prediction: float((truth == prediction).mean()), 'categories', (0, 1))
JUDGE = AlwaysLeft
NUMBER = 3

def write_lines(analysis, out):
    out.write_text('lines')

def falls_over(analysis, out):
    return {}['no such key']
"""
WHOLE = """
[affekt.recipes]
length = strangers:LENGTH
[affekt.corpora]
plays = strangers:PLAYS
[affekt.metrics]
agreement = strangers:AGREEMENT
[affekt.judges]
left again = strangers:JUDGE
[affekt.exports]
lines = strangers:write_lines
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a package with these entry points on the path, without pip."""

    def put(entry_points: str, package: str = 'strangers', module: str = MODULE) -> Path:
        folder = tmp_path / package
        facts = folder / f'{package}-1.2.dist-info'
        facts.mkdir(parents=True)
        (facts / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n')
        (facts / 'entry_points.txt').write_text(entry_points)
        (folder / f'{package}.py').write_text(module)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, package, raising=False)
        monkeypatch.setattr('affekt.plugins._in_use', {})
        return folder

    return put


def test_names_are_known_before_anything_is_loaded(install):
    folder = install(WHOLE)
    assert 'length' in recipes()
    assert 'plays' in corpora()
    assert 'agreement' in metrics()
    assert 'left again' in reference_judges()
    assert 'lines' in exports()
    assert len(CORPORA) == len(list(CORPORA)) == len(CORPORA.own) + 1
    assert not (folder / 'loaded').exists()


def test_members_are_loaded_when_they_are_asked_for_by_name(install):
    folder = install(WHOLE)
    assert recipe_named('length').dimension == 1
    assert corpus_named('plays').title == 'Plays'
    assert metric_named('agreement').bounds == (0, 1)
    assert (folder / 'loaded').exists()
    assert dict(CORPORA.items())['plays'] is CORPORA['plays']
    assert [row.names for row in listed_recipes() if row.kind == 'plugin'] == [('length',)]


def test_a_misspelt_name_is_answered_with_that_of_a_package(install):
    install(WHOLE)
    shown = CliRunner().invoke(main, ['corpus', 'import', 'playz', '.', '--out', 'x.parquet'])
    assert shown.exit_code == 2
    assert "did you mean 'plays'?" in shown.stderr


def test_plugins_lists_package_group_and_name(install):
    install(WHOLE)
    shown = CliRunner().invoke(main, ['plugins', '--json'])
    assert shown.exit_code == 0
    rows = {row['group']: row for row in json.loads(shown.stdout)}
    assert rows['recipes'] == {
        'package': 'strangers', 'version': '1.2', 'group': 'recipes', 'name': 'length',
        'value': 'strangers:LENGTH', 'error': '',
    }  # fmt: skip
    assert set(rows) == set(GROUPS) - {'fusion'}


BROKEN = {
    'no such module': ('[affekt.recipes]\nx = nowhere:X', 'ModuleNotFoundError'),
    'no such attribute': ('[affekt.recipes]\nx = strangers:X', 'AttributeError'),
    'an object of another type': ('[affekt.recipes]\nx = strangers:NUMBER', 'an object of type int, not Recipe'),
    'an object of another name': ('[affekt.corpora]\nx = strangers:MISNAMED', "a Corpus that calls itself 'others'"),
    'no function': ('[affekt.exports]\nx = strangers:NUMBER', '3, which cannot be called'),
    'no metric': ('[affekt.metrics]\nx = strangers:write_lines', 'an object of type function, not Metric'),
    'a built-in name': ('[affekt.corpora]\nmeld = strangers:PLAYS', 'a name that affekt itself has'),
    'a built-in name spelt otherwise': ('[affekt.corpora]\nMELD = strangers:PLAYS', 'a name that affekt itself has'),
    'the name of an encoder': (
        '[affekt.recipes]\nchinese-hubert-large = strangers:LENGTH', 'a name that affekt itself has',
    ),
    'no place': ('[affekt.recipes]\nx = two words', 'an entry point that is not NAME = MODULE:ATTRIBUTE'),
    'a name that is a path': ('[affekt.recipes]\n../x = strangers:LENGTH', 'a name that is not letters'),
    'a group that is none': ('[affekt.recipe]\nx = strangers:LENGTH', "did you mean 'recipes'?"),
    'a line that is none': ('[affekt.recipes]\nlength', 'a list of entry points that cannot be read'),
}  # fmt: skip


@pytest.mark.parametrize('sort', sorted(BROKEN))
def test_a_broken_member_says_package_entry_point_error_and_how_to_remove_it(install, sort):
    entry_points, came = BROKEN[sort]
    install(entry_points)
    (row,) = plugged_in()
    assert came in str(row.error)
    assert 'strangers 1.2' in str(row.error)
    assert 'pip uninstall strangers' in str(row.error)
    shown = CliRunner().invoke(main, ['plugins'])
    assert (shown.exit_code, shown.stderr.count('cannot be used:')) == (1, 1)


@pytest.mark.parametrize(
    'raises',
    [
        'raise SystemExit(0)',
        'raise ValueError("bad\\nluck")',
        '1 / 0',
        'def',
        'raise BaseExceptionGroup("x", [ValueError()])',
    ],
)
def test_whatever_a_package_raises_nothing_else_is_spoilt(install, raises):
    install('[affekt.recipes]\nx = strangers:X\n[affekt.corpora]\nx = strangers:X', module=raises)
    assert 'x' not in dict(RECIPES.items())
    assert {row.names[0]: row.runs for row in listed_recipes() if row.kind == 'plugin'} == {'x': 'no'}
    with pytest.raises(PluginError, match='pip uninstall strangers'):
        recipe_named('x')
    for words in (['features', 'list'], ['corpus', 'list']):
        shown = CliRunner().invoke(main, words)
        assert shown.exit_code == 0
        assert 'pip uninstall strangers' in ' '.join((shown.stdout + shown.stderr).split())


def test_a_built_in_member_stays_what_it_is_beside_one_of_the_same_name(install):
    own = CORPORA['meld']
    install('[affekt.corpora]\nmeld = strangers:PLAYS')
    assert CORPORA['meld'] is own
    assert list(CORPORA).count('meld') == 1


def test_two_packages_with_one_name_are_both_refused(install):
    install('[affekt.corpora]\nplays = strangers:PLAYS')
    install('[affekt.corpora]\nplays = strangers:PLAYS', package='others')
    assert len(plugged_in()) == 2
    with pytest.raises(PluginError, match='the same name from'):
        corpus_named('plays')


def test_an_older_copy_further_down_the_path_is_not_a_second_one(install, tmp_path, monkeypatch):
    install('[affekt.corpora]\nplays = strangers:PLAYS')
    install('[affekt.corpora]\nplays = strangers:PLAYS', package='Strangers')  # pip takes both for one package
    assert len(installed()) == 1


def test_what_a_package_prints_is_kept_out_of_the_answer(install):
    install('[affekt.corpora]\nplays = strangers:PLAYS', module='print("hello")\n' + MODULE)
    shown = CliRunner().invoke(main, ['plugins', '--json'])
    assert json.loads(shown.stdout)[0]['error'] == ''


def test_an_error_in_the_code_of_a_package_is_said_to_be_its_own(install, tmp_path):
    install('[affekt.exports]\nfalls = strangers:falls_over')
    with pytest.raises(KeyError) as raised:
        EXPORTS['falls'](None, tmp_path)
    assert 'KeyError in its code' in str(blamed(raised.value))
    analysis = Analysis(Source('x', 'audio', 1.0, ''), Timeline.empty(), (), (), (), (), (), {}, (), AnalysisSettings())
    with pytest.raises(PluginError, match='KeyError in its code'):
        export(analysis, 'falls', tmp_path / 'out')


def test_the_member_in_use_is_named_where_its_module_holds_others(install, tmp_path):
    install('[affekt.corpora]\nplays = strangers:PLAYS\n[affekt.exports]\nfalls = strangers:falls_over')
    with pytest.raises(KeyError) as raised:
        EXPORTS['falls'](None, tmp_path)
    assert 'affekt.exports, strangers:falls_over' in str(blamed(raised.value))


def test_an_error_of_affekt_itself_stays_what_it_is(install):
    assert blamed(KeyError('of affekt')) is None
    install(WHOLE)
    assert blamed(KeyError('of affekt')) is None  # nothing of the package was asked for


def test_a_metric_needs_bounds_that_are_some():
    assert all(low < high for low, high in (metric.bounds for metric in METRICS.values()))


MISBEHAVED = """
from affekt.analysis import Analysis
from affekt.corpora import Corpus, Layout
from affekt.features import Recipe
from affekt.metrics import Metric

def falls(recipe):
    raise KeyError('no weights')

def encodes_nothing(recipe):
    return lambda manifest, samples: None

def yields_numbers(release):
    yield 3

class SaysLeft:
    name = 'says left'
    def verdict(self, pair, order):
        return 'left'

FALLS = Recipe('falls', 'text', 1, {'tool': 'strangers'}, falls)
NOTHING = Recipe('nothing', 'text', 1, {'tool': 'strangers'}, encodes_nothing)
NUMBERS = Corpus('numbers', 'Numbers', 'en', (Layout(('x.csv',), yields_numbers, '1'),), 'nowhere', 'nobody')
WORDLESS = Metric(lambda truth, prediction: None, 'categories', (0, 1))
"""
MISUSED = {
    'a recipe that does not open': ('recipes', 'falls', 'FALLS'),
    'a recipe that gives nothing': ('recipes', 'nothing', 'NOTHING'),
    'a corpus of numbers': ('corpora', 'numbers', 'NUMBERS'),
    'a metric that is none': ('metrics', 'wordless', 'WORDLESS'),
    'a judge without a verdict': ('judges', 'says left', 'SaysLeft'),
}
COMMANDS = {
    'recipes': 'features extract corpus.parquet --out features --recipe',
    'corpora': 'corpus import . --out out.parquet',
    'metrics': 'score labels --truth x.csv --prediction x.csv --metric',
    'judges': 'judge a.csv b.csv --judge',
}


@pytest.mark.parametrize('sort', MISUSED)
def test_a_member_that_misbehaves_in_use_is_named_in_one_sentence(install, tmp_path, monkeypatch, sort):
    group, name, attribute = MISUSED[sort]
    install(f'[affekt.{group}]\n{name} = strangers:{attribute}', module=MISBEHAVED)
    monkeypatch.chdir(tmp_path)
    made_up_corpus().save(tmp_path / 'corpus.parquet')
    for table in ('x', 'a', 'b'):
        (tmp_path / f'{table}.csv').write_text(f'name,category,description\nc1,happy,{table}\nc2,sad,{table}\n')
    words = COMMANDS[group].split()
    words.insert(2 if group == 'corpora' else len(words), name)
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code in (0, 2), shown.exception
    # what ends an encoder on a sample is the reason of that sample
    if group != 'recipes' or 'unreadable: TypeError' not in shown.stderr:
        assert 'pip uninstall strangers' in ' '.join(shown.stderr.split())
