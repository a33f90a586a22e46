"""What importing the trainers costs."""

import re
from pathlib import Path

import affekt


def test_what_only_spread_models_need_is_imported_where_they_are_spread():
    # torch.distributed.fsdp brings sympy: 43 MB in every process that trains or answers
    at_top = re.compile(r'^(import|from) (accelerate|torch\.distributed\.fsdp)\b', re.MULTILINE)
    sources = Path(affekt.__file__).parent.rglob('*.py')
    assert [path.name for path in sources if at_top.search(path.read_text())] == []
