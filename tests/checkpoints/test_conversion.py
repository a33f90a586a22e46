"""Conversion keeps every bit, says where a file came from, and never replaces one."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from published_files import save_published, stood_for
from safetensors.torch import load_file

from affekt.checkpoints import convert, inspected, opened
from affekt.checkpoints.hicmae import listing
from affekt.errors import StorageError, UnknownNameError, WeightsError

pytestmark = pytest.mark.usefixtures('same_process')
STATE = {
    'turned': torch.arange(12.0).reshape(3, 4).t(),
    'half': torch.tensor([1.5, -2.0]).half(),
    'counts': torch.tensor([3, 2**40]),
    'mask': torch.tensor([True, False]),
    'number': torch.tensor(2.5),
    'none': torch.zeros(0, 4),
}


def test_a_converted_file_holds_the_same_tensors(tmp_path):
    source = save_published(tmp_path / 'checkpoint-99.pth', STATE, wrapper='module.')
    written = convert(source, tmp_path / 'model.safetensors', licence='MIT')
    read = load_file(written.path)
    assert set(read) == set(STATE)
    assert all(read[name].dtype == value.dtype and torch.equal(read[name], value) for name, value in STATE.items())


def test_the_header_and_the_card_say_where_it_came_from(tmp_path):
    source = save_published(tmp_path / 'checkpoint-99.pth', STATE)
    written = convert(source, tmp_path / 'model.safetensors', licence='MIT')
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    notes = opened(written.path).notes
    assert (notes['source'], notes['source_sha256'], notes['licence']) == ('checkpoint-99.pth', sha256, 'MIT')
    assert (notes['epoch'], notes['args']['lr']) == (99, 1.5e-4)
    card = written.card.read_text()
    assert all(part in card for part in (sha256, '| licence | MIT |', '| epoch | 99 |', '| lr | 0.00015 |'))


def test_a_licence_is_never_guessed(tmp_path):
    written = convert(save_published(tmp_path / 'a.pth', STATE), tmp_path / 'model.safetensors')
    assert opened(written.path).notes['licence'] == 'not stated'
    assert 'not stated: the publisher of the weights decides' in written.card.read_text()


@pytest.mark.parametrize('taken', ['model.safetensors', 'model.md'])
def test_neither_file_nor_card_is_ever_replaced(tmp_path, taken):
    (tmp_path / taken).write_text('mine')
    with pytest.raises(StorageError, match=r'model\.(safetensors|md), which exists'):
        convert(save_published(tmp_path / 'a.pth', STATE), tmp_path / 'model.safetensors')
    assert (tmp_path / taken).read_text() == 'mine'
    assert not (tmp_path / ({'model.md': 'model.safetensors'}.get(taken, 'model.md'))).exists()


def test_a_dtype_changes_floating_point_numbers_alone(tmp_path):
    written = convert(save_published(tmp_path / 'a.pth', STATE), tmp_path / 'b.safetensors', dtype='bfloat16')
    read = load_file(written.path)
    assert read['turned'].dtype == read['half'].dtype == torch.bfloat16
    assert (read['counts'].dtype, read['mask'].dtype) == (torch.int64, torch.bool)
    assert torch.equal(read['turned'].float(), STATE['turned'])


def test_numbers_that_a_dtype_does_not_have_are_refused_by_name(tmp_path):
    source = save_published(tmp_path / 'a.pth', {'large': torch.tensor([7e4])})
    with pytest.raises(WeightsError, match=r'fit float16; got large with values up to 7e\+04'):
        convert(source, tmp_path / 'b.safetensors', dtype='float16')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.pth']


def test_an_unknown_dtype_or_ending_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match='float32'):
        convert(tmp_path / 'a.pth', tmp_path / 'b.safetensors', dtype='int8')
    with pytest.raises(StorageError, match='safetensors'):
        convert(tmp_path / 'a.pth', tmp_path / 'b.pth')


def test_a_state_with_missing_tensors_is_refused_unless_told_and_then_says_so(tmp_path):
    shapes, missing = listing(64, (1, 1, 1), classes=3), 'encoder_audio.norm.bias'
    del shapes[missing]
    source = save_published(tmp_path / 'a.pth', stood_for(shapes))
    with pytest.raises(WeightsError, match='a whole state of HiCMAE custom, finetune') as refused:
        convert(source, tmp_path / 'b.safetensors')
    assert missing in str(refused.value)
    assert not (tmp_path / 'b.safetensors').exists()
    written = convert(source, tmp_path / 'b.safetensors', allow_missing=True)
    assert missing in written.card.read_text()
    assert missing in json.dumps(opened(written.path).notes['faults'])
    assert inspected(written.path).missing == (missing,)


def test_what_a_stranger_wrote_cannot_break_the_card(tmp_path):
    settings = {'a|b': '<script>alert(1)</script>\n| x |', 'link': '[click](http://example.org)'}
    written = convert(save_published(tmp_path / 'a.pth', STATE, args=settings), tmp_path / 'b.safetensors')
    rows = [line for line in written.card.read_text().splitlines() if 'script' in line or 'click' in line]
    assert len(rows) == 2
    assert not any(mark in row for row in rows for mark in (' <', '[click]', '> |'))
