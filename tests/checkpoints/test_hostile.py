"""Whatever a file is or asks for, nothing of it runs, and one sentence says what came."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from affekt.checkpoints import inspected, opened
from affekt.errors import WeightsError


class Runs:
    """Makes a file when a pickle of it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def _whole(tmp_path: Path) -> bytes:
    torch.save({'model': {'a': torch.ones(1000)}}, tmp_path / 'whole.pth')
    return (tmp_path / 'whole.pth').read_bytes()


def _zipped(pickled: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, 'w') as archive:
        archive.writestr('archive/data.pkl', pickled)
    return content.getvalue()


def _deflated(tmp_path: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('archive/data.pkl', b'\0' * (1 << 24))
    return content.getvalue()


def _tar(tmp_path: Path) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode='w') as archive:
        archive.addfile(tarfile.TarInfo('storages'), io.BytesIO())
    return content.getvalue()


def _npz(tmp_path: Path) -> bytes:
    np.savez(tmp_path / 'arrays.npz', a=np.ones(3))
    return (tmp_path / 'arrays.npz').read_bytes()


def _flipped(tmp_path: Path) -> bytes:
    content = bytearray(_whole(tmp_path))
    content[content.find(struct.pack('<f', 1.0) * 50) + 8] ^= 1
    return bytes(content)


def _short_storage(tmp_path: Path) -> bytes:
    _whole(tmp_path)
    content = io.BytesIO()
    with zipfile.ZipFile(tmp_path / 'whole.pth') as source, zipfile.ZipFile(content, 'w') as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name)[:400])
    return content.getvalue()


def _saved(tmp_path: Path, saved: object, *, is_zip: bool = True) -> bytes:
    torch.save(saved, tmp_path / 'saved.pth', _use_new_zipfile_serialization=is_zip)
    return (tmp_path / 'saved.pth').read_bytes()


def _doubling() -> bytes:
    """A list in a list twice, sixty times over: 2 to the 60th values in 300 bytes."""
    return b'\x80\x04]\x94' + b''.join(b'h' + bytes([at]) + b'h' + bytes([at]) + b'\x86\x94' for at in range(60)) + b'.'


def _nested(value: object, depth: int) -> object:
    return value if not depth else {'n': _nested(value, depth - 1)}


def _safe(index: bytes) -> bytes:
    return struct.pack('<Q', len(index)) + index


_U8 = b'{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'

HOSTILE = {
    'empty': (lambda at: b'', 'an empty file'),
    'page': (lambda at: b'<!DOCTYPE html><p>not found', 'a page'),
    'Git LFS': (lambda at: b'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'Git LFS'),
    'index of parts': (
        lambda at: b'{\n  "metadata": {"total_size": 1},\n  "weight_map": {}\n}',
        'JSON, such as the index',
    ),
    'NumPy': (_npz, 'a zip archive that torch did not write'),
    'tar': (_tar, 'a tar archive'),
    'bytes': (lambda at: bytes(range(256)) * 8, 'foreign'),
    'truncated zip': (lambda at: _whole(at)[:2000], 'truncated'),
    'truncated stream': (lambda at: _saved(at, {'a': torch.ones(99)}, is_zip=False)[:-40], 'truncated'),
    'changed byte': (_flipped, 'checksum differs'),
    'deflated': (_deflated, 'compressed, which torch never does'),
    'storage too short': (_short_storage, '1,000 numbers of float32 are announced'),
    'whole module': (lambda at: _saved(at, torch.nn.Linear(2, 2)), 'Linear, which was not run'),
    'another pickle': (lambda at: pickle.dumps({'a': 1}), 'a pickle that torch did not write'),
    'no tensor': (lambda at: _saved(at, {'epoch': 3}), 'without any tensor'),
    'bare tensor': (lambda at: _saved(at, torch.ones(3)), 'one tensor without a name'),
    'two of one name': (lambda at: _saved(at, {'1': torch.ones(1), 1: torch.ones(1)}), 'two tensors of one name'),
    'sparse': (lambda at: _saved(at, {'a': torch.eye(2).to_sparse_coo()}), 'not run'),
    'without values': (lambda at: _saved(at, {'a': torch.ones(2, device='meta')}), 'not run'),
    'endless tensor': (lambda at: _saved(at, {'a': torch.ones(1).expand(1 << 20, 1 << 20)}), 'stand for'),
    'values without end': (lambda at: _zipped(_doubling()), 'without end'),
    'value within itself': (lambda at: _zipped(b'\x80\x04]\x94h\x00a.'), 'without end'),
    'long name': (lambda at: _saved(at, {'n' * 1001: torch.ones(1)}), 'a name of more than 1,000 characters'),
    'deep name': (lambda at: _saved(at, _nested({'a': torch.ones(1)}, 40)), 'nested or repeated'),
    'nan': (lambda at: _saved(at, {'a': torch.tensor([1.0, float('nan')])}), 'nan or infinity in 1 of 1 tensors'),
    'infinity': (lambda at: _saved(at, {'a': torch.tensor([float('inf')]).bfloat16()}), 'nan or infinity'),
    'nan of eight bits': (lambda at: _saved(at, {'a': torch.tensor([float('nan')]).to(torch.float8_e4m3fn)}), 'nan or'),
    'safetensors cut': (lambda at: struct.pack('<Q', 1 << 40) + b'{"a":1}', 'truncated safetensors'),
    'safetensors index': (lambda at: struct.pack('<Q', 7) + b'{"a":1}', 'damaged index'),
    'safetensors name twice': (lambda at: _safe(b'{"a":%s,"a":%s}' % (_U8, _U8)) + b'1', 'damaged index'),
    'safetensors deep': (lambda at: struct.pack('<Q', 99_999) + b'{"a":' + b'[' * 99_994, 'damaged index'),
    'safetensors overlapping': (
        lambda at: _safe(b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":%s}' % _U8) + b'12',
        "'a' overlaps 'b'",
    ),
    'safetensors gap': (
        lambda at: _safe(b'{"a":%s,"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}' % _U8) + b'123',
        "'b' leaves a gap to 'a'",
    ),
    'safetensors more': (lambda at: _safe(b'{"a":%s}' % _U8) + b'123', '2 bytes after the last tensor'),
    'safetensors before its begin': (
        lambda at: struct.pack('<Q', 55) + b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[-16,0]}}'[:55] + bytes(16),
        'damaged index',
    ),
}


NEEDS_LIMITS = {
    'bytes without end': (lambda at: _zipped(b'\x80\x04\x8e' + struct.pack('<Q', 1 << 40) + b'.'), 'memory'),
    'memo without end': (lambda at: _zipped(b'\x80\x02}r' + struct.pack('<I', 0x0FFFFFFF) + b'.'), 'memory'),
}


@pytest.mark.parametrize('name', HOSTILE)
@pytest.mark.filterwarnings('ignore')
@pytest.mark.usefixtures('same_process')
def test_a_file_that_is_no_checkpoint_gets_one_sentence(tmp_path, name):
    _require_refusal(tmp_path, *HOSTILE[name])


@pytest.mark.parametrize('name', NEEDS_LIMITS)
def test_a_file_that_asks_for_all_memory_gets_one_sentence(tmp_path, name):
    _require_refusal(tmp_path, *NEEDS_LIMITS[name])


def _require_refusal(tmp_path: Path, make: Callable[[Path], bytes], came: str) -> None:
    path = tmp_path / 'hostile.pth'
    path.write_bytes(make(tmp_path))
    with pytest.raises(WeightsError, match=came):
        inspected(path)


@pytest.mark.parametrize('is_zip', [True, False], ids=['zip', 'stream'])
def test_what_a_pickle_asks_to_run_is_named_and_not_run(tmp_path, is_zip):
    trap = tmp_path / 'trap'
    saved = {'model': {'a': torch.ones(1)}, 'args': Runs(trap)}
    (tmp_path / 'hostile.pth').write_bytes(_saved(tmp_path, saved, is_zip=is_zip))
    with pytest.raises(WeightsError, match=r'asks for (posix|nt)\.mkdir, which was not run'):
        opened(tmp_path / 'hostile.pth')
    assert not trap.exists()


def test_a_bare_pickle_is_not_run_either(tmp_path):
    trap = tmp_path / 'trap'
    (tmp_path / 'hostile.pth').write_bytes(pickle.dumps(Runs(trap)))
    with pytest.raises(WeightsError, match='not run'):
        opened(tmp_path / 'hostile.pth')
    assert not trap.exists()


@pytest.mark.filterwarnings('ignore')
@pytest.mark.usefixtures('same_process')
def test_a_torchscript_archive_is_a_program(tmp_path):
    torch.jit.trace(torch.nn.ReLU(), torch.ones(1)).save(str(tmp_path / 'program.pt'))
    with pytest.raises(WeightsError, match='TorchScript archive, which is a program'):
        opened(tmp_path / 'program.pt')


@pytest.mark.usefixtures('same_process')
def test_infinity_in_a_mask_of_whole_numbers_is_no_fault(tmp_path):
    torch.save({'a': torch.ones(2), 'ids': torch.full((3,), 2**31 - 1, dtype=torch.int32)}, tmp_path / 'fine.pth')
    inspected(tmp_path / 'fine.pth')
