"""What the page on architecture says of adding members is done as it says: written, installed, used and checked."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from affekt.plugins import GROUPS

pytest.importorskip('torch', reason='torch is absent')
if find_spec('setuptools') is None:
    pytest.skip('setuptools is absent, without which no package can be installed', allow_module_level=True)

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / 'docs' / 'architecture.md').read_text(encoding='utf-8')
FILES = dict(re.findall(r'```(?:python|toml)\n# (\S+)\n(.*?)```', PAGE, flags=re.S))
COMMANDS = [
    shlex.split(line)[1:] for block in re.findall(r'```sh\n(.*?)```', PAGE, flags=re.S) for line in block.splitlines()
]
DRIVER = """
import json, sys
from pathlib import Path
from click.testing import CliRunner
from affekt.analysis import Analysis, AnalysisSettings, Source
from affekt.analysis.assemble import assemble
from affekt.analysis.observations import Observed
from affekt.cli import main

listed = CliRunner().invoke(main, ['plugins', '--json'])
assert listed.exit_code == 0, listed.output
Path('plugins.json').write_text(listed.stdout)
assemble(Observed(Source('silence.wav', 'audio', 3.0, '00' * 32)), AnalysisSettings()).save('analysis')
for words in json.loads(sys.argv[1]):
    try:
        code = main(words, prog_name='affekt', standalone_mode=False)
    except SystemExit as ending:
        code = ending.code
    assert not code, (words, code)

from affekt.corpora import made_up_corpus
from affekt.features import Store, extract
from affekt.testing import check_corpus, check_export, check_fusion, check_judge, check_metric, check_recipe
from yours.one_model import one_model

check_recipe('word-count')
check_corpus('diary', Path('my_diary'))
check_fusion('late_mean')
check_metric('within_tenth')
check_judge('more words')
check_export('plain')

corpus = made_up_corpus()
extract(corpus, 'word-count', Path('made_up'))
rows = one_model(corpus, {'text': Store(Path('made_up/word-count'))})
print('rows', [row.system.name for row in rows])
"""


@pytest.fixture(scope='module')
def place(tmp_path_factory) -> Path:
    """A folder with the package of the page, installed for real, and what its commands read."""
    folder = tmp_path_factory.mktemp('adding')
    for name, text in FILES.items():
        path = folder / 'package' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')
    pip = [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-index', '--no-build-isolation']
    done = subprocess.run(
        [*pip, '--target', str(folder / 'site'), str(folder / 'package')], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (folder / 'my_diary' / 'clips').mkdir(parents=True)
    moods, parts = ('happy', 'sad'), ('train', 'train', 'val', 'test')
    rows = [f'd{n},{moods[n % 2]},{"good " * (n % 2) + "day"},{parts[n // 2 % 4]}' for n in range(40)]
    (folder / 'my_diary' / 'diary.csv').write_text('\n'.join(['entry,mood,words,part', *rows]) + '\n')
    for name, values in {'truth': (0.1, 0.5), 'answers': (0.15, 0.9)}.items():
        (folder / f'{name}.csv').write_text(f'sample,valence\na,{values[0]}\nb,{values[1]}\n')
    for name, text in {'short': 'sad', 'long': 'sad and tired'}.items():
        (folder / f'{name}.csv').write_text(f'name,description\na,{text}\n')
    return folder


@pytest.fixture(scope='module')
def driven(place) -> str:
    """What one process printed that listed the members, ran every command of the page and checked every contract."""
    paths = os.pathsep.join([str(place / 'site'), str(ROOT)])
    done = subprocess.run(
        [sys.executable, '-c', DRIVER, json.dumps(COMMANDS)], cwd=place, env=os.environ | {'PYTHONPATH': paths},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_adds_one_member_of_every_group(place, driven):
    rows = json.loads((place / 'plugins.json').read_text())
    assert {row['group'] for row in rows} == set(GROUPS)
    assert {(row['package'], row['version'], row['error']) for row in rows} == {('yours', '0.1', '')}


def test_every_command_of_the_page_runs_and_every_contract_is_kept(place, driven):
    assert (place / 'features' / 'word-count').is_dir()
    assert (place / 'exported').exists() or (place / 'exported.plain').exists()
    assert 'within_tenth' in driven
    assert 'late_mean' in driven
    assert "rows ['constant', 'attention']" in driven


def test_the_page_names_the_table_of_every_group():
    rows = re.findall(r'^\| .*? \| .*? \| `(\w+)` in `(\w+)` \| `affekt\.(\w+)` \|', PAGE, flags=re.M)
    assert {group for _, _, group in rows} == set(GROUPS)
    for table, room, group in rows:
        texts = [path.read_text(encoding='utf-8') for path in (ROOT / 'affekt' / room).glob('*.py')]
        assert any(re.search(rf"^{table}: Members\[.*?\] = Members\(\s*'{group}'", text, flags=re.M) for text in texts)
