from __future__ import annotations

import re
from pathlib import Path

import torch

import affekt.description as room
from affekt.description import tiny_trunk

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'describing.md'


def test_the_example_of_the_page_runs(monkeypatch):
    code = re.search(r'```text\n(.*?)```', PAGE.read_text(), re.S)[1]
    monkeypatch.setattr(room, 'open_trunk', lambda name: tiny_trunk())
    names = {'voice': torch.randn(5, 384)}
    exec(compile(code, str(PAGE), 'exec'), names)
    assert names['answer'].finish in ('end', 'stop', 'length')
    assert names['clip'].pieces.sources == ('voice',)
    assert torch.isfinite(names['loss'])


def test_every_name_of_the_page_is_public():
    text = PAGE.read_text()
    for name in re.findall(r'`(\w+)\(', text):
        assert name in room.__all__, name
