"""What ranking stands on: numbers, scores and how tables and pages are read and written, nothing of emotion."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from affekt import ranking

ROOMS = {'arrays', 'errors', 'metrics', 'moved_names', 'pages', 'ranking', 'runs', 'tables', 'typed_json', 'wording'}
PACKAGES = {'numpy', 'scipy'}


def test_ranking_imports_numpy_scipy_and_rooms_that_know_nothing_of_descriptions():
    rooms, packages = set(), set()
    for path in Path(ranking.__file__).parent.glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            rooms |= {name.split('.')[1] for name in names if name.startswith('affekt.')}
            packages |= {name.split('.')[0] for name in names}
    assert rooms <= ROOMS
    assert packages - {'affekt', '__future__'} - set(sys.stdlib_module_names) <= PACKAGES
