"""`affekt verify`: its words, its exit code, its JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.media.writing import write_image
from affekt.provenance import Consent, Provenance, sign

pytest.importorskip('c2pa')


@pytest.fixture
def picture(tmp_path, monkeypatch):
    monkeypatch.setenv('AFFEKT_CONFIG', str(tmp_path / 'settings'))
    return write_image(tmp_path / 'still.png', np.zeros((16, 16, 3), np.uint8))


def _verified(*words: str):
    return CliRunner().invoke(main, ['verify', *words])


def test_an_intact_file_is_said_to_be_so(picture):
    sign(picture, Provenance('geometric', Consent('agreed', 'form 3'), 'a' * 64, 'b' * 64, True))
    shown = _verified(str(picture))
    assert shown.exit_code == 0
    assert 'intact, signer unknown' in shown.output
    assert 'whose mouth is in the output' in shown.output
    assert 'note: form 3' in shown.output
    answer = json.loads(_verified(str(picture), '--json').stdout)
    assert (answer['state'], answer['is_signer_known']) == ('intact', False)
    assert answer['statement']['engine'] == 'geometric'


def test_a_changed_file_ends_with_two(picture):
    sign(picture, Provenance('geometric', Consent('nobody'), 'a' * 64))
    changed = bytearray(picture.read_bytes())
    changed[-20] ^= 1
    picture.write_bytes(changed)
    shown = _verified(str(picture))
    assert shown.exit_code == 2
    assert 'changed' in shown.output
    assert 'reason: the image or the audio was changed after it was signed' in shown.output
    assert 'dataHash' not in shown.output
    answer = json.loads(_verified(str(picture), '--json').stdout)
    assert (answer['state'], answer['codes']) == ('changed', ['assertion.dataHash.mismatch'])


def test_a_damaged_manifest_is_said_to_be_so_and_programs_get_the_readers_own_words(picture):
    sign(picture, Provenance('geometric', Consent('nobody'), 'a' * 64))
    content = picture.read_bytes()
    at = content.index(b'c2pa.claim')
    picture.write_bytes(content[:at] + content[at + 1 :])
    shown = _verified(str(picture))
    assert shown.exit_code == 2
    assert 'reason: the file or its manifest is damaged' in shown.output
    assert json.loads(_verified(str(picture), '--json').stdout)['codes']


def test_a_file_without_a_manifest_ends_with_two(picture):
    shown = _verified(str(picture))
    assert (shown.exit_code, 'no manifest' in shown.output) == (2, True)


def test_a_missing_file_ends_with_two(tmp_path):
    assert _verified(str(tmp_path / 'absent.mp4')).exit_code == 2


def test_an_empty_file_is_said_not_to_be_readable(tmp_path):
    (tmp_path / 'empty.mp4').touch()
    shown = _verified(str(tmp_path / 'empty.mp4'))
    assert shown.exit_code == 2
    assert 'reason: it cannot be read as video/mp4' in shown.output
