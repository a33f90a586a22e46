"""What decides numbers is in the hash, and features of another text, file or window are not taken for these."""

from __future__ import annotations

import dataclasses

import pytest

from affekt.corpora import made_up_corpus
from affekt.encoders.onnx_side_files import weights_beside
from affekt.errors import RunError, WeightsError
from affekt.features import Store, extract


def test_a_changed_text_or_window_is_another_extraction(tmp_path):
    corpus = made_up_corpus()
    first = extract(corpus, 'hash512', tmp_path)
    assert extract(corpus, 'hash512', tmp_path).path == first.path
    for change in ({'text': 'something else'}, {'start_s': 0.0, 'end_s': 0.5}):
        rows = (dataclasses.replace(corpus.samples[0], **change), *corpus.samples[1:])
        with pytest.raises(RunError, match='other texts, files or windows'):
            extract(dataclasses.replace(corpus, samples=rows), 'hash512', tmp_path)
    assert len(Store(first.path)) == len(corpus)


def test_weights_beside_an_onnx_file_are_hashed_and_must_be_there(tmp_path):
    onnx = pytest.importorskip('onnx')
    np = pytest.importorskip('numpy')
    tensors = onnx.numpy_helper.from_array(np.ones((64, 64), np.float32), 'w')
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node('MatMul', ['x', 'w'], ['y'])], 'net',
        [onnx.helper.make_tensor_value_info('x', 1, [None, 64])],
        [onnx.helper.make_tensor_value_info('y', 1, [None, 64])], [tensors],
    )  # fmt: skip
    path = tmp_path / 'net.onnx'
    onnx.save(
        onnx.helper.make_model(graph), path, save_as_external_data=True, location='net.onnx.data', size_threshold=0
    )
    before = weights_beside(path)
    assert list(before) == ['net.onnx.data']
    beside = tmp_path / 'net.onnx.data'
    beside.write_bytes(bytes(reversed(beside.read_bytes())))
    assert weights_beside(path) != before
    beside.unlink()
    with pytest.raises(WeightsError, match=r'no net\.onnx\.data'):
        weights_beside(path)
