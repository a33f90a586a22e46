"""The rasteriser for many meshes at once on a device, with gradients; needs torch.

Which triangle a pixel shows is decided as in `rasteriser.py`, with the same integers, and has no gradient. The position
on that triangle, and so depth and every interpolated attribute, does have one: gradients describe how the value at a
pixel changes while it shows the same triangle. Silhouettes have none.

B meshes, V points, F triangles shared by all meshes, H and W the image, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from affekt.errors import ShapeError, ValueRangeError
from affekt.face3d.rasteriser import DEPTH_STEPS, FARTHEST, STEPS

if TYPE_CHECKING:
    from torch import Tensor


class RasterBatch(NamedTuple):
    """The triangles at the pixels of B images."""

    face: Tensor
    """(B, H, W) int64 index of the triangle, -1 where there is none."""
    barycentric: Tensor
    """(B, H, W, 3) weights of the corners, for the unsnapped points: on an edge, one may be below 0 by up to 1/256 of a
    pixel. 0 where there is no face."""
    depth: Tensor
    """(B, H, W) depth; inf where there is no face."""


def rasterize_batch(
    points: Tensor, triangles: Tensor, size: tuple[int, int], *, front_only: bool = False
) -> RasterBatch:
    """The nearest triangle at every pixel centre, for every mesh.

    Args:
        points: (B, V, 3) float, x and y in pixels, depth in any unit, on any device.
        triangles: (F, 3) int64 on the same device.
        size: height and width of the images.
        front_only: omit triangles whose corners turn clockwise for the viewer.

    Raises:
        ShapeError: a shape differs from the above.
        ValueRangeError: a point is not finite or farther than 32,768 pixels from the corner of the image, or a
            triangle names a point that does not exist.
        ModuleNotFoundError: torch is absent.
    """
    import torch

    if points.ndim != 3 or points.shape[2] != 3 or triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ShapeError(
            expected='points (B, V, 3) and triangles (F, 3)',
            came=f'{tuple(points.shape)} and {tuple(triangles.shape)}', todo='put a batch axis in front',
        )  # fmt: skip
    if not bool((points[:, :, :2].abs() <= FARTHEST).all() & points[:, :, 2].isfinite().all()):
        raise ValueRangeError(
            expected=f'finite points within {FARTHEST:,} pixels', came='a point that is not',
            todo='leave out points behind the camera or far outside the image',
        )  # fmt: skip
    if triangles.numel() and not bool(((triangles >= 0) & (triangles < points.shape[1])).all()):
        raise ValueRangeError(
            expected=f'point numbers from 0 to {points.shape[1] - 1}', came='others',
            todo='give the triangles of this mesh',
        )  # fmt: skip
    with torch.no_grad():
        face = _faces(points.detach().double(), triangles, size, front_only)
    is_hit = face >= 0
    # (P,) mesh, row and column of every pixel with a face; (P, 3, 3) the corners of its face
    mesh, row, column = is_hit.nonzero(as_tuple=True)
    corners = points[mesh[:, None], triangles[face[is_hit]]]
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = (corners[:, corner].unbind(1) for corner in range(3))
    x, y = column.to(points.dtype) + 0.5, row.to(points.dtype) + 0.5
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    area = torch.where(area == 0, torch.ones_like(area), area)
    second = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
    third = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
    weights = torch.stack([1 - second - third, second, third], dim=1)  # (P, 3)
    barycentric = points.new_zeros(*face.shape, 3).index_put((mesh, row, column), weights)
    pixel_depth = az + second * (bz - az) + third * (cz - az)
    depth = points.new_full(tuple(face.shape), float('inf')).index_put((mesh, row, column), pixel_depth)
    return RasterBatch(face, barycentric, depth)


def interpolate_batch(raster: RasterBatch, triangles: Tensor, attribute: Tensor) -> Tensor:
    """An attribute of the points at every pixel, with gradients to the attribute and to the positions of the points.

    Args:
        raster: the triangle at each pixel.
        triangles: (F, 3) the triangles that were rasterized.
        attribute: (B, V, C).

    Returns:
        (B, H, W, C); 0 where there is no face.
    """
    is_hit = raster.face >= 0
    mesh, row, column = is_hit.nonzero(as_tuple=True)
    corners = attribute[mesh[:, None], triangles[raster.face[is_hit]]]  # (P, 3, C)
    values = (raster.barycentric[is_hit][:, :, None] * corners).sum(dim=1)
    image = attribute.new_zeros(*raster.face.shape, attribute.shape[2])
    return image.index_put((mesh, row, column), values)


def _faces(points: Tensor, triangles: Tensor, size: tuple[int, int], front_only: bool) -> Tensor:
    """(B, H, W) index of the face at each pixel; steps 1 to 3 of `rasteriser.rasterize`."""
    import torch

    height, width = size
    meshes, count = len(points), len(triangles)
    snapped = torch.round(points[:, :, :2] * STEPS)
    low = points[:, :, 2].amin(dim=1, keepdim=True)
    span = points[:, :, 2].amax(dim=1, keepdim=True) - low
    relative_depth = ((points[:, :, 2] - low) / torch.where(span == 0, torch.ones_like(span), span))[:, triangles]
    relative_depth = relative_depth.reshape(-1, 3)  # (B, F, 3) to (B F, 3)
    x, y = (snapped[:, triangles, axis].reshape(-1, 3) for axis in range(2))  # each (B F, 3)
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    faces = ((area < 0) if front_only else (area != 0)).nonzero().squeeze(1)

    # rows of pixels of one triangle, R of them
    top = torch.clamp(torch.ceil(y[faces].amin(1) / STEPS - 0.5), min=0)
    bottom = torch.clamp(torch.floor(y[faces].amax(1) / STEPS - 0.5), max=height - 1)
    rows = torch.clamp(bottom - top + 1, min=0).long()
    face = torch.repeat_interleave(faces, rows)
    row = torch.repeat_interleave(top, rows) + _within(rows)
    first, last = _spans(face, row, x, y, area, width)
    is_span = last >= first
    face, row, first, last = face[is_span], row[is_span], first[is_span], last[is_span]

    # pixels of every span, and the smallest (depth, face) at each
    divisor = torch.where(area == 0, torch.ones_like(area), area)
    to_second, to_third = relative_depth[:, 1] - relative_depth[:, 0], relative_depth[:, 2] - relative_depth[:, 0]
    along_x = (to_second * (y[:, 2] - y[:, 0]) - to_third * (y[:, 1] - y[:, 0])) / divisor * STEPS
    along_y = (to_third * (x[:, 1] - x[:, 0]) - to_second * (x[:, 2] - x[:, 0])) / divisor * STEPS
    at_origin = relative_depth[:, 0] - along_x * x[:, 0] / STEPS - along_y * y[:, 0] / STEPS
    at_first = at_origin[face] + along_x[face] * (first + 0.5) + along_y[face] * (row + 0.5)
    length = (last - first + 1).long()
    offset = _within(length)
    pixel_face = torch.repeat_interleave(face, length)
    depth = torch.repeat_interleave(at_first, length) + along_x[pixel_face] * offset
    key = (torch.round(depth.clamp(0, 1) * DEPTH_STEPS).long() << 32) | (pixel_face % count)
    first_pixel = ((face // count) * height + row.long()) * width + first.long()
    empty = torch.iinfo(torch.int64).max
    nearest = torch.full((meshes * height * width,), empty, dtype=torch.int64, device=points.device)
    nearest.scatter_reduce_(0, torch.repeat_interleave(first_pixel, length) + offset, key, 'amin')
    face_at_pixel = torch.where(nearest == empty, torch.full_like(nearest, -1), nearest & 0xFFFFFFFF)
    return face_at_pixel.reshape(meshes, height, width)


def _within(count: Tensor) -> Tensor:
    """0, 1, … within each of several runs: [2, 3] gives [0, 1, 0, 1, 2]."""
    import torch

    ends = torch.cumsum(count, 0)
    total = int(ends[-1]) if len(ends) else 0
    return torch.arange(total, device=count.device) - torch.repeat_interleave(ends - count, count)


def _spans(face: Tensor, row: Tensor, x: Tensor, y: Tensor, area: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """(R,) first and last column, as `rasteriser._spans`."""
    import torch

    sign = torch.sign(area)
    first, last = torch.zeros_like(row), torch.full_like(row, width - 1.0)
    center_y = row * STEPS + STEPS / 2
    for begin, end in ((0, 1), (1, 2), (2, 0)):
        slope = (-(y[:, end] - y[:, begin]) * sign)[face]
        start = ((x[:, end] - x[:, begin]) * sign)[face] * (center_y - y[face, begin]) - slope * x[face, begin]
        cut = -start / torch.where(slope == 0, torch.ones_like(slope), slope)
        first = torch.where(slope > 0, torch.maximum(first, torch.ceil((cut - STEPS / 2) / STEPS)), first)
        last = torch.where(slope < 0, torch.minimum(last, torch.floor((cut - STEPS / 2) / STEPS)), last)
        last = torch.where((slope == 0) & (start < 0), torch.full_like(last, -1.0), last)
    return first, last
