"""What makes a house of the rooms: their order, their faces, their size, and what they weigh."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import subprocess
import sys
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

import affekt

PACKAGE = Path(affekt.__file__).parent
OUTSIDE = [
    path for name in ('recipes', 'measurements', 'examples', 'tests') for path in (PACKAGE.parent / name).rglob('*.py')
]
"""Python files beside the package, which mypy does not read."""
OF_EXTRAS = {
    'accelerate', 'anyio', 'c2pa', 'cryptography', 'cv2', 'fastapi', 'gguf', 'huggingface_hub', 'onnx', 'onnxscript',
    'opensmile', 'peft', 'pydantic', 'ray', 'safetensors', 'sentencepiece', 'sklearn', 'torch',
    'transformers', 'uvicorn', 'wsproto',
}  # fmt: skip
"""Packages that no core install has."""
SHARES_ALL = {'media': 'containers', 'batch': 'analysis', 'live': 'analysis'}
"""A room to the one whose insides it uses: it decodes the bytes that the other walks; it runs what the
other does; it does the same while it happens."""
INSIDES: dict[str, set[str]] = {
    'text': {'tables.recognition', 'voice.encoder', 'voice.mel'},
    'metrics': {'labels.wheels'},
    'llm': {'labels.words'},
    'preference': {'metrics.resampling'},
    'judging': {'metrics.resampling'},
    'features': {'corpora.manifest', 'faces.expression', 'faces.landmarker', 'tables.arrow_arrays'},
    'corruption': {'corpora.manifest', 'media.writing'},
    'experiments': {'metrics.open_vocabulary_reward', 'pages.figures', 'training.absent'},
    'benchmarks': {
        'metrics.group_sizes',
        'metrics.label_sets',
        'metrics.resampling',
        'pages.figures',
        'training.standing',
    },
    'describers': {'pages.figures'},
    'challenges': {'features.sample_names', 'metrics.resampling', 'preference.pairs'},
    'live': {'media.picture_memory', 'media.pictures', 'media.probe'},
    'doctor': {'judging.plain_judges'},
    'cli': {
        'benchmarks.ovmer',
        'benchmarks.selection',
        'corpora.checks',
        'corpora.leaks',
        'corpora.manifest',
        'corruption.noises',
        'judging.plain_judges',
        'judging.strategies',
        'pages.figures',
        'ranking.leaderboard',
        'ranking.ties',
        'ranking.uncertainty',
    },
}
"""A room to the files of others that it uses past their faces: mostly lists of names that a help text shows."""
LIGHT_ROOMS = tuple(room for room in affekt.ROOMS if room not in affekt.TORCH_ROOMS)


def _files_of(room: str) -> list[Path]:
    folder = PACKAGE / room
    return sorted(folder.glob('*.py')) if folder.is_dir() else [PACKAGE / f'{room}.py']


@cache
def _imports(path: Path) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Modules of affekt that a file imports anywhere, those for type checkers included, and the names it takes."""
    taken = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split('.')[0] == 'affekt':
            taken.append((node.module, tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Import):
            taken += [(alias.name, ()) for alias in node.names if alias.name.startswith('affekt.')]
    return tuple(taken)


def _rooms_imported_by(path: Path) -> set[str]:
    """The first name below affekt of every import in a file."""
    rooms = set()
    for module, names in _imports(path):
        parts = module.split('.')
        rooms |= {parts[1]} if len(parts) > 1 else set(names)
    return rooms - {'__version__', 'ROOMS'}


def _module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


FILES = {_module_of(path): path for path in PACKAGE.rglob('*.py') if path.name != '__main__.py'}


def _files_imported_by(module: str) -> set[str]:
    """The files that a file imports; `from room import name` is the file of that name, or the room's face."""
    targets = set()
    for target, names in _imports(FILES[module]):
        targets |= {f'{target}.{name}' if f'{target}.{name}' in FILES else target for name in names} or {target}
    return (targets & FILES.keys()) - {module}


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


def _insides_used_by(room: str) -> set[str]:
    """Files of other rooms that a room imports past their faces."""
    modules = {module for path in _files_of(room) for module, _ in _imports(path) if module.count('.') == 2}
    return {module.removeprefix('affekt.') for module in modules if module.split('.')[1] != room}


@pytest.mark.parametrize('room', affekt.ROOMS)
def test_other_rooms_are_used_by_their_faces(room):
    insides = {module for module in _insides_used_by(room) if module.split('.')[0] != SHARES_ALL.get(room)}
    assert insides == INSIDES.get(room, set())


@pytest.mark.parametrize('room', affekt.ROOMS)
def test_a_room_has_at_most_25_files(room):
    assert len(_files_of(room)) <= 25


@pytest.mark.parametrize('room', affekt.ROOMS)
def test_at_most_four_files_of_a_room_share_the_beginning_of_their_names(room):
    """A fifth asks for a room of its own."""
    beginnings = Counter(path.stem.split('_')[0] for path in _files_of(room) if path.stem != '__init__')
    assert {name: times for name, times in beginnings.items() if times > 4} == {}


def test_no_files_import_each_other_however_long_the_way_round():
    try:
        TopologicalSorter({module: _files_imported_by(module) for module in FILES}).prepare()
    except CycleError as error:
        pytest.fail(' -> '.join(error.args[1]))


def test_light_rooms_need_none_of_the_extras_and_never_ask_for_torch():
    code = f"""
import sys
asked = set()
class Absent:
    def find_spec(self, name, path=None, target=None):
        asked.add(name)
        if name.split('.')[0] in {sorted(OF_EXTRAS)}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
import {', '.join(f'affekt.{room}' for room in LIGHT_ROOMS)}
print('numpy' in asked, 'torch' in asked)
"""
    assert _run(code) == 'True False'


def _run(code: str) -> str:
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip()


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


def test_the_command_line_loads_a_verb_s_rooms_only_when_it_runs():
    code = 'import sys, affekt.cli; print({"scipy.stats", "pyarrow", "av", "onnxruntime", "torch"} & set(sys.modules))'
    assert _run(code) == 'set()'


def test_labels_metrics_and_ranking_need_numpy_and_scipy_alone():
    rooms = 'affekt.labels, affekt.metrics, affekt.ranking'
    code = f'import sys, {rooms}; print({{"pyarrow", "av", "onnxruntime", "pandas", "rich"}} & set(sys.modules))'
    assert _run(code) == 'set()'


def test_scripts_and_tests_import_what_exists():
    pytest.importorskip('torch')
    absent = []
    for path in OUTSIDE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] == 'affekt':
                module = importlib.import_module(node.module or '')
                names = (alias.name for alias in node.names)
                absent += [f'{path.name}: {node.module}.{name}' for name in names if not _has(module, name)]
    assert not absent


def _has(module: ModuleType, name: str) -> bool:
    return hasattr(module, name) or importlib.util.find_spec(f'{module.__name__}.{name}') is not None
