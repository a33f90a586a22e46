"""Without torch the tests of the torch rooms are skipped, visibly, and their doctests are not collected."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

TORCH_ROOMS = ('nn', 'training', 'fusion')
HAS_TORCH = importlib.util.find_spec('torch') is not None

if not HAS_TORCH:
    collect_ignore_glob = [f'affekt/{room}/*' for room in TORCH_ROOMS]


class _NeedsTorch(pytest.Module):
    def collect(self):
        pytest.skip(
            'torch is absent (./dev test installs it where the package index has a CPU build)', allow_module_level=True
        )


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if not HAS_TORCH and module_path.parent.name in TORCH_ROOMS and module_path.parents[1].name == 'tests':
        return _NeedsTorch.from_parent(parent, path=module_path)
    return None
