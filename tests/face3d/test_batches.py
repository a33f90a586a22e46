"""The rasteriser of torch: the same faces as NumPy's, and gradients as finite differences have them."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.errors import ShapeError, ValueRangeError
from affekt.face3d import interpolate, interpolate_batch, rasterize, rasterize_batch

torch = pytest.importorskip('torch', reason='torch is absent')


@pytest.mark.parametrize('seed', range(20))
def test_faces_weights_and_depths_are_those_of_the_rasteriser_of_numpy(seed):
    rng = np.random.default_rng(seed)
    points = np.stack([np.column_stack([rng.uniform(-4, 20, (12, 2)), rng.integers(0, 40, 12)]) for _ in range(3)])
    if seed % 2:
        points[:, :, :2] = np.round(points[:, :, :2] * 2) / 2
    triangles = rng.integers(0, 12, (18, 3))
    batch = rasterize_batch(torch.tensor(points), torch.tensor(triangles), (16, 15), front_only=seed % 3 == 0)
    for number in range(3):
        alone = rasterize(points[number], triangles, (16, 15), front_only=seed % 3 == 0)
        assert np.array_equal(batch.face[number].numpy(), alone.face)
        # moved to 1/256 of a pixel there, as given here; thin triangles magnify that
        assert np.median(np.abs(batch.barycentric[number].numpy() - alone.barycentric)) < 0.01
        assert np.array_equal(np.isinf(batch.depth[number].numpy()), np.isinf(alone.depth))


def test_gradients_of_depth_and_of_an_attribute_are_those_of_finite_differences():
    points = torch.tensor(
        [[[0.3, 0.2, 1.0], [9.1, 0.4, 2.0], [0.6, 9.3, 4.0]]], dtype=torch.float64, requires_grad=True
    )
    attribute = torch.tensor([[[1.0, 0.0], [2.0, 5.0], [7.0, 3.0]]], dtype=torch.float64, requires_grad=True)
    triangles = torch.tensor([[0, 1, 2]])

    def inner(points, attribute):
        raster = rasterize_batch(points, triangles, (8, 8))
        return raster.depth[0, 2, 1:4], interpolate_batch(raster, triangles, attribute)[0, 2, 1:4]

    assert torch.autograd.gradcheck(inner, (points, attribute))


def test_an_attribute_is_interpolated_as_by_numpy():
    points = np.array([[0, 0, 1], [8, 0, 1], [0, 8, 1.0]])
    triangles, attribute = np.array([[0, 1, 2]]), np.array([[0, 1], [8, 2], [0, 3.0]])
    raster = rasterize_batch(torch.tensor(points)[None], torch.tensor(triangles), (8, 8))
    mine = interpolate_batch(raster, torch.tensor(triangles), torch.tensor(attribute)[None])[0].numpy()
    assert mine == pytest.approx(interpolate(rasterize(points, triangles, (8, 8)), triangles, attribute), abs=1e-5)


def test_no_face_in_sight_is_an_empty_picture_and_other_shapes_are_refused():
    away = torch.tensor([[[50, 50, 1.0], [60, 50, 1], [50, 60, 1]]])
    assert (rasterize_batch(away, torch.tensor([[0, 1, 2]]), (4, 4)).face == -1).all()
    with pytest.raises(ShapeError):
        rasterize_batch(away[0], torch.tensor([[0, 1, 2]]), (4, 4))


@pytest.mark.parametrize(('x', 'corner'), [(float('nan'), 2), (1e6, 2), (4.0, 3)])
def test_points_out_of_range_and_corners_that_do_not_exist_are_refused_as_by_numpy(x, corner):
    points = torch.tensor([[[0, 0, 1.0], [x, 0, 1], [0, 4, 1]]])
    with pytest.raises(ValueRangeError):
        rasterize_batch(points, torch.tensor([[0, 1, corner]]), (4, 4))
