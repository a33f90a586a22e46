"""What a run of the tests skips, and what for: said at its end, also where processes share the work.

Without torch the tests of the torch rooms are skipped, and their doctests are not collected.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import re
import signal
from collections import Counter
from functools import cache
from pathlib import Path

import hypothesis  # noqa: F401  # its plugin would import it at the end, where its warnings are errors
import pytest

TESTS = Path(__file__).parent / 'tests'
TORCH_ROOMS = ('nn', 'training', 'fusion', 'pretraining', 'description')
TORCH_FILES = tuple(f'encoders/{name}backbones.py' for name in ('', 'picture_', 'sound_', 'text_'))
HAS_TORCH = importlib.util.find_spec('torch') is not None
REASON = 'torch is absent (./dev test installs it where the package index has a CPU build)'


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # tests in the background: what they start shall know Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection():
    """Modules and tests live to the end: looking through them for garbage took a third of the collection, and a tenth
    of what comes after it, so that they are set aside for good."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(700, 10, 100)  # what tests import while they run is not looked through often either
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Of several processes that share the files, one takes all tests that start copies of a loaded process: to load it
    takes longer than most of their files."""
    if config.getvalue('dist') != 'loadfile':
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return 'copies of a loaded process' if _starts_copies(config.rootpath / file) else file

    return Scheduling(config, log)


@cache
def _starts_copies(path: Path) -> bool:
    return bool(re.search(r'\b(killed_process|on_loaded_processes)\b', path.read_text(encoding='utf-8')))


class _NeedsTorch(pytest.Module):
    def collect(self):
        pytest.skip(REASON, allow_module_level=True)


def _needs_torch(path: Path) -> bool:
    name = '/'.join(path.parts[-2:])
    return not HAS_TORCH and (path.parent.name in TORCH_ROOMS or name in TORCH_FILES)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    return _NeedsTorch.from_parent(parent, path=module_path) if _needs_torch(module_path) else None


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path):
    found = yield
    # no doctests are among the tests, nor in six files of seven: to look for them takes seconds a process
    if file_path.is_relative_to(TESTS) or (found and '>>>' not in file_path.read_text(encoding='utf-8')):
        found = [item for item in found if type(item) in (pytest.Module, _NeedsTorch)]
    return [item for item in found if not _needs_torch(file_path) or isinstance(item, _NeedsTorch)]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if 'shared_data' in getattr(item, 'fixturenames', ()):
        item.user_properties.append(('needs', 'real data'))  # travels with the report of a process that tests


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Every reason for which tests were skipped, the most frequent first, and how many tests saw real data."""
    reports = terminalreporter.stats
    skipped = Counter(_reason(report) for report in reports.get('skipped', ()))
    whole_files = Counter(_reason(report) for report in reports.get('skipped', ()) if report.when == 'collect')
    terminalreporter.section('skipped')
    for reason, count in skipped.most_common():
        files = whole_files[reason]
        counts = [_counted(count - files, 'test')] * (count > files) + [_counted(files, 'whole file')] * bool(files)
        terminalreporter.write_line(f'{" and ".join(counts)}: {reason}')
    if not skipped:
        terminalreporter.write_line('no test')
    ran = [report for outcome in ('passed', 'failed') for report in reports.get(outcome, ()) if report.when == 'call']
    count = sum(('needs', 'real data') in map(tuple, report.user_properties) for report in ran)
    folder = os.environ.get('AFFEKT_SHARED_DATA', '../shared/data')
    terminalreporter.write_line(f'real data: {folder}, {_counted(count, "test")}')


def _counted(count: int, noun: str) -> str:
    return f'{count:,} {noun}{"s" * (count != 1)}'


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return re.sub(r'^Skipped: ', '', ' '.join(text.split())) or 'without a reason'
