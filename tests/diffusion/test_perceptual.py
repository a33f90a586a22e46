"""LPIPS against its definition written out, and features by an exported network."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from affekt.diffusion.perceptual import SCALE, SHIFT, PerceptualDistance, features_of  # noqa: E402
from affekt.errors import ShapeError, WeightsError  # noqa: E402

WIDTHS = (64, 192, 384, 256, 256)


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp('lpips')
    rng = torch.Generator().manual_seed(0)
    shapes = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}
    state = {'classifier.1.weight': torch.zeros(2, 2)}
    for at, shape in shapes.items():
        state[f'features.{at}.weight'] = torch.randn(shape, generator=rng) / (shape[1] * shape[2] ** 2) ** 0.5
        state[f'features.{at}.bias'] = 0.1 * torch.randn(shape[0], generator=rng)
    torch.save(state, folder / 'alexnet.pth')
    linear = {f'lin{at}.model.1.weight': torch.rand(1, w, 1, 1, generator=rng) for at, w in enumerate(WIDTHS)}
    torch.save(linear, folder / 'alex.pth')
    return folder, state, linear


def _written_out(state, linear, left, right):
    pooling, convolution = torch.nn.MaxPool2d(3, 2), torch.nn.functional.conv2d
    total = 0.0
    maps = []
    for image in (left, right):
        x = torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32)) / 255 * 2 - 1
        x = (x - torch.tensor(SHIFT).view(1, 3, 1, 1)) / torch.tensor(SCALE).view(1, 3, 1, 1)
        layers = []
        for at, step, border in ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)):
            x = pooling(x) if at in (3, 6) else x
            x = convolution(x, state[f'features.{at}.weight'], state[f'features.{at}.bias'], step, border).clamp(min=0)
            layers.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        maps.append(layers)
    for at, (a, b) in enumerate(zip(*maps, strict=True)):
        total += float(convolution((a - b) ** 2, linear[f'lin{at}.model.1.weight']).mean())
    return total


def test_lpips_is_what_its_definition_says(files):
    folder, state, linear = files
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 256, (2, 64, 72, 3), dtype=np.uint8)
    distance = PerceptualDistance(folder / 'alexnet.pth', folder / 'alex.pth')
    assert distance(left, left) == 0
    assert distance(left, right) == pytest.approx(_written_out(state, linear, left, right), rel=1e-5)
    with pytest.raises(ShapeError):
        distance(left, right[:-1])


def test_other_weights_are_refused(files):
    folder, *_ = files
    with pytest.raises(WeightsError, match='lin0'):
        PerceptualDistance(folder / 'alexnet.pth', folder / 'alexnet.pth')
    with pytest.raises(WeightsError):
        PerceptualDistance(folder / 'alex.pth', folder / 'alex.pth')


def test_features_come_from_an_exported_network(tmp_path):
    onnx = pytest.importorskip('onnx')
    helper = onnx.helper
    mean = helper.make_node('ReduceMean', ['x'], ['y'], axes=[2, 3], keepdims=0)
    picture = helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, ['B', 3, 4, 5])
    graph = helper.make_graph(
        [mean], 'mean', [picture], [helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, ['B', 3])]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    onnx.save(model, tmp_path / 'mean.onnx')
    pictures = np.random.default_rng(0).integers(0, 256, (11, 4, 5, 3), dtype=np.uint8)
    given = features_of(tmp_path / 'mean.onnx', pictures)
    np.testing.assert_allclose(given, pictures.mean(axis=(1, 2)) / 255, atol=1e-6)
    with pytest.raises(WeightsError):
        features_of(tmp_path / 'mean.onnx', pictures[:, :3])
    with pytest.raises(WeightsError):
        features_of(tmp_path / 'absent.onnx', pictures)
