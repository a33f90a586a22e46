"""Curves of a synthetic person's face and head over time, known because they were commanded.

An emotion rises and falls as its published prototype of action units; blinks, gaze, speech and small movements
continue meanwhile. T frames, 51 expressions in the order of `face_model().directions`.

Sources: prototypes as in `affekt.faces.prototypes` (EMFACS); onset and offset times in the range of Schmidt et al.
2006, doi:10.1007/s10919-005-0003-x; a blink of about a quarter of a second, closing faster than it opens, Caffier et
al. 2003, doi:10.1007/s00421-003-0807-5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from affekt.arrays import Floats
from affekt.face3d.camera import pose_matrix
from affekt.face3d.models import face_model
from affekt.faces import ACTION_UNITS, PROTOTYPES
from affekt.labels import CIRCUMPLEX

EMOTIONS = ('neutral', *PROTOTYPES)
"""Emotions that a clip can show."""
BLINKS_PER_S = 0.3
"""Mean number of blinks per second."""
CLOSING_S, OPENING_S = 0.08, 0.16
"""Time that lids take to close and to open."""
ACCOMPANY = {
    'happiness': {'mouthUpperUpLeft': 0.3, 'mouthUpperUpRight': 0.3, 'mouthDimpleLeft': 0.2, 'mouthDimpleRight': 0.2},
    'anger': {'mouthShrugLower': 0.3, 'jawForward': 0.25},
    'disgust': {'mouthUpperUpLeft': 0.6, 'mouthUpperUpRight': 0.6, 'browDownLeft': 0.4, 'browDownRight': 0.4},
    'sadness': {'mouthShrugLower': 0.4, 'eyeLookDownLeft': 0.25, 'eyeLookDownRight': 0.25},
}  # fmt: skip
"""Action units that often accompany a prototype, and their strength: action units 10, 14, 17 and 29 of the FACS
Investigator's Guide."""

OTHER = 'other'
SHOWN = (*PROTOTYPES, OTHER)
"""Expressions in a scene: the prototypes, and one that is not a prototype."""
CIRCUMPLEX_POINTS = {**{emotion: CIRCUMPLEX[emotion] for emotion in PROTOTYPES}, OTHER: (0.0, 0.3)}
"""Expression to its valence and arousal at full intensity; those of OTHER are a convention."""
GRIMACES = (
    ('cheekPuff',), ('mouthPucker',), ('mouthLeft', 'jawLeft'), ('mouthRight', 'jawRight'),
    ('mouthRollLower', 'mouthRollUpper'), ('mouthFunnel',),
)  # fmt: skip
"""Facial shapes that no prototype has; OTHER combines two of them."""
VOICED = 0.25
"""Largest arousal shown by the voice alone."""


@dataclass(frozen=True, eq=False)
class Curves:
    """Commanded curves of one clip.

    Attributes:
        expression: (T, 51) in [0, 1].
        pose: (T, 4, 4) canonical face to camera.
        intensity: (T,) intensity of the emotion, in [0, 1].
        valence: (T,) the emotion's position on the valence axis times its intensity, in [-1, 1].
        arousal: (T,) likewise.
    """

    expression: Floats
    pose: Floats
    intensity: Floats
    valence: Floats
    arousal: Floats


@dataclass(frozen=True, eq=False)
class SceneCurves(Curves):
    """Commanded curves of a scene in which one emotion follows another.

    Attributes:
        by_emotion: each of SHOWN to its (T,) intensity, in [0, 1]; `intensity` is the largest of them.
        speaking: (T,) amount of speech, in [0, 1].
        energy: (T,) liveliness of the voice, in [-1, 1]: the part of arousal that the face does not show.
    """

    by_emotion: Mapping[str, Floats]
    speaking: Floats
    energy: Floats


def made_up_curves(rng: np.random.Generator, times_s: Floats, emotion: str, *, distance_cm: float) -> Curves:
    """Curves of a face that shows an emotion.

    Args:
        rng: source of everything random.
        times_s: (T,) ascending times in seconds.
        emotion: name of the emotion, one of EMOTIONS.
        distance_cm: distance from the camera in centimetres.
    """
    names = face_model().directions
    column = {name: index for index, name in enumerate(names)}
    end_s = float(times_s[-1]) if len(times_s) else 0.0
    expression = np.zeros((len(times_s), len(names)))
    intensity = _episodes(rng, times_s, end_s) if emotion != 'neutral' else np.zeros(len(times_s))
    _add_emotion(expression, column, rng, times_s, emotion, intensity)
    speaks = rng.random() < 0.5
    pose, _ = _add_background(expression, column, rng, times_s, speaks=speaks, distance_cm=distance_cm)
    valence, arousal = CIRCUMPLEX[emotion]
    return Curves(np.clip(expression, 0, 1), pose, intensity, valence * intensity, arousal * intensity)


def made_up_scene(
    rng: np.random.Generator, times_s: Floats, *, distance_cm: float, emotions: Sequence[str] = SHOWN
) -> SceneCurves:
    """Curves of a face that shows one emotion after another, with rest between them.

    An emotion of SHOWN rises, holds and falls within two to six seconds; the given ones take turns in random order.
    Valence is the sum of each emotion's position on the plane times its intensity; arousal likewise, plus VOICED
    times the energy of the voice. Both are clipped to [-1, 1].

    Args:
        rng: source of everything random.
        times_s: (T,) ascending times in seconds.
        distance_cm: distance from the camera in centimetres.
        emotions: emotions that take turns.
    """
    names = face_model().directions
    column = {name: index for index, name in enumerate(names)}
    end_s = float(times_s[-1]) if len(times_s) else 0.0
    expression = np.zeros((len(times_s), len(names)))
    by_emotion = _take_turns(rng, times_s, end_s, emotions)
    for emotion, intensity in by_emotion.items():
        _add_emotion(expression, column, rng, times_s, emotion, intensity)
        if emotion == OTHER:
            _add_grimace(expression, column, rng, intensity)
    speaks = rng.random() < 0.8
    pose, speaking = _add_background(expression, column, rng, times_s, speaks=speaks, distance_cm=distance_cm)
    energy = np.clip(0.6 * wander(rng, times_s, 0.08), -1, 1)
    affect = np.array([np.zeros(len(times_s)), VOICED * energy])
    for emotion, intensity in by_emotion.items():
        affect += np.outer(CIRCUMPLEX_POINTS[emotion], intensity)
    valence, arousal = np.clip(affect, -1, 1)
    strongest = np.max(list(by_emotion.values()), axis=0)
    return SceneCurves(
        np.clip(expression, 0, 1), pose, strongest, valence, arousal, by_emotion, speaking, energy
    )  # fmt: skip


def _add_background(
    expression: Floats,
    column: dict[str, int],
    rng: np.random.Generator,
    times_s: Floats,
    *,
    speaks: bool,
    distance_cm: float,
) -> tuple[Floats, Floats]:
    """Add speech, small movements, gaze and blinks; returns the (T, 4, 4) pose and the (T,) amount of speech."""
    end_s = float(times_s[-1]) if len(times_s) else 0.0
    speaking = _add_speech(expression, column, rng, times_s, end_s) if speaks else np.zeros(len(times_s))
    _add_small_movements(expression, column, rng, times_s)
    _add_gaze(expression, column, rng, times_s, end_s)
    _add_blinks(expression, column, rng, times_s, end_s)
    return _move_head(rng, times_s, speaking, distance_cm), speaking


def _take_turns(rng: np.random.Generator, times_s: Floats, end_s: float, emotions: Sequence[str]) -> dict[str, Floats]:
    """Each of SHOWN to its (T,) intensity: one after another, in rounds of random order."""
    by_emotion = {emotion: np.zeros(len(times_s)) for emotion in SHOWN}
    queue: list[str] = []
    start_s = float(rng.uniform(-0.5, 1.0))
    while start_s < end_s:
        queue = queue or [emotions[index] for index in rng.permutation(len(emotions))]
        onset, apex, offset = rng.uniform(0.25, 0.9), rng.uniform(0.8, 3.2), rng.uniform(0.4, 1.4)
        rise, fall = _smooth((times_s - start_s) / onset), _smooth((times_s - start_s - onset - apex) / offset)
        curve = by_emotion[queue.pop()]
        np.maximum(curve, rng.uniform(0.45, 1.0) * rise * (1 - fall), out=curve)
        start_s += float(onset + apex + offset + rng.exponential(0.8))
    return by_emotion


def _add_grimace(expression: Floats, column: dict[str, int], rng: np.random.Generator, intensity: Floats) -> None:
    """Add two facial shapes that no prototype has."""
    for index in rng.permutation(len(GRIMACES))[:2]:
        strength = float(rng.uniform(0.6, 1.0))
        for name in GRIMACES[index]:
            expression[:, column[name]] += strength * intensity


def wander(rng: np.random.Generator, times_s: Floats, per_s: float, waves: int = 4) -> Floats:
    """(T,) smooth random curve of standard deviation 1 that oscillates about `per_s` times per second."""
    rate = 2 * np.pi * per_s * rng.uniform(0.4, 1.6, waves)
    phase = rng.uniform(0, 2 * np.pi, waves)
    return np.asarray(np.sin(np.outer(times_s, rate) + phase).sum(axis=1) * np.sqrt(2 / waves))


def _smooth(share: Floats) -> Floats:
    clipped = np.clip(share, 0, 1)
    return np.asarray(clipped**2 * (3 - 2 * clipped))


def _episodes(rng: np.random.Generator, times_s: Floats, end_s: float) -> Floats:
    """(T,) intensity that rises, holds and falls repeatedly; a clip may begin at any phase."""
    intensity = np.zeros(len(times_s))
    start_s = -float(rng.uniform(0, 2.5))
    while start_s < end_s:
        onset, apex, offset = rng.uniform(0.25, 0.9), rng.uniform(0.6, 3.0), rng.uniform(0.4, 1.4)
        rise, fall = _smooth((times_s - start_s) / onset), _smooth((times_s - start_s - onset - apex) / offset)
        intensity = np.maximum(intensity, rng.uniform(0.45, 1.0) * rise * (1 - fall))
        start_s += float(onset + apex + offset + rng.exponential(0.6))
    return intensity


def _add_emotion(
    expression: Floats,
    column: dict[str, int],
    rng: np.random.Generator,
    times_s: Floats,
    emotion: str,
    intensity: Floats,
) -> None:
    """Add an emotion, its action units slightly varied in onset, strength and symmetry."""
    units: dict[str, float] = {}
    for unit in PROTOTYPES.get(emotion, ()):
        strength = float(rng.uniform(0.55, 1.0)) * (rng.random() < 0.92)
        for name in ACTION_UNITS[unit]:
            units[name] = max(units.get(name, 0.0), strength)
    for name, strength in ACCOMPANY.get(emotion, {}).items():
        units[name] = max(units.get(name, 0.0), strength * float(rng.uniform(0, 1.2)))
    asymmetry = float(rng.normal(0, 0.08))
    for name, strength in units.items():
        side_factor = 1 + asymmetry * (name.endswith('Left') - name.endswith('Right'))
        delayed = np.interp(times_s - rng.uniform(0, 0.12), times_s, intensity) if len(times_s) else intensity
        expression[:, column[name]] += side_factor * strength * delayed


def _add_speech(
    expression: Floats, column: dict[str, int], rng: np.random.Generator, times_s: Floats, end_s: float
) -> Floats:
    """Add speech in phrases, four to five syllables per second; returns its (T,) amount."""
    speaking = np.zeros(len(times_s))
    start_s = -float(rng.uniform(0, 1.5))
    while start_s < end_s:
        length_s = rng.uniform(0.8, 3.0)
        speaking = np.maximum(
            speaking, _smooth((times_s - start_s) / 0.15) * _smooth((start_s + length_s - times_s) / 0.15)
        )
        start_s += float(length_s + rng.exponential(0.7))
    syllables = np.abs(np.sin(np.pi * rng.uniform(4, 5.2) * times_s + wander(rng, times_s, 0.7)))
    loudness = np.clip(0.28 + 0.14 * wander(rng, times_s, 1.2), 0.04, 0.6)
    expression[:, column['jawOpen']] += speaking * syllables * loudness
    shapes = {'mouthFunnel': 0.25, 'mouthPucker': 0.3, 'mouthStretchLeft': 0.15, 'mouthStretchRight': 0.15,
              'mouthLowerDownLeft': 0.25, 'mouthLowerDownRight': 0.25, 'mouthUpperUpLeft': 0.12,
              'mouthUpperUpRight': 0.12}  # fmt: skip
    curves = {name.removesuffix('Left').removesuffix('Right'): np.empty(0) for name in shapes}
    for stem in curves:
        curves[stem] = np.maximum(wander(rng, times_s, 2.5), 0)
    for name, largest in shapes.items():
        expression[:, column[name]] += speaking * largest * curves[name.removesuffix('Left').removesuffix('Right')]
    return speaking


def _add_small_movements(expression: Floats, column: dict[str, int], rng: np.random.Generator, times_s: Floats) -> None:
    """Add small movements without expression."""
    names: Sequence[str] = (
        'browInnerUp', 'browDownLeft', 'browDownRight', 'browOuterUpLeft', 'browOuterUpRight', 'eyeSquintLeft',
        'eyeSquintRight', 'mouthSmileLeft', 'mouthSmileRight', 'mouthPressLeft', 'mouthPressRight', 'mouthShrugLower',
        'mouthRollLower', 'jawOpen', 'jawLeft', 'jawRight', 'mouthLeft', 'mouthRight', 'cheekPuff',
    )  # fmt: skip
    for name in names:
        level = rng.uniform(-0.05, 0.06)
        expression[:, column[name]] += np.maximum(level + 0.035 * wander(rng, times_s, 0.4), 0)


def _add_gaze(
    expression: Floats, column: dict[str, int], rng: np.random.Generator, times_s: Floats, end_s: float
) -> None:
    """Add gaze: both eyes jump together to a new target, mostly near the camera, and rest there."""
    starts, targets = [-1.0], [rng.normal(0, 0.15, 2)]
    while starts[-1] < end_s:
        starts.append(starts[-1] + float(rng.uniform(0.4, 2.5)))
        targets.append(rng.normal(0, 0.15 if rng.random() < 0.7 else 0.45, 2))
    jump_s = 0.04
    knots = np.array([time for start in starts for time in (start, start + jump_s)])
    previous = [targets[0], *targets[:-1]]
    gaze = np.array([target for pair in zip(previous, targets, strict=True) for target in pair])
    left, up = (np.clip(np.interp(times_s, knots, gaze[:, axis]), -0.8, 0.8) for axis in range(2))
    for name, amount in (
        ('eyeLookOutLeft', left), ('eyeLookInRight', left),
        ('eyeLookInLeft', -left), ('eyeLookOutRight', -left),
        ('eyeLookUpLeft', up), ('eyeLookUpRight', up), ('eyeLookDownLeft', -up), ('eyeLookDownRight', -up),
    ):  # fmt: skip
        expression[:, column[name]] += np.maximum(amount, 0)


def _add_blinks(
    expression: Floats, column: dict[str, int], rng: np.random.Generator, times_s: Floats, end_s: float
) -> None:
    """Add blinks; lids that squint need less to close."""
    start_s = float(rng.exponential(1 / BLINKS_PER_S)) - 0.3
    lid = np.zeros(len(times_s))
    while start_s < end_s:
        closing = _smooth((times_s - start_s) / CLOSING_S)
        opening = _smooth((times_s - start_s - CLOSING_S - 0.03) / OPENING_S)
        lid = np.maximum(lid, float(rng.uniform(0.9, 1.0)) * closing * (1 - opening))
        start_s += 0.3 + float(rng.exponential(1 / BLINKS_PER_S))
    for side in ('Left', 'Right'):
        expression[:, column[f'eyeBlink{side}']] += lid
        expression[:, column[f'eyeWide{side}']] *= 1 - lid
        expression[:, column[f'eyeSquint{side}']] *= 1 - 0.5 * lid


def _move_head(rng: np.random.Generator, times_s: Floats, speaking: Floats, distance_cm: float) -> Floats:
    """(T, 4, 4) pose that varies around a random mean, more while speaking."""
    mean_deg = np.clip(rng.normal(0, [13, 6, 4]), [-32, -14, -12], [32, 14, 12])
    range_deg = rng.uniform(1, 6) * np.array([1.2, 0.8, 0.5])
    slow = np.stack([wander(rng, times_s, 0.25) for _ in range(3)], axis=1) * range_deg
    nods = np.stack([wander(rng, times_s, 1.3) for _ in range(3)], axis=1) * [0.8, 1.4, 0.5] * speaking[:, None]
    position = rng.normal(0, [0.9, 0.9, 0]) + np.array([0, -0.8, -distance_cm])
    shift = position + np.stack([wander(rng, times_s, 0.3) for _ in range(3)], axis=1) * [0.35, 0.25, 0.6]
    angles = mean_deg + slow + nods
    return np.array(
        [
            pose_matrix(yaw, pitch, roll, tuple(shift_cm))
            for (yaw, pitch, roll), shift_cm in zip(angles, shift, strict=True)
        ]
    ).reshape(-1, 4, 4)
