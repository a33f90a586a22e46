"""Exported networks give what torch gives, for any number of windows of any length."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib.util import find_spec

import encoder_cases as cases
import numpy as np
import onnxruntime
import pytest

pytest.importorskip('torch', reason='torch is absent (pip install affekt[torch])')
if find_spec('onnxscript') is None:  # to import it takes seconds, in each process that collects tests
    pytest.skip('onnxscript is absent (pip install affekt[torch])', allow_module_level=True)

import torch
from click.testing import CliRunner

from affekt.cli import main
from affekt.errors import StorageError, UnknownNameError
from affekt.nn import position_table, sinusoids, sliced_positions
from affekt.representations import export_onnx, onnx_export

SHALLOW = replace(cases.BOTH, depth=1, decoder_depth=1)
"""An export takes as long as there are blocks."""


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp('exported')
    run = cases.run_folder(folder / 'run', SHALLOW)
    return run, export_onnx(run, folder / 'both.onnx')


@pytest.mark.parametrize(('count', 'frames', 'steps'), [(1, 16, 256), (3, 8, 128), (2, 32, 512), (5, 2, 16)])
def test_a_file_answers_as_torch_does_at_any_length(exported, count, frames, steps):
    rng = torch.Generator().manual_seed(3)
    video = torch.randn(count, 3, frames, 32, 32, generator=rng)
    audio = torch.randn(count, 1, steps, 128, generator=rng)
    model = cases.network(SHALLOW)
    with torch.no_grad():
        features, outputs = model.features(video, audio)[0], model(video, audio)
    session = onnxruntime.InferenceSession(str(exported[1].path))
    answers = session.run(['features', 'outputs'], {'video': video.numpy(), 'audio': audio.numpy()})
    np.testing.assert_allclose(answers[0], features.numpy(), atol=1e-4)
    np.testing.assert_allclose(answers[1], outputs.numpy(), atol=1e-4)


def test_a_file_says_what_it_is_and_names_its_free_axes(exported):
    run, made = exported
    assert made.apart < 1e-5
    assert set(made.inputs) == {'video', 'audio'}
    assert made.inputs['video'][0] == 'batch'
    assert made.inputs['video'][1] == 3
    assert isinstance(made.inputs['audio'][2], str)
    notes = onnxruntime.InferenceSession(str(made.path)).get_modelmeta().custom_metadata_map
    assert (notes['family'], notes['licence'], notes['source']) == ('hicmae', 'not stated', 'weights.safetensors')
    with pytest.raises(StorageError, match='exists'):
        export_onnx(run, made.path)
    with pytest.raises(StorageError, match=r'ends in \.onnx'):
        export_onnx(run, made.path.with_name('other.pt'))
    with pytest.raises(UnknownNameError, match='video, audio'):
        export_onnx(run, made.path.with_name('other.onnx'), modalities=('text',))


def test_eight_bits_change_the_numbers_by_what_the_command_says(exported, monkeypatch, tmp_path):
    run, made = exported
    monkeypatch.setattr(onnx_export, '_write', lambda model, form, path: shutil.copy(made.path, path))
    words = ['checkpoint', 'convert', str(run / 'weights.safetensors'), '--out', str(tmp_path / 'small.onnx')]
    done = CliRunner().invoke(main, [*words, '--dtype', 'int8'])
    assert done.exit_code == 0, done.output
    notes = onnxruntime.InferenceSession(str(tmp_path / 'small.onnx')).get_modelmeta().custom_metadata_map
    assert 1e-4 < float(notes['apart_from_torch']) < 0.1  # 0.22 where weights use all 8 bits and sums saturate
    assert 'apart from torch' in done.output
    assert 'export done after' in done.stderr
    assert b'MatMulInteger' in (tmp_path / 'small.onnx').read_bytes()


def test_positions_of_an_unknown_length_are_a_slice_of_one_table():
    like = torch.zeros(1)
    with sliced_positions(50, 8):
        assert torch.equal(position_table(7, 8, like), sinusoids(7, 8))
        assert position_table(7, 16, like).shape == (7, 16)
    assert torch.equal(position_table(7, 8, like), sinusoids(7, 8))
