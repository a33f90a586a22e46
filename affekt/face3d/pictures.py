"""Rendering of a synthetic person with an expression, a pose and a light.

Points are shaded one by one in linear light (a key light; light from above and below, dimmed where the head occludes
itself; a highlight) and colours interpolated over the pixels; eyes are coloured pixel by pixel. Images are rendered at
twice their size and averaged. V points of the head; H = W = size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFilter

from affekt.arrays import Floats, Floats32
from affekt.face3d.camera import Camera
from affekt.face3d.models import FaceModel, head_model, posed
from affekt.face3d.normals import point_normals
from affekt.face3d.persons import Person, points_of
from affekt.face3d.rasteriser import Raster, interpolate, rasterize

Image = npt.NDArray[np.uint8]
OVERSAMPLING = 2
"""Rendered pixels per pixel of the image, along each axis."""
FIELD_OF_VIEW_DEG = 25.0
"""Vertical field of view of the camera."""
WRAP = np.array([0.35, 0.2, 0.15])
"""Extent to which light wraps around an edge of skin, per colour: red scatters furthest."""
SHARPNESS = 24.0
"""Exponent of the highlight."""
INSIDE = {'teeth': 0.8, 'tongue': 0.4}
"""Share of light that reaches the front of teeth and tongue when the mouth is open."""
DARK_BEHIND_CM = 2.5
"""Depth in the mouth at which almost no light arrives."""


@dataclass(frozen=True, eq=False)
class Light:
    """The light on a face.

    Attributes:
        direction: (3,) unit vector to the key light.
        key: (3,) colour of the key light, in linear light.
        above: (3,) colour of the ambient light from above.
        below: (3,) colour of the ambient light from below.
    """

    direction: Floats
    key: Floats
    above: Floats
    below: Floats

    @property
    def halfway(self) -> Floats:
        """(3,) the half vector between the key light and a viewer in front."""
        half = self.direction + np.array([0.0, 0.0, 1.0])
        return np.asarray(half / np.linalg.norm(half))


def made_up_light(rng: np.random.Generator) -> Light:
    """A light from the front half, warm or cold, soft or hard."""
    warmth = rng.uniform(-0.12, 0.12)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    side, height = rng.uniform(-1.1, 1.1), rng.uniform(-0.15, 0.9)
    direction = np.array([np.sin(side), height, np.cos(side)])
    share = rng.uniform(0.35, 0.8)
    total = rng.uniform(0.75, 1.15)
    return Light(
        direction=direction / np.linalg.norm(direction),
        key=total * share * 1.35 * tint,
        above=total * (1 - share) * 1.25 * (2 - tint),
        below=total * (1 - share) * 0.75 * tint * rng.uniform(0.6, 1.1),
    )


def made_up_background(rng: np.random.Generator, size: int) -> Image:
    """(size, size, 3) background of blurred colours."""
    cells = int(rng.integers(2, 9))
    grey, spread = rng.uniform(35, 215), rng.uniform(4, 40)
    tint = rng.normal(0, 14, 3)
    cells_rgb = grey + tint + rng.normal(0, spread, (cells, cells, 1)) + rng.normal(0, 0.25 * spread, (cells, cells, 3))
    image = PillowImage.fromarray(np.clip(cells_rgb, 0, 255).astype(np.uint8))
    image = image.resize((size, size), PillowImage.Resampling.BICUBIC)
    for _ in range(rng.integers(0, 5)):  # edges of walls, doors, shelves
        left, top = rng.uniform(-0.2, 1, 2) * size
        width, height = rng.uniform(0.1, 1, 2) * size
        color = tuple(int(value) for value in np.clip(grey + tint + rng.normal(0, 45) + rng.normal(0, 12, 3), 0, 255))
        ImageDraw.Draw(image).rectangle((left, top, left + width, top + height), fill=color)
    image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 0.03)) * size))
    return np.asarray(image)


class Studio:
    """A person with one camera, one light and one background."""

    def __init__(
        self, person: Person, light: Light, background: Image,
        *, noise: float = 0.0, field_of_view_deg: float = FIELD_OF_VIEW_DEG,
    ) -> None:  # fmt: skip
        """Precompute what all frames share.

        Args:
            person: the visible person.
            light: the light on the person.
            background: (size, size, 3) the background, of the size of the images.
            noise: standard deviation of the sensor's noise, in units of 1/255.
            field_of_view_deg: of the camera.
        """
        self.person, self.light, self.noise = person, light, noise
        self.size = len(background)
        side = OVERSAMPLING * self.size
        self._model = head_model()
        self._camera = Camera(side, side, field_of_view_deg)
        large = PillowImage.fromarray(background).resize((side, side), PillowImage.Resampling.BILINEAR)
        self._background = np.asarray(large)
        self._triangles = np.concatenate([person.surface, person.inside])
        eyes = points_of(self._model, 'left eye', 'right eye')
        self._is_eye = np.isin(self._triangles[:, 0], eyes)
        self._open = _openness(self._model)[person.of_head]
        self._eye_positions = _eye_positions(self._model)

    def picture(self, expression: npt.ArrayLike, pose: npt.ArrayLike, rng: np.random.Generator | None = None) -> Image:
        """Render one frame.

        Args:
            expression: (51,) amounts in the order of `face_model().directions`, or (52,) with 'tongueOut'.
            pose: (4, 4) canonical face to camera.
            rng: generator of the sensor's noise; None for none.

        Returns:
            (size, size, 3) sRGB.

        Raises:
            ShapeError: a wrong number of amounts, or a pose that is not (4, 4).
        """
        # 1. Points in space and in the image.
        amounts = np.asarray(expression, dtype=np.float64)
        if amounts.shape == (len(self._model.directions) - 1,):
            amounts = np.append(amounts, 0.0)
        moved = self._model.moved_by_expression(amounts)[self.person.of_head]
        points = posed(self.person.points + moved, pose)
        side = self._camera.height
        raster = rasterize(self._camera.project(points), self._triangles, (side, side), front_only=True)

        # 2. Colours of the points, of the pixels between, and of the eyes.
        normals = point_normals(points, self.person.surface)
        colors = self._shaded(normals).astype(np.float32)
        rendered = interpolate(raster, self._triangles, colors)
        self._draw_eyes(rendered, raster, normals)
        image = np.where(raster.covered[..., None], np.clip(rendered, 0, 255).astype(np.uint8), self._background)

        # 3. Downsampling and sensor noise.
        reduced = np.asarray(PillowImage.fromarray(image).reduce(OVERSAMPLING))
        if rng is None or not self.noise:
            return reduced
        noisy = reduced + rng.standard_normal(reduced.shape, dtype=np.float32) * np.float32(self.noise)
        return np.asarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))

    def _shaded(self, normals: Floats) -> Floats:
        """(V, 3) sRGB of every point."""
        light, person = self.light, self.person
        facing = normals @ light.direction
        key = np.maximum((facing[:, None] + WRAP) / (1 + WRAP), 0) ** 1.2 * (0.35 + 0.65 * self._open[:, None])
        upward = (0.5 + 0.5 * normals[:, 1:2]) * self._open[:, None]
        ambient = upward * light.above + (self._open[:, None] - upward) * light.below
        highlight = np.maximum(normals @ light.halfway, 0) ** SHARPNESS * person.shine * self._open
        reflected = person.albedo * (light.key * key + ambient) + highlight[:, None] * light.key
        return np.asarray(255 * np.minimum(reflected, 1.0) ** (1 / 2.2))

    def _draw_eyes(self, image: Floats32, raster: Raster, normals: Floats) -> None:
        """Iris, pupil and the light's reflection, in place."""
        rows, columns = np.nonzero(self._is_eye[raster.face] & raster.covered)
        if not len(rows):
            return
        corners = self._triangles[raster.face[rows, columns]]
        weights = raster.barycentric[rows, columns].astype(np.float64)
        position = np.einsum('pk,pkd->pd', weights, self._eye_positions[corners])
        normal = np.einsum('pk,pkd->pd', weights, normals[corners])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        radius = np.where(position[:, 2] > 0, np.hypot(position[:, 0], position[:, 1]), 2.0)
        person = self.person
        inside = np.clip((person.iris_radius - radius) / 0.07, 0, 1)
        rim = np.clip((radius - person.iris_radius + 0.14) / 0.14, 0, 1)
        pupil = np.clip((person.pupil_radius - radius) / 0.05 + 0.5, 0, 1)
        iris = person.iris * (1.15 - 0.75 * rim[:, None])
        white = person.albedo[corners[:, 0]]
        eye_color = (1 - inside[:, None]) * white + inside[:, None] * (
            (1 - pupil[:, None]) * iris + pupil[:, None] * 0.004
        )
        # in linear light albedos multiply, so their roots multiply the values of the image
        image[rows, columns] *= (eye_color / np.maximum(white, 1e-6)) ** (1 / 2.2)
        glint = np.clip((normal @ self.light.halfway - 0.985) / 0.012, 0, 1)[:, None]
        image[rows, columns] += glint * (235 - image[rows, columns]) * 0.7


def _openness(model: FaceModel) -> Floats:
    """(V,) share of ambient light that reaches each point."""
    openness = 0.08 + 0.92 * model.regions['open']
    inside = model.regions['mouth'] > 0.5
    openness[inside] = 0.16
    for part, share in INSIDE.items():
        points = points_of(model, part)
        behind = model.mean[points, 2].max() - model.mean[points, 2]
        openness[points] = share * np.clip(1 - behind / DARK_BEHIND_CM, 0.1, 1)
    eyes = points_of(model, 'left eye', 'right eye')
    openness[eyes] = 0.45 + 0.5 * openness[eyes]
    return openness


def _eye_positions(model: FaceModel) -> Floats:
    """(V, 3) of an eye's points: their position on the ball, in radii from its middle; 0 for other points."""
    positions = np.zeros_like(model.mean)
    for name in ('left eye', 'right eye'):
        eye = points_of(model, name)
        ball = model.mean[eye]
        middle = (ball.min(axis=0) + ball.max(axis=0)) / 2
        positions[eye] = (ball - middle) / (np.ptp(ball[:, 0]) / 2)
    return positions
