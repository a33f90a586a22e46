"""Guidance maps of a surface: depth, normals, shade, all from one raster.

Normals keep their signs: 0 is mid-grey, x grows to the right of the image, y up, z to the viewer. In depth maps the
nearest point is white; the range can be fixed over a video, so that brightness does not vary with the mesh.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import ValueRangeError
from affekt.face3d.normals import point_normals
from affekt.face3d.rasteriser import Raster, interpolate

Image = npt.NDArray[np.uint8]
LIGHT = (0.25, 0.35, 0.9)
"""Direction to the light, of any length."""
AMBIENT = 0.3
"""Share of light that comes from all sides."""


def depth_map(raster: Raster, near: float | None = None, far: float | None = None) -> Image:
    """(H, W) 255 at the depth `near`, 1 at `far`, 0 where there is no face.

    Args:
        raster: the faces at each pixel.
        near: depth that is white; None takes the minimum of this raster.
        far: depth that is nearly black; None takes the maximum.

    Raises:
        ValueRangeError: near is greater than far.
    """
    depths = raster.depth[raster.covered]
    near = float(depths.min(initial=np.inf)) if near is None else near
    far = float(depths.max(initial=-np.inf)) if far is None else far
    if depths.size and not near <= far:
        raise ValueRangeError(expected='near <= far', came=f'{near} and {far}', todo='swap them')
    image = np.zeros(raster.face.shape, dtype=np.uint8)
    distance = (depths - near) / max(far - near, 1e-9) if depths.size else depths  # 0 everywhere on a flat surface
    image[raster.covered] = np.rint(255 - 254 * np.clip(distance, 0, 1))
    return image


def normals_at_pixels(raster: Raster, triangles: npt.ArrayLike, points: npt.ArrayLike) -> Floats32:
    """(H, W, 3) unit normals in the frame of the points (V, 3); 0 where there is no face."""
    normals = interpolate(raster, triangles, point_normals(points, triangles))
    length = np.sqrt(np.einsum('hwc,hwc->hw', normals, normals))[..., None]
    return np.asarray(normals / np.maximum(length, 1e-9), dtype=np.float32)


def normal_map(raster: Raster, triangles: npt.ArrayLike, points: npt.ArrayLike) -> Image:
    """(H, W, 3) normals as colours, -1 to 1 on 0 to 255; 0 where there is no face."""
    colors = np.rint(127.5 + 127.5 * normals_at_pixels(raster, triangles, points))
    return np.where(raster.covered[..., None], colors, 0).astype(np.uint8)


def shaded_map(
    raster: Raster, triangles: npt.ArrayLike, points: npt.ArrayLike, light: tuple[float, float, float] = LIGHT
) -> Image:
    """(H, W) grey of a matte surface lit from one direction; 0 where there is no face.

    255 (0.3 + 0.7 max(0, normal . light))
    """
    direction = np.asarray(light) / np.linalg.norm(light)
    facing = normals_at_pixels(raster, triangles, points) @ direction.astype(np.float32)
    grey = np.rint(255 * (AMBIENT + (1 - AMBIENT) * np.maximum(facing, 0)))
    return np.where(raster.covered, grey, 0).astype(np.uint8)
