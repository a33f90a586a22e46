"""Prose tells the truth: the file map, links, commands, cards and figures that README and docs name."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import affekt
from affekt.cli import main
from affekt.runs import file_sha256
from affekt.weights import MODELS, model_path, state

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / 'README.md', ROOT / 'CHANGELOG.md', *(ROOT / 'docs').glob('*.md')])
FILE_PROTOCOL = {'read', 'seek', 'tell', 'seekable', 'readable', 'close'}
"""Methods that Python's own documentation describes."""
CARDS = sorted(path.with_suffix('.json') for path in (ROOT / 'affekt' / 'models').glob('*.md'))


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_to_files_resolve(page):
    targets = re.findall(r'\]\((?!https?:|#|mailto:)([^)#\s]+)', page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_to_sections_resolve(page):
    targets = re.findall(r'\]\(([^):\s]*\.md)?#([^)\s]+)\)', page.read_text())
    assert [(file, part) for file, part in targets if part not in _sections(page.parent / file if file else page)] == []


def test_sections_are_named_as_hubs_name_them():
    named = {'generalisation-of-the-models', 'faces-compared-with-mediapipe-122'}
    assert named <= _sections(ROOT / 'docs' / 'performance.md')


def _sections(page: Path) -> set[str]:
    """Names by which links reach the headings of a Markdown page."""
    headings = re.findall(r'^#+ (.+)$', re.sub(r'```.*?```', '', page.read_text(), flags=re.S), flags=re.M)
    plain = [re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', heading) for heading in headings]
    return {re.sub(r'[^\w\- ]', '', heading.lower()).strip().replace(' ', '-') for heading in plain}


def test_the_readme_names_every_room_and_no_other():
    readme = (ROOT / 'README.md').read_text()
    start = readme.index('## File map')
    named = set(re.findall(r'^\| `(\w+)(?:\.py|/)`', readme[start:], flags=re.M))
    assert named == set(affekt.ROOMS)


def test_commands_that_the_readme_shows_exist():
    readme = (ROOT / 'README.md').read_text()
    verbs = set(re.findall(r'^affekt (\w+)', readme, flags=re.M))
    assert verbs
    assert verbs <= set(main.commands)


def test_options_that_the_readme_shows_exist():
    readme = (ROOT / 'README.md').read_text()
    verbs = ('analyze', 'stream', 'demo', 'export', 'rank', 'annotate')
    helped = ''.join(CliRunner().invoke(main, [verb, '--help']).output for verb in verbs)
    shown = set(re.findall(r'`(--[a-z-]+)', readme))
    assert {option for option in shown if option not in helped} <= {'--thorough', '--fix'}


def test_the_readme_names_the_licence_of_every_model_file():
    readme = (ROOT / 'README.md').read_text()
    assert [name for name in MODELS if f'`{name}`' not in readme] == []
    assert [card.stem for card in CARDS if f'`{card.stem}`' not in readme] == []


@pytest.mark.parametrize('path', CARDS, ids=lambda path: path.stem)
def test_a_card_belongs_to_the_model_beside_it_and_names_its_data_licence_and_limits(path):
    card = json.loads(path.read_text())
    assert {'name', 'task', 'data', 'licence', 'commercial_ok', 'limits', 'metrics', 'recipe', 'sha256'} <= set(card)
    if (folder := path.with_suffix('')).is_dir():
        assert {p.name: file_sha256(p) for p in folder.iterdir()} == card['files']
        assert card['sha256'] == MODELS[path.stem].sha256
    else:
        beside = [p for p in path.parent.glob(f'{path.stem}.*') if p.suffix not in {'.json', '.md'}]
        assert [file_sha256(model) for model in beside] == [card['sha256']]
    assert path.with_suffix('.md').exists()


def _is_protocol(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == 'Protocol' for base in node.bases)


def _is_overload(node: ast.FunctionDef | ast.ClassDef) -> bool:
    return any(isinstance(each, ast.Name) and each.id == 'overload' for each in node.decorator_list)


def _public_without_docstring(path: Path) -> list[str]:
    found = []
    tree = ast.parse(path.read_text())
    if not ast.get_docstring(tree):
        found.append('module')
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith('_'):
            inner = node.body if isinstance(node, ast.ClassDef) and not _is_protocol(node) else []
            for item in [node, *inner]:
                public = isinstance(item, (ast.FunctionDef, ast.ClassDef)) and not item.name.startswith('_')
                if public and not _is_overload(item) and item.name not in FILE_PROTOCOL and not ast.get_docstring(item):
                    found.append(item.name)
    return found


def test_every_public_name_has_a_docstring():
    bare = {str(path): _public_without_docstring(path) for path in sorted((ROOT / 'affekt').rglob('*.py'))}
    assert {path: names for path, names in bare.items() if names} == {}


def test_json_files_hold_no_nan():
    """NaN and Infinity are not JSON; numbers that are not there are null."""
    texts = {path: path.read_text('utf-8') for path in sorted(ROOT.glob('*/**/results/**/*.json'))}
    texts |= {path: path.read_text('utf-8') for path in sorted((ROOT / 'affekt').rglob('*.json'))}
    assert len(texts) > 90
    for path, text in texts.items():
        json.loads(text, parse_constant=lambda constant, path=path: pytest.fail(f'{constant} in {path}'))


def test_the_page_on_performance_says_what_the_result_files_say():
    spec = importlib.util.spec_from_file_location('page', ROOT / 'measurements' / 'page.py')
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    assert (ROOT / 'docs' / 'performance.md').read_text() == page.page(ROOT / 'measurements' / 'results')
    own_data = (ROOT / 'docs' / 'own_data.md').read_text()
    assert own_data == page.with_example(own_data, ROOT / 'measurements' / 'results')


def test_the_page_on_open_labels_says_what_the_result_files_say(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'measurements'))
    spec = importlib.util.spec_from_file_location('labels_page', ROOT / 'measurements' / 'open_vocabulary_page.py')
    labels_page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(labels_page)
    held = labels_page.load()
    assert (ROOT / 'docs' / 'open_vocabulary.md').read_text() == labels_page.page(held)
    assert (ROOT / 'docs' / 'figures' / 'open_vocabulary.svg').read_text() == labels_page.figure(held)


def _percent(score: dict[str, float]) -> str:
    return '{value:.1f} % [{low:.1f}, {high:.1f}]'.format(**{key: 100 * score[key] for key in ('value', 'low', 'high')})


def test_the_figures_in_the_readme_are_those_of_the_cards():
    readme = (ROOT / 'README.md').read_text()
    face, voice, words = (
        json.loads((ROOT / 'affekt' / 'models' / f'{name}.json').read_text())['metrics']
        for name in ('face_expression', 'vocal_emotion_tiny_en', 'textual_emotion')
    )
    scores = [
        face['accuracy'],
        face['balanced_accuracy'],
        *(figures['uar'] for figures in voice['left_out_corpus'].values()),
        *(figures['uar_of_its_own_labels'] for figures in voice['in_corpus'].values()),
        words['goemotions']['labels']['macro_f1'],
        {
            key: words['dialogue']['IEMOCAP']['rows']['this model'][f'macro_f1{end}']
            for key, end in (('value', ''), ('low', '_low'), ('high', '_high'))
        },
    ]
    assert [score for score in map(_percent, scores) if score not in readme] == []
    valence = '{value:.3f} [{low:.3f}, {high:.3f}]'.format(**words['emobank']['valence']['pearson'])
    assert valence in readme


def test_the_example_in_the_readme_runs(tmp_path, monkeypatch, capsys):
    if state(MODELS['carphone.mp4']) != 'verified':
        pytest.skip('the demo clip is absent (run `affekt weights get --all`)')
    shutil.copy(model_path('carphone.mp4'), tmp_path / 'interview.mp4')
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r'```python\n(.*?)```', (ROOT / 'README.md').read_text(), flags=re.S)
    exec(compile(example, 'README.md', 'exec'), {})
    assert (tmp_path / 'interview' / 'analysis.json').exists()
    assert (tmp_path / 'interview' / 'report.html').exists()
    assert 'person 1' in capsys.readouterr().out


def test_the_picture_of_the_rooms_shows_every_room_and_no_other():
    picture = (ROOT / 'docs' / 'figures' / 'architecture.svg').read_text()
    assert set(re.findall(r'class="n"[^>]*>(\w+)<', picture)) == set(affekt.ROOMS)
