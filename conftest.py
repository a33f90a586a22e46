"""Without torch the tests of the torch rooms are skipped, visibly, and their doctests are not collected."""

from __future__ import annotations

import importlib.util
import signal
from pathlib import Path

import pytest

TORCH_ROOMS = ('nn', 'training', 'fusion')
TORCH_FILES = tuple(f'encoders/{name}backbones.py' for name in ('', 'picture_', 'sound_', 'text_'))
HAS_TORCH = importlib.util.find_spec('torch') is not None
REASON = 'torch is absent (./dev test installs it where the package index has a CPU build)'


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # tests in the background: what they start shall know Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
    return [item for item in found if not _needs_torch(file_path) or isinstance(item, _NeedsTorch)]
