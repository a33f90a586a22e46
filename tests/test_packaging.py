"""The wheel: what it declares is what it needs, and installed alone it runs the demo."""

from __future__ import annotations

import ast
import importlib.metadata as metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
EXTRAS = PROJECT['optional-dependencies']
BROUGHT_ALONG = {'demucs'}
"""Used where the user has it; what it needs is in no extra."""
DEMO_MODELS = ('face_landmarker.task', 'silero_vad.onnx', 'whisper-tiny.en', 'minilm-l6-int8.onnx', 'carphone.mp4')


CLEAN = {key: value for key, value in os.environ.items() if key not in ('PYTHONPATH', 'PYTHONHOME')}


def _plain(name: str) -> str:
    return re.sub(r'[-_.]+', '-', name).lower()


def _closure(names: list[str]) -> set[str]:
    """Distributions that are needed, and what they need, on this machine."""
    wanted, queue = set(), [(name, '') for name in names]
    while queue:
        name, extra = queue.pop()
        if _plain(name) in wanted:
            continue
        wanted.add(_plain(name))
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({'extra': extra}):
                queue.append((requirement.name, next(iter(requirement.extras), '')))
    return wanted


def _tops(name: str) -> set[str]:
    """Names beside which a distribution's files lie; its list of files has a line each, tens of thousands for torch."""
    try:
        lines = (metadata.distribution(name).read_text('RECORD') or '').splitlines()
    except metadata.PackageNotFoundError:
        return set()
    return {line.partition('/')[0].partition(',')[0].removesuffix('.py') for line in lines}


def test_every_extra_that_is_advised_exists_and_all_is_all():
    places = [*ROOT.glob('affekt/**/*.py'), *ROOT.glob('docs/*.md'), ROOT / 'README.md']
    advised = {
        extra
        for path in places
        for names in re.findall(r'affekt\[([\w,]+)\]', path.read_text(encoding='utf-8'))
        for extra in names.split(',')
    }
    assert advised <= set(EXTRAS)
    named = re.fullmatch(r'affekt\[([\w,]+)\]', EXTRAS['all'][0])
    assert named is not None
    assert set(named[1].split(',')) == set(EXTRAS) - {'all', 'test'}


def test_torch_is_pinned_nowhere_but_in_the_constraints():
    assert not [text for extra in EXTRAS.values() for text in extra if text.startswith('torch') and '==' in text]


def test_every_import_belongs_to_a_declared_dependency():
    declared = {
        _plain(Requirement(text).name)
        for text in (*PROJECT['dependencies'], *(text for name in EXTRAS if name != 'test' for text in EXTRAS[name]))
    }
    declared_tops = {top for name in declared for top in _tops(name)}
    undeclared = set()
    for path in ROOT.glob('affekt/**/*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or '']
            tops = {name.split('.')[0] for name in names} - sys.stdlib_module_names
            for top in tops - {
                '',
                'affekt',
                '__future__',
                '_typeshed',
                *BROUGHT_ALONG,
            }:  # _typeshed is of type checkers
                if top not in declared_tops and _plain(top) not in declared:
                    undeclared.add(f'{path.relative_to(ROOT)}: {top}')
    assert undeclared == set()


def test_the_core_install_stays_within_forty_packages():
    assert len(_closure([Requirement(text).name for text in PROJECT['dependencies']])) < 40


@pytest.fixture(scope='module')
def fresh(tmp_path_factory) -> Path:
    """The interpreter of an environment that holds the wheel and what it declares, and nothing else."""
    place = tmp_path_factory.mktemp('wheel')
    copy = place / 'source'  # nothing of an older build beside the sources gets in, nor of one that is running
    shutil.copytree(ROOT / 'affekt', copy / 'affekt', ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, copy)
    build = [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation', '-w', place, copy]
    built = subprocess.run([str(word) for word in build], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    venv.create(place / 'fresh', symlinks=True)
    python = place / 'fresh' / 'bin' / 'python'
    wheel = next(place.glob('*.whl'))
    pip = [sys.executable, '-m', 'pip', '--python', python]
    subprocess.run([*pip, 'install', '--quiet', '--no-deps', '--no-index', wheel], check=True, env=CLEAN)
    site = next((place / 'fresh' / 'lib').glob('python*/site-packages'))
    for name in _closure([Requirement(text).name for text in PROJECT['dependencies']]):
        distribution = metadata.distribution(name)
        for file in distribution.files or ():
            top = file.parts[0]
            source = Path(str(distribution.locate_file(top)))
            if top not in ('..', '__pycache__') and source.exists() and not (site / top).exists():
                (site / top).symlink_to(source)
    return python


def _run(python: Path, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, '-m', 'affekt', *words], cwd=folder, env=CLEAN, capture_output=True, text=True, check=False
    )


def test_the_installed_wheel_runs_the_demo(fresh, tmp_path):
    from affekt.weights import MODELS, state

    missing = [name for name in DEMO_MODELS if state(MODELS[name]) != 'verified']
    if missing:
        pytest.skip(f'model files are absent: {", ".join(missing)} (run `affekt weights get`)')
    shown = _run(fresh, 'demo', '--silent', '--fps', '2', '--json', '--out', 'run', folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)['files'][0]['people']
    assert next((tmp_path / 'run').glob('*/report.html')).stat().st_size > 10_000


def test_the_installed_wheel_has_no_torch_and_says_which_extra_brings_it(fresh, tmp_path):
    (tmp_path / 'pairs.csv').write_text('name,a1,a2\nx,sad,happy\n')
    shown = _run(fresh, 'annotate', 'pairs.csv', '--without-media', folder=tmp_path)
    assert shown.returncode == 2
    assert 'affekt[serve]' in shown.stderr
    assert (fresh.parent / 'affekt').exists()
