"""A run of the tests ends with what it skipped and what for, also where processes share the work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TESTS = """
import pytest

@pytest.fixture
def shared_data():
    return '/somewhere'

def test_of_real_data(shared_data): pass

@pytest.mark.parametrize('n', range(3))
def test_with_a_reason(n): pytest.skip('no camera')

@pytest.mark.skip(reason='no sound')
def test_of_another(): pass
"""


def _run(folder: Path, *words: str) -> str:
    shutil.copy(ROOT / 'conftest.py', folder)
    (folder / 'pytest.ini').write_text('[pytest]\n')
    plain = {name: value for name, value in os.environ.items() if not name.startswith('PYTEST_')}
    plain['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'  # what other plugins warn of stands in lines of its own
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'xdist', '-p', 'no:cacheprovider', *words]
    return subprocess.run(command, cwd=folder, env=plain, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize('words', [(), ('-n', '2', '--dist', 'loadfile')], ids=['alone', 'shared'])
def test_reasons_are_counted_and_real_data_is_named(tmp_path, words):
    (tmp_path / 'test_some.py').write_text(TESTS)
    (tmp_path / 'test_none.py').write_text("import pytest\npytest.importorskip('no_such_module', reason='no module')\n")
    shown = _run(tmp_path, *words)
    lines = [line for line in shown.splitlines() if ': ' in line]
    assert lines[0] == '3 tests: no camera'
    assert set(lines[1:3]) == {'1 test: no sound', '1 whole file: no module'}
    assert lines[3].startswith('real data: ')
    assert lines[3].endswith(', 1 test')


def test_a_run_that_skips_nothing_says_so(tmp_path):
    (tmp_path / 'test_some.py').write_text('def test_it(): pass\n')
    shown = _run(tmp_path)
    assert '= skipped =' in shown
    assert '\nno test\n' in shown


COPYING = """
import os
import pytest

@pytest.fixture
def killed_process(): pass

def test_it(killed_process):
    with open(__file__ + '.process', 'w') as file:
        file.write(os.environ['PYTEST_XDIST_WORKER'])
"""


def test_files_that_start_copies_of_a_loaded_process_share_one_process(tmp_path):
    for number in range(6):
        (tmp_path / f'test_copying_{number}.py').write_text(COPYING)
        (tmp_path / f'test_plain_{number}.py').write_text(COPYING.replace('killed_process', 'plain'))
    _run(tmp_path, '-n', '2', '--dist', 'loadfile')
    copying, plain = (
        [path.read_text() for path in tmp_path.glob(f'test_{name}_*.process')] for name in ('copying', 'plain')
    )
    assert len(copying) == len(plain) == 6
    assert len(set(copying)) == 1
    assert len(set(copying + plain)) == 2
