"""Synthetic people: head shape and colours of skin, hair, eyes and clothes, all drawn from one generator.

The shape mixes MakeHuman's base shapes (ethnicities, sexes, young and old) and varies its sliders a little. Colours are
albedos in linear light, so that shading adds up; V points of `head_model()`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Ints
from affekt.face3d.models import FaceModel, head_model
from affekt.face3d.normals import point_normals

SLIDERS = 0.22
"""Standard deviation of a slider; 1 is its limit."""
MOST = 0.6
"""Largest absolute value of a slider."""
SKIN = np.array([[246, 216, 196], [233, 190, 160], [205, 152, 116], [160, 106, 74], [112, 72, 51], [70, 44, 34]])
"""Skin colours from the lightest to the darkest, sRGB."""
OPPOSITES = (
    ('decr', 'incr'), ('down', 'up'), ('in', 'out'), ('backward', 'forward'), ('concave', 'convex'),
    ('compress', 'uncompress'),
)  # fmt: skip
"""Name suffixes of the two shapes that form one slider."""
OUTLINES = tuple(
    f'head-{form}' for form in ('diamond', 'invertedtriangular', 'oval', 'rectangular', 'round', 'square', 'triangular')
)
"""Shapes of the outline of the head, of which a person has one."""
TONES = {'african': 0.82, 'asian': 0.28, 'caucasian': 0.12}
"""Mean position of each base shape's skin between the lightest and the darkest."""
HAIR = np.array([[22, 18, 17], [45, 31, 24], [86, 56, 36], [140, 98, 58], [188, 150, 96], [128, 60, 34]])
GREY = np.array([186, 184, 182])
EYES = np.array([[54, 33, 22], [84, 52, 28], [112, 92, 52], [88, 108, 84], [86, 118, 146], [110, 134, 150]])
"""Colours of hair, grey hair and the iris, sRGB."""
STYLES = ('bald', 'short', 'full', 'long')
"""Styles of hair."""
LEAST_HAIR = 0.12
"""Minimum scalp weight of a point, 0 to 1, for hair to cover it."""
COLLAR_CM = -14.0
"""Height of the collar at the throat, in the frame of the canonical face."""


@dataclass(frozen=True, eq=False)
class Person:
    """A person before the camera.

    Attributes:
        identity: amounts of the head model's shapes.
        points: (P, 3) at rest, centimetres: those of the head, then those of the hair.
        of_head: (P,) the point of the head model with which each moves.
        surface: (F, 3) triangles, corners anticlockwise seen from outside.
        inside: (G, 3) the same triangles of hair seen from within.
        albedo: (P, 3) share of red, green and blue light that each point reflects.
        shine: (P,) strength of its highlight.
        iris: (3,) albedo of the iris.
        iris_radius: radius of the iris relative to the eyeball's; pupil_radius likewise.
    """

    identity: Floats
    points: Floats
    of_head: Ints
    surface: Ints
    inside: Ints
    albedo: Floats
    shine: Floats
    iris: Floats
    iris_radius: float
    pupil_radius: float


def linear(color: npt.ArrayLike) -> Floats:
    """sRGB values 0 to 255 as shares of light, with a gamma of 2.2."""
    return np.asarray((np.asarray(color, dtype=np.float64) / 255) ** 2.2)


def made_up_person(rng: np.random.Generator) -> Person:
    """A synthetic person; the same for the same state of the generator."""
    model = head_model()
    people = rng.dirichlet([0.6, 0.6, 0.6])
    male, old = rng.beta(0.5, 0.5), rng.beta(0.7, 1.3)
    identity = _identity(model, people, male, old, rng)
    head_points = model.vertices(identity)
    style = str(rng.choice(STYLES, p=_styles(male)))
    of_hair, strands, layer = _hair(model, head_points, style, rng)
    hair_color = _hair_color(people, old, rng)
    albedo = _albedo(model, head_points, people, male, old, style, hair_color, rng)
    of_head = np.concatenate([np.arange(len(head_points)), of_hair])
    surface = np.concatenate([_visible_triangles(model), layer + len(head_points)])
    return Person(
        identity=identity,
        points=np.concatenate([head_points, strands]),
        of_head=of_head,
        surface=surface,
        inside=(layer + len(head_points))[:, ::-1],
        albedo=np.concatenate([albedo, _streaked(hair_color, strands, rng)]),
        shine=_shine(model, style, rng)[of_head],
        iris=linear(_between(EYES, np.clip(rng.beta(1, 2) * 5 * (0.15 + 0.85 * people[2] ** 0.5), 0, 5))),
        iris_radius=float(rng.uniform(0.44, 0.5)),
        pupil_radius=float(rng.uniform(0.15, 0.24)),
    )


def _identity(model: FaceModel, people: Floats, male: float, old: float, rng: np.random.Generator) -> Floats:
    """Amounts of all shapes: a mixture of base shapes, small random sliders, and one outline of the head."""
    index_of = {name: index for index, name in enumerate(model.shapes)}
    amounts = np.zeros(len(index_of))
    for name, share in zip(TONES, people, strict=True):
        for sex, sex_share in (('female', 1 - male), ('male', male)):
            for age, age_share in (('young', 1 - old), ('old', old)):
                amounts[index_of[f'{name}-{sex}-{age}']] = share * sex_share * age_share
    low, high = _sliders(model.shapes)
    slider_values = np.clip(rng.normal(0, SLIDERS, len(low)), -MOST, MOST)
    amounts[np.where(slider_values < 0, low, high)] = np.abs(slider_values)
    amounts[index_of[str(rng.choice(OUTLINES))]] = rng.uniform(0, 0.7)
    return amounts


@cache
def _sliders(shapes: tuple[str, ...]) -> tuple[Ints, Ints]:
    """Indices of the two ends of every slider among the shapes."""
    index_of = {name: index for index, name in enumerate(shapes)}
    ends = [
        (index_of[name], index_of[name.removesuffix(low) + high])
        for name in shapes
        for low, high in OPPOSITES
        if name.endswith(f'-{low}') and name.removesuffix(low) + high in index_of
    ]
    return np.array([low for low, _ in ends]), np.array([high for _, high in ends])


def _between(colors: npt.ArrayLike, position: float) -> Floats:
    """The colour at a fractional index of a list."""
    listed = np.asarray(colors, dtype=np.float64)
    return np.array([np.interp(position, np.arange(len(listed)), listed[:, channel]) for channel in range(3)])


def _hair_color(people: Floats, old: float, rng: np.random.Generator) -> Floats:
    dark = rng.beta(1, 3) * (0.2 + 0.8 * people[2])
    color = _between(HAIR, 5 * dark)
    grey = np.clip(rng.normal(1.6 * old - 0.9, 0.35), 0, 1)
    return linear((1 - grey) * color + grey * GREY)


def _visible_triangles(model: FaceModel) -> Ints:
    """Triangles of the head without lashes, which are plates that need a texture of hairs."""
    is_lash = model.parts == model.part_names.index('lashes')
    return np.asarray(model.triangles[~is_lash])


def _hair(model: FaceModel, head_points: Floats, style: str, rng: np.random.Generator) -> tuple[Ints, Floats, Ints]:
    """(H,) indices of the head points under the hair, (H, 3) points of the hair, and its triangles."""
    scalp = model.regions['scalp']
    if style == 'bald':
        return np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    triangles = model.triangles[(scalp[model.triangles] > LEAST_HAIR).all(axis=1)]
    points = np.unique(triangles)
    layer = np.searchsorted(points, triangles)
    thickness = {'short': rng.uniform(0.3, 0.8), 'full': rng.uniform(0.9, 2.4), 'long': rng.uniform(0.8, 1.8)}[style]
    normals, share = point_normals(head_points, model.triangles)[points], scalp[points]
    waves = 1 + 0.2 * _bumps(head_points[points], 0.9, rng)
    strands = head_points[points] + normals * (0.1 + thickness * share**0.7 * waves)[:, None]
    if style != 'short' and rng.random() < 0.4:
        strands = _fringe(strands, normals, share, rng)
    if style == 'long':
        strands = _hanging(strands, rng)
    return points, strands, layer


def _fringe(strands: Floats, normals: Floats, share: Floats, rng: np.random.Generator) -> Floats:
    """Hair whose front edge is lowered over the forehead."""
    front = np.clip((strands[:, 2] - 1.0) / 3.0, 0, 1) * np.clip(1.6 - share, 0, 1)
    drop = float(rng.uniform(1.0, 3.0)) * front * (1 + 0.2 * _bumps(strands, 1.5, rng))
    return np.asarray(strands - drop[:, None] * [0, 1, 0] + (0.35 * drop)[:, None] * normals)


def _hanging(strands: Floats, rng: np.random.Generator) -> Floats:
    """Hair whose back and sides hang beside the neck."""
    hanging = strands.copy()
    below = np.clip((6.0 - strands[:, 1]) / 9.0, 0, 1) * np.clip((2.0 - strands[:, 2]) / 2.5, 0, 1)
    hanging[:, 1] -= float(rng.uniform(4, 14)) * below**1.2
    hanging[:, 0] += np.sign(strands[:, 0]) * (1.0 + 0.8 * rng.random()) * below
    hanging[:, 2] += 0.8 * below
    return hanging


def _styles(male: float) -> Floats:
    """Probability of each style of STYLES."""
    weights = (1 - male) * np.array([0.02, 0.15, 0.33, 0.5]) + male * np.array([0.18, 0.55, 0.25, 0.02])
    return np.asarray(weights / weights.sum())


def _bumps(points: Floats, per_cm: float, rng: np.random.Generator, waves: int = 6) -> Floats:
    """(V,) smooth random field with standard deviation 1."""
    direction = rng.normal(size=(waves, 3)) * per_cm
    phase = rng.uniform(0, 2 * np.pi, waves)
    return np.asarray(np.sin(points @ direction.T + phase).sum(axis=1) * np.sqrt(2 / waves))


def _albedo(
    model: FaceModel, points: Floats, people: Floats, male: float, old: float, style: str, hair_color: Floats,
    rng: np.random.Generator,
) -> Floats:  # fmt: skip
    tone = float(np.clip(people @ list(TONES.values()) + rng.normal(0, 0.08), 0, 1))
    skin = linear(_between(SKIN, 5 * tone) * rng.normal(1, 0.02, 3))
    region = model.regions
    albedo = np.tile(skin, (len(points), 1))
    albedo *= 1 + 0.03 * _bumps(points, 0.5, rng)[:, None] + rng.normal(0, 0.015 + 0.02 * old, (len(points), 1))
    redness = np.array([1.06, 0.8, 0.78])
    _mix(albedo, albedo * redness, region['cheeks'] * rng.uniform(0.1, 0.7))
    lip = skin * np.array([0.85, 0.5, 0.5]) if rng.random() < 0.65 else linear([170, 45, 60]) * rng.uniform(0.4, 1.2)
    _mix(albedo, np.broadcast_to(lip, albedo.shape), region['lips'] * rng.uniform(0.5, 0.9))
    _mix(albedo, np.broadcast_to(hair_color * 0.6, albedo.shape), region['lids'] * rng.uniform(0.3, 0.8))
    _mix(albedo, np.broadcast_to(hair_color * 0.8, albedo.shape), region['brows'] * rng.uniform(0.55, 0.95))
    beard = male * rng.choice([0.0, 0.15, 0.3, 0.9], p=[0.45, 0.25, 0.15, 0.15])
    _mix(albedo, np.broadcast_to(hair_color * 0.9, albedo.shape), region['beard'] * beard)
    hair = region['scalp'] * (float(rng.uniform(0.0, 0.2)) if style == 'bald' else 1.0)
    _mix(albedo, _streaked(hair_color, points, rng), hair)
    _mix(albedo, np.broadcast_to(linear([120, 40, 42]), albedo.shape), region['mouth'])
    collar = COLLAR_CM + 0.35 * np.maximum(1.0 - points[:, 2], 0) + rng.uniform(-1.5, 0.5)
    clothes = linear(rng.uniform(15, 235, 3))
    _mix(albedo, np.broadcast_to(clothes, albedo.shape), np.clip((collar - points[:, 1]) * 2 + 0.5, 0, 1) * (1 - hair))
    for name, color in (('teeth', rng.uniform([214, 204, 180], [240, 234, 220])), ('tongue', [176, 96, 98])):
        albedo[points_of(model, name)] = linear(color)
    for name in ('left eye', 'right eye'):
        albedo[points_of(model, name)] = linear(rng.uniform([222, 214, 208], [240, 236, 234]))
    return np.clip(albedo, 0.0, 1.0)


def _streaked(color: Floats, points: Floats, rng: np.random.Generator) -> Floats:
    """(P, 3) the colour of hair, lighter and darker from strand to strand."""
    streaks = np.clip(1 + 0.3 * _bumps(points * [3, 0.6, 3], 1.2, rng) if len(points) else np.zeros(0), 0.3, 2)
    return np.clip(color * streaks[:, None], 0, 1)


def _mix(albedo: Floats, other: Floats, share: Floats) -> None:
    """Move colours towards others, in place."""
    albedo += (other - albedo) * np.clip(share, 0, 1)[:, None]


def _shine(model: FaceModel, style: str, rng: np.random.Generator) -> Floats:
    hair = model.regions['scalp'] * (style != 'bald')
    shine = np.full(len(hair), float(rng.uniform(0.02, 0.12)))
    shine += 0.15 * model.regions['lips']
    shine = shine * (1 - hair) + 0.05 * hair
    shine[model.mean[:, 1] < COLLAR_CM] = 0.0
    shine[points_of(model, 'teeth')] = 0.2
    return shine


def points_of(model: FaceModel, *parts: str) -> npt.NDArray[np.int64]:
    """(N,) ascending indices of the points of some parts of a model."""
    numbers = [model.part_names.index(part) for part in parts]
    return np.unique(model.triangles[np.isin(model.parts, numbers)])
