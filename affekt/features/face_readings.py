"""What faces do, as features: movements, gaze, head and look of the person who fills most of a video.

Columns are those of `affekt.faces.observe_faces` that are no mixture of others: 51 blendshapes (of 52; `_neutral` says
nothing), measures on landmarks and pixels, head pose, and the probabilities of seven looks. A frame without a face has
no row; a sample without one has no features, never zeros. What is read is the look of a face, not what the person
feels.

T frames with a face, D columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.corpora import Manifest, Sample
from affekt.errors import AffektError
from affekt.features.face_pictures import face_pictures
from affekt.features.recipes import Features, Recipe, SampleEncoder, Unable
from affekt.weights import lookup

RATE_HZ = 12.5
"""Frames of a video that are looked at, a second; of stored faces all are."""
PEOPLE = 5
"""Faces that are followed at once."""
_STORED_HZ = 25.0
"""Taken for the clock of stored faces, whose times nobody knows: persons are told apart by it."""


@dataclass(frozen=True)
class _Frame:
    time_s: float
    image: npt.NDArray[np.uint8]


def _columns() -> tuple[str, ...]:
    from affekt.faces import BLENDSHAPES, READINGS
    from affekt.labels import EKMAN

    scores = set(BLENDSHAPES)
    measures = [reading.name for reading in READINGS if reading.name in scores or reading.action_unit is None]
    return (*measures, *EKMAN)


def _facts(level: str, pooling: str) -> dict[str, Any]:
    from affekt.faces.expression import MODEL_FILE

    card = json.loads(MODEL_FILE.with_suffix('.json').read_text('utf-8'))
    return {
        'tool': 'affekt.faces observe_faces', 'version': 2, 'rate_hz': RATE_HZ, 'people': PEOPLE,
        'person': 'who fills most', 'landmarks_sha256': lookup('face_landmarker.task').sha256,
        'expression_sha256': card['sha256'], 'level': level, 'pooling': pooling,
    }  # fmt: skip


def _open(recipe: Recipe) -> SampleEncoder:
    from affekt.faces import FaceLandmarker, expression_model

    landmarker, expression = FaceLandmarker(), expression_model('research')

    def encode(manifest: Manifest, row: Sample) -> Features | Unable:
        seen = _seen(manifest, row, landmarker, expression)
        if isinstance(seen, Unable):
            return seen
        rows, times, share = seen
        if recipe.facts['level'] == 'FRA':
            return recipe.features(row.sample, rows, times)
        return recipe.features(row.sample, np.concatenate([rows.mean(axis=0), rows.std(axis=0), [share]]))

    def encoder(manifest: Manifest, samples: Sequence[Sample]) -> list[Features | Unable]:
        outcomes: list[Features | Unable] = []
        for row in samples:
            try:
                outcomes.append(encode(manifest, row))
            except AffektError as error:  # a video that cannot be read
                outcomes.append(Unable(row.sample, error.came))
        return outcomes

    return encoder


def _seen(
    manifest: Manifest, row: Sample, landmarker: Any, expression: Any
) -> tuple[Floats32, npt.NDArray[np.float64] | None, float] | Unable:
    """(T, D) readings, (T,) their times, and the share of frames that show the person; or why there are none."""
    from affekt.faces import observe_faces

    frames = _frames(manifest, row)
    if isinstance(frames, Unable):
        return frames
    observed = observe_faces(
        frames, max_people=PEOPLE, landmarker=landmarker, expression=expression, keep_thumbnails=False
    )  # fmt: skip
    if not observed.frames:
        return Unable(row.sample, 'no picture')
    if not observed.table.num_rows:
        return Unable(row.sample, 'no face')
    columns = {name: observed.table.column(name).to_pylist() for name in ('person', 'time_s')}
    people = np.array(columns['person'])
    areas = _numbers(observed.table, ['box_width', 'box_height']).prod(axis=1)
    filled = {name: areas[people == name].sum() for name in dict.fromkeys(columns['person'])}
    is_main = people == max(filled, key=lambda name: filled[name])
    rows = _numbers(observed.table, _columns())
    kept = is_main & np.isfinite(rows).all(axis=1)
    if not kept.any():
        return Unable(row.sample, 'no face that could be measured')
    times = np.array(columns['time_s'], np.float64)[kept]
    is_video = row.frames is None
    return rows[kept].astype(np.float32), times if is_video else None, float(kept.sum() / observed.frames)


def _numbers(table: Any, names: Sequence[str]) -> npt.NDArray[np.float64]:
    return np.array([table.column(name).to_pylist() for name in names], np.float64).T


def _frames(manifest: Manifest, row: Sample) -> Iterator[Any] | Unable:
    """Stored faces, or a video at a steady rate within the sample's stretch of seconds."""
    if row.frames is not None:
        stored = face_pictures(manifest, row)
        if isinstance(stored, Unable):
            return stored
        return (_Frame(at / _STORED_HZ, image) for at, image in enumerate(stored.images))
    video = manifest.media(row, 'video')
    if video is None:
        return Unable(row.sample, 'neither frames nor video')
    return _video_frames(video, manifest.window_s(row, 'video'))


def _video_frames(path: Any, window: tuple[float, float] | None) -> Iterator[Any]:
    from affekt.media import Recording

    begin_s, end_s = window or (0.0, np.inf)
    for frame in Recording.open(path).frames(RATE_HZ):
        if frame.time_s >= end_s:
            return
        if frame.time_s >= begin_s:
            yield frame


_NAMES = _columns()

FACES_FRAMES = Recipe(
    'faces-frm', 'video', len(_NAMES), _facts('FRA', 'none'), _open, columns=_NAMES, batch=4,
)  # fmt: skip
FACES = Recipe(
    'faces-utt', 'video', 2 * len(_NAMES) + 1,
    _facts('UTT', 'mean and standard deviation over frames with the face, share of frames with it'), _open,
    columns=(*(f'{name}_mean' for name in _NAMES), *(f'{name}_std' for name in _NAMES), 'share_with_face'), batch=4,
)  # fmt: skip
