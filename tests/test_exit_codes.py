"""Verbs that make something of each input end with 2 where one gave nothing, name it, and do the others.

The verbs are those of the table in docs/exit_codes.md.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.corpora import Facts, Manifest, Sample
from affekt.media.synthetic import tone
from affekt.media.writing import write_audio

PAGE = Path(__file__).resolve().parents[1] / 'docs' / 'exit_codes.md'
WORDS = {
    'features extract': 'features extract m.parquet --recipe acoustics-utt --out features',
    'corrupt': 'corrupt m.parquet --snr 5 --out corrupted',
}
"""Command lines of the light ones; each finds one sound clip and one that cannot be read."""
ELSEWHERE = {
    'analyze': 'tests/test_faults.py', 'describe': 'tests/batch', 'bench analyze': 'tests/own_data',
    'caption speaking': 'tests/captioning',
    'export': 'tests/batch', 'report': 'tests/batch', 'caption run': 'tests/captioning', 'extract': 'tests/llm',
    'judge': 'tests/judging', 'bench unibench': 'tests/describers', 'bench describers': 'tests/describers',
    'reenact': 'tests/reenactment', 'bench reenact': 'tests/reenactment', 'weights get': 'tests/test_weights.py',
}  # fmt: skip
"""Verbs that ask servers, analyze or draw, to where they are held to the same."""


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
    """A manifest of a good clip and a broken one."""
    folder = tmp_path_factory.mktemp('inputs')
    (folder / 'clips').mkdir()
    write_audio(folder / 'clips' / 'good.wav', tone(1.0), 16_000)
    (folder / 'clips' / 'broken.wav').write_bytes(b'RIFF' + bytes(60))
    rows = [Sample(name, audio=f'clips/{name}.wav') for name in ('good', 'broken')]
    Manifest(Facts('toy', root=str(folder)), rows).save(folder / 'm.parquet')
    return folder


def test_the_page_lists_verbs_that_are_held_to_it_here_or_elsewhere():
    rows = re.findall(r'^\| (`.*`) \|', PAGE.read_text().split('## Many inputs')[1], flags=re.M)
    assert set(re.findall(r'`([^`]+)`', ' '.join(rows))) == set(WORDS) | set(ELSEWHERE)


@pytest.mark.parametrize('verb', sorted(WORDS))
def test_one_broken_clip_is_named_and_the_other_done(verb, clips, monkeypatch):
    monkeypatch.chdir(clips)
    ran = CliRunner().invoke(main, WORDS[verb].split())
    assert ran.exit_code == 2, ran.output
    assert 'broken' in ran.stderr
    assert 'Traceback' not in ran.output
