"""The order of the rooms and their weight: a room imports only rooms before it, and light rooms load no torch."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import affekt

PACKAGE = Path(affekt.__file__).parent
LIGHT_ROOMS = tuple(room for room in affekt.ROOMS if room not in affekt.TORCH_ROOMS)


def _files_of(room: str) -> list[Path]:
    folder = PACKAGE / room
    return sorted(folder.glob('*.py')) if folder.is_dir() else [PACKAGE / f'{room}.py']


def _rooms_imported_by(path: Path) -> set[str]:
    """The first name below affekt of every import in a file, those for type checkers included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split('.')[0] == 'affekt':
            parts = node.module.split('.')
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split('.')[1] for alias in node.names if alias.name.startswith('affekt.')}
    return found - {'__version__', 'ROOMS'}


@pytest.mark.parametrize('room', affekt.ROOMS)
def test_a_room_imports_only_rooms_before_it(room):
    allowed = set(affekt.ROOMS[: affekt.ROOMS.index(room) + 1])
    for path in _files_of(room):
        assert _rooms_imported_by(path) <= allowed, path


def test_every_file_and_folder_of_the_package_is_a_room_or_data():
    names = {p.stem if p.is_file() else p.name for p in PACKAGE.iterdir() if not p.name.startswith('_')}
    assert names - {'models', 'py'} == set(affekt.ROOMS)


def test_rooms_have_no_folders_inside():
    assert [p for room in affekt.ROOMS for p in (PACKAGE / room).glob('*/') if p.name != '__pycache__'] == []


def _run(code: str) -> str:
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip()


def test_no_light_room_loads_torch():
    rooms = ', '.join(f'affekt.{room}' for room in LIGHT_ROOMS)
    assert _run(f'import sys, {rooms}; print("torch" in sys.modules)') == 'False'


def test_a_core_install_is_at_most_forty_packages_without_torch():
    spec = importlib.util.spec_from_file_location('startup', PACKAGE.parent / 'measurements' / 'startup.py')
    startup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(startup)
    packages = startup.core_packages()
    assert {'affekt', 'numpy', 'pyarrow'} <= packages
    assert 'torch' not in packages
    assert len(packages) <= 40


def test_importing_affekt_loads_nothing_heavy():
    heavy = '{"numpy", "scipy", "pyarrow", "av", "onnxruntime", "ctranslate2"}'
    assert _run(f'import sys, affekt; print(sorted({heavy} & set(sys.modules)))') == '[]'


def test_labels_metrics_and_ranking_need_numpy_and_scipy_alone():
    rooms = 'affekt.labels, affekt.metrics, affekt.ranking'
    code = f'import sys, {rooms}; print({{"pyarrow", "av", "onnxruntime", "pandas", "rich"}} & set(sys.modules))'
    assert _run(code) == 'set()'
