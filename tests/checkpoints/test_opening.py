"""Checkpoints are opened as torch would read them, tensor by tensor, with what they note."""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from affekt.checkpoints import opened
from affekt.errors import FileError, UnknownNameError, WeightsError

SAME_PROCESS = pytest.mark.usefixtures('same_process')
STATE = {
    'turned.weight': torch.arange(12.0).reshape(3, 4).t(),
    'shared': torch.arange(10.0)[3:7],
    'half': torch.tensor([1.5, -2.0]).half(),
    'brain': torch.tensor([0.5]).bfloat16(),
    'eighth': torch.tensor([0.5]).to(torch.float8_e4m3fn),
    'counts': torch.arange(3),
    'mask': torch.tensor([True, False]),
    'number': torch.tensor(2.5),
    'none': torch.zeros(0, 4),
    'all alike': torch.ones(1).expand(500, 500),
    'learned': torch.nn.Parameter(torch.full((2, 2), 3.0)),
}


def _equal(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    same = ours.shape == theirs.shape and ours.dtype == theirs.dtype
    return same and torch.equal(ours.float(), theirs.detach().float())


@pytest.mark.parametrize('is_zip', [True, False], ids=['zip', 'stream'])
def test_tensors_are_those_that_torch_reads(tmp_path, is_zip):
    path = tmp_path / 'checkpoint.pth'
    state = STATE if is_zip else {name: value for name, value in STATE.items() if name != 'eighth'}  # torch cannot
    torch.save({'model': state, 'epoch': 3}, path, _use_new_zipfile_serialization=is_zip)
    checkpoint, theirs = opened(path), torch.load(path, weights_only=True)['model']
    assert list(checkpoint.tensors) == list(theirs)
    assert all(_equal(checkpoint.tensor(name), value) for name, value in theirs.items())


@SAME_PROCESS
def test_a_safetensors_file_gives_the_same_tensors(tmp_path):
    state = {name: value.detach().contiguous() for name, value in STATE.items()}
    save_file(state, tmp_path / 'model.safetensors', metadata={'epoch': '7', 'note': 'plain text'})
    checkpoint = opened(tmp_path / 'model.safetensors')
    assert all(_equal(checkpoint.tensor(name), value) for name, value in state.items())
    assert checkpoint.notes == {'epoch': 7, 'note': 'plain text'}


@SAME_PROCESS
def test_notes_are_plain_data_and_the_optimiser_is_only_counted(tmp_path):
    settings = argparse.Namespace(lr=0.001, path='/somewhere', nested={'warmup': [1, 2]}, lowest=float('-inf'))
    optimiser = {'state': {0: {'exp_avg': torch.ones(3), 'step': torch.tensor(1.0)}}, 'param_groups': [{'lr': 0.1}]}
    saved = {
        'model': {'a': torch.ones(2)}, 'optimizer': optimiser, 'epoch': 'best', 'args': settings,
        'best': np.float64(0.75), 'counted': Counter(a=2), 'rank': np.uint16(3),
    }  # fmt: skip
    torch.save(saved, tmp_path / 'checkpoint.pth')
    checkpoint = opened(tmp_path / 'checkpoint.pth')
    assert checkpoint.notes == {
        'epoch': 'best', 'best': 0.75, 'counted': {'a': 2}, 'rank': 3,
        'args': {'lr': 0.001, 'path': '/somewhere', 'nested': {'warmup': [1, 2]}, 'lowest': '-inf'},
    }  # fmt: skip
    assert checkpoint.others == {'optimizer': (2, 16)}


@SAME_PROCESS
@pytest.mark.parametrize(
    ('saved', 'key', 'prefix'),
    [
        ({'a.b': torch.ones(1)}, '', ''),
        ({'module.a.b': torch.ones(1)}, '', 'module.'),
        ({'model': {'a.b': torch.ones(1)}}, 'model', ''),
        ({'module': {'a.b': torch.ones(1)}}, 'module', ''),
        ({'module': {'c': torch.ones(9)}, 'model': {'module.model.a.b': torch.ones(1)}}, 'model', 'module.model.'),
        ({'state_dict': {'model.a.b': torch.ones(1)}, 'epoch': 1}, 'state_dict', 'model.'),
        ({'a': {'b': torch.ones(1)}}, '', ''),
    ],
)  # fmt: skip
def test_the_model_lies_under_the_first_known_key_without_wrappers(tmp_path, saved, key, prefix):
    torch.save(saved, tmp_path / 'checkpoint.pth')
    checkpoint = opened(tmp_path / 'checkpoint.pth')
    assert (list(checkpoint.tensors), checkpoint.key, checkpoint.prefix) == (['a.b'], key, prefix)


@SAME_PROCESS
def test_one_name_without_the_prefix_keeps_all_of_them(tmp_path):
    torch.save({'module.a': torch.ones(1), 'b': torch.ones(1)}, tmp_path / 'checkpoint.pth')
    assert list(opened(tmp_path / 'checkpoint.pth').tensors) == ['module.a', 'b']


@SAME_PROCESS
def test_a_file_that_becomes_shorter_after_it_was_opened_is_refused(tmp_path):
    path = tmp_path / 'checkpoint.pth'
    torch.save({'a': torch.ones(1000)}, path)
    checkpoint = opened(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match='shorter'):
        checkpoint.tensor('a')


def test_folders_and_missing_files_are_one_sentence(tmp_path):
    with pytest.raises(FileError, match='folder'):
        opened(tmp_path)
    with pytest.raises(WeightsError, match='No such file'):
        opened(tmp_path / 'absent.pth')


def test_modules_beside_the_file_are_not_imported(tmp_path, monkeypatch):
    # Python would look into the current folder first: a download folder may hold a pickle.py
    for name in ('pickle', 'zipfile', 'affekt', 'json'):
        (tmp_path / f'{name}.py').write_text('import os; os._exit(3)')
    torch.save({'a': torch.ones(1)}, tmp_path / 'checkpoint.pth')
    monkeypatch.chdir(tmp_path)
    assert list(opened('checkpoint.pth').tensors) == ['a']


@SAME_PROCESS
def test_an_unknown_name_is_answered_with_the_one_that_was_meant(tmp_path):
    torch.save({'head.weight': torch.ones(1)}, tmp_path / 'checkpoint.pth')
    with pytest.raises(UnknownNameError, match=r"did you mean 'head\.weight'"):
        opened(tmp_path / 'checkpoint.pth').tensor('head.wieght')


@SAME_PROCESS
def test_notes_of_a_run_of_affekt_stand_beside_those_of_the_header(tmp_path):
    state = {'a': torch.ones(1)}
    save_file(state, tmp_path / 'run.safetensors', metadata={'notes': '{"epoch": 4, "family": "hicmae"}', 'by': 'me'})
    assert opened(tmp_path / 'run.safetensors').notes == {'epoch': 4, 'family': 'hicmae', 'by': 'me'}


@SAME_PROCESS
def test_notes_without_end_are_cut(tmp_path):
    deep = '[' * 300 + ']' * 300
    save_file({'a': torch.ones(1)}, tmp_path / 'deep.safetensors', metadata={'deep': deep, 'long': 'x' * 9000})
    notes = opened(tmp_path / 'deep.safetensors').notes
    assert str(notes['deep']).count('[') < 12
    assert len(notes['long']) == 501
