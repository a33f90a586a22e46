"""Facial behaviour as features: movements, gaze, head and expression of the most prominent person in a video.

Columns are those of `affekt.faces.observe_faces` that are not combinations of others: 51 blendshapes (of 52; `_neutral`
carries no information), measures on landmarks and pixels, head pose, and the probabilities of seven expressions. A
frame without a face has no row; a sample without one has no features, never zeros. Expressions are those of the face,
not what the person feels.

`faces-all-frm` reads every frame, for labels per frame: a row's time is the index of its frame divided by the frame
rate. Its person is the one on the side that the sample's name ends in (`_left`, `_right`), else the most prominent one,
also after an absence. It adds the shape of the face (`affekt.faces.face_shapes`), and reads folders of cut-out faces
whose names are frame numbers, `00001.jpg` being the first: missing numbers, and unreadable images, are frames without a
face, and the store records the unreadable ones.

Axes: T frames with a face, D features, N rows of all people.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.corpora import Manifest, Sample
from affekt.errors import AffektError, listed
from affekt.faces import SHAPE_COLUMNS
from affekt.features.face_pictures import face_pictures
from affekt.features.recipes import Features, Recipe, SampleEncoder, Unable, not_whole, unreadable
from affekt.weights import lookup
from affekt.wording import counted

RATE_HZ = 12.5
"""Frames per second that are read from a video; of stored faces, all frames are read."""
PEOPLE = 5
"""Maximum number of faces that are tracked at once."""
_STORED_HZ = 25.0
"""Assumed frame rate of stored faces, whose times are unknown, for tracking persons."""


@dataclass(frozen=True)
class _Frame:
    time_s: float
    image: npt.NDArray[np.uint8]


NOMINAL_HZ = 30.0
"""Assumed frame rate of numbered images whose video is not available."""


def frame_rate_hz(manifest: Manifest, row: Sample) -> float:
    """Frame rate that converts frame numbers to seconds: that declared by the sample's video, else NOMINAL_HZ.

    Raises:
        MediaError: the video cannot be opened.
    """
    from affekt.media import Recording

    path = manifest.media(row, 'video')
    if path is None or not path.is_file():
        return NOMINAL_HZ
    stream = Recording.open(path).video
    return NOMINAL_HZ if stream is None or not stream.rate_hz else float(stream.rate_hz)


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
        damage: list[str] = []
        reading = _person_readings(manifest, row, landmarker, expression, damage)
        if isinstance(reading, Unable):
            return reading
        rows, times, share = reading
        if recipe.facts['level'] == 'UTT':
            rows, times = np.concatenate([rows.mean(axis=0), rows.std(axis=0), [share]]), None
        return not_whole(recipe.features(row.sample, rows, times), damage)

    def encoder(manifest: Manifest, samples: Sequence[Sample]) -> list[Features | Unable]:
        outcomes: list[Features | Unable] = []
        for row in samples:
            try:
                outcomes.append(encode(manifest, row))
            except AffektError as error:  # a video that cannot be read
                outcomes.append(unreadable(row.sample, error.came))
        return outcomes

    return encoder


def _person_readings(
    manifest: Manifest, row: Sample, landmarker: Any, expression: Any, damage: list[str]
) -> tuple[Floats32, npt.NDArray[np.float64] | None, float] | Unable:
    """(T, D) readings, (T,) times, and the share of frames that show the person; or the reason why there are none."""
    from affekt.faces import observe_faces

    frames = _frames(manifest, row, damage)
    if isinstance(frames, Unable):
        return frames
    observed = observe_faces(
        frames, max_people=PEOPLE, landmarker=landmarker, expression=expression, keep_thumbnails=False,
        both_views=True,
    )  # fmt: skip
    if not observed.frames:
        return Unable(row.sample, 'no image')
    if not observed.table.num_rows:
        return Unable(row.sample, 'no face')
    columns = {name: observed.table.column(name).to_pylist() for name in ('person', 'time_s')}
    people = np.array(columns['person'])
    areas = _numbers(observed.table, ['box_width', 'box_height']).prod(axis=1)
    area_of = {name: areas[people == name].sum() for name in dict.fromkeys(columns['person'])}
    is_main = people == max(area_of, key=lambda name: area_of[name])
    rows = _numbers(observed.table, _columns())
    kept = is_main & np.isfinite(rows).all(axis=1)
    if not kept.any():
        return Unable(row.sample, 'no face that could be measured')
    times = np.array(columns['time_s'], np.float64)[kept]
    is_video = row.frames is None
    return rows[kept].astype(np.float32), times if is_video else None, float(kept.sum() / observed.frames)


def _numbers(table: Any, names: Sequence[str]) -> npt.NDArray[np.float64]:
    return np.array([table.column(name).to_pylist() for name in names], np.float64).T


def _frames(manifest: Manifest, row: Sample, damage: list[str]) -> Iterator[Any] | Unable:
    """Stored faces, or a video sampled at a steady rate within the sample's window.

    Sentences on unreadable parts of the video are added to `damage` at its end.
    """
    if row.frames is not None:
        stored = face_pictures(manifest, row)
        if isinstance(stored, Unable):
            return stored
        return (_Frame(at / _STORED_HZ, image) for at, image in enumerate(stored.images))
    video = manifest.media(row, 'video')
    if video is None:
        return Unable(row.sample, 'no images: it has neither a video nor frames')
    return _video_frames(video, manifest.window_s(row, 'video'), damage)


def _video_frames(
    path: Any, window: tuple[float, float] | None, damage: list[str], numbered_hz: float | None = None
) -> Iterator[Any]:
    """Frames within a window: RATE_HZ per second, or all, at the times given by their numbers at `numbered_hz`."""
    from affekt.media import Recording

    begin_s, end_s = window or (0.0, np.inf)
    recording = Recording.open(path)
    for number, frame in enumerate(recording.frames(None if numbered_hz else RATE_HZ)):
        time_s = number / numbered_hz if numbered_hz else frame.time_s
        if time_s >= end_s:
            break
        if time_s >= begin_s:
            yield _Frame(time_s, frame.image)
    damage += recording.decoded.damage_within(window)


@dataclass(frozen=True)
class _AllFaces:
    """All faces of one video or folder, one row per person and frame."""

    people: list[str]
    times: npt.NDArray[np.float64]
    boxes: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    """(N, D) readings and shapes."""
    width: float
    """Width of the image, in pixels."""
    unread: tuple[str, ...] = ()
    """Names of unreadable images."""
    damage: tuple[str, ...] = ()
    """Sentences on unreadable parts of a video."""


def _open_all(recipe: Recipe) -> SampleEncoder:
    from affekt.faces import FaceLandmarker, expression_model

    landmarker, expression = FaceLandmarker(), expression_model('research')
    last: dict[Any, _AllFaces | Unable] = {}

    def watched(manifest: Manifest, row: Sample) -> _AllFaces | Unable:
        """Observations of a sample's video; kept for the next sample, which may be another person in the same video."""
        key = (manifest.media(row, 'frames'), manifest.media(row, 'video'), manifest.window_s(row, 'video'))
        if key not in last:
            observed = _all_faces(manifest, row, landmarker, expression)
            last.clear()
            last[key] = observed
        return last[key]

    def encoder(manifest: Manifest, samples: Sequence[Sample]) -> list[Features | Unable]:
        outcomes: list[Features | Unable] = []
        for row in samples:
            try:
                observed = watched(manifest, row)
                outcome = (
                    Unable(row.sample, observed.reason)
                    if isinstance(observed, Unable)
                    else _of_person(recipe, row, observed)
                )
            except AffektError as error:  # a video or image that cannot be read
                outcome = unreadable(row.sample, error.came)
            outcomes.append(outcome)
        return outcomes

    return encoder


def _all_faces(manifest: Manifest, row: Sample, landmarker: Any, expression: Any) -> _AllFaces | Unable:
    from affekt.faces import observe_faces

    widths = [0.0]
    unread: list[str] = []
    damage: list[str] = []
    frames = _numbered_frames(manifest, row, frame_rate_hz(manifest, row), unread, damage)
    if isinstance(frames, Unable):
        return frames
    with TemporaryDirectory() as folder:
        observed = observe_faces(
            _noting_width(frames, widths), max_people=PEOPLE, landmarker=landmarker, expression=expression,
            keep_thumbnails=False, spill=Path(folder, 'landmarks.parquet'), both_views=True,
        )  # fmt: skip
        if not observed.table.num_rows:
            reason = 'no face' if observed.frames else 'no image'
            return Unable(row.sample, '; '.join([reason, *_unread_sentence(unread)]))
        people = observed.table.column('person').to_pylist()
        times = np.array(observed.table.column('time_s').to_pylist(), np.float64)
        values = np.concatenate([_numbers(observed.table, _NAMES), _shapes(observed, people, times)], axis=1)
    boxes = _numbers(observed.table, ['box_x', 'box_y', 'box_width', 'box_height'])
    return _AllFaces(people, times, boxes, values, widths[0], tuple(unread), tuple(damage))


def _unread_sentence(unread: Sequence[str]) -> list[str]:
    """A sentence on unreadable images; [] if all can be read."""
    return [f'{counted(len(unread), "image")} that cannot be read: {listed(unread, 3)}'] if unread else []


def _of_person(recipe: Recipe, row: Sample, observed: _AllFaces) -> Features | Unable:
    from affekt.frames import recording_and_side, rows_of_person

    side = '' if row.frames is not None else recording_and_side(row.sample)[1]
    kept = np.flatnonzero(rows_of_person(observed.people, observed.times, observed.boxes, observed.width, side))
    if not len(kept):
        return Unable(row.sample, f'no face on the {side}')
    kept = kept[np.argsort(observed.times[kept], kind='stable')]
    values, times = observed.values[kept], observed.times[kept]
    is_measured = np.isfinite(values)
    if not is_measured.any(axis=0).all():
        return Unable(row.sample, 'no face that could be measured')
    features = recipe.features(
        row.sample, _interpolated(values, times, is_measured), times, '; '.join(_unread_sentence(observed.unread))
    )
    return not_whole(features, observed.damage)


def _shapes(observed: Any, people: Sequence[str], times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, 2 K) shapes of all rows."""
    from affekt.faces import face_shapes

    shapes: dict[tuple[str, float], Floats32] = {}
    for name in dict.fromkeys(people):
        track = observed.track(name)
        of_person = face_shapes(track.landmarks, track.poses)
        shapes |= {(name, time): row for time, row in zip(track.times_s.tolist(), of_person, strict=True)}
    return np.array([shapes[name, time] for name, time in zip(people, times.tolist(), strict=True)], np.float64)


def _interpolated(
    values: npt.NDArray[np.float64], times: npt.NDArray[np.float64], is_measured: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Values with gaps, such as gaze during a blink, interpolated from neighbouring frames."""
    for column in np.flatnonzero(~is_measured.all(axis=0)).tolist():
        has_value = is_measured[:, column]
        values[:, column] = np.interp(times, times[has_value], values[has_value, column])
    return values


def _noting_width(frames: Iterator[_Frame], widths: list[float]) -> Iterator[_Frame]:
    for frame in frames:
        widths[0] = float(frame.image.shape[1])
        yield frame


def _numbered_frames(
    manifest: Manifest, row: Sample, rate_hz: float, unread: list[str], damage: list[str]
) -> Iterator[_Frame] | Unable:
    """Frames of a video, or images of a folder, at the times given by their numbers.

    Names of unreadable images are added to `unread`; their frames are skipped. Sentences on unreadable parts of
    a video are added to `damage` at its end.
    """
    if row.frames is not None:
        return _numbered_pictures(manifest, row, rate_hz, unread)
    video = manifest.media(row, 'video')
    if video is None:
        return Unable(row.sample, 'no images: it has neither a video nor frames')
    return _video_frames(video, manifest.window_s(row, 'video'), damage, rate_hz)


def _numbered_pictures(manifest: Manifest, row: Sample, rate_hz: float, unread: list[str]) -> Iterator[_Frame] | Unable:
    stored = face_pictures(manifest, row)
    if isinstance(stored, Unable):
        return stored
    paths: Sequence[Path] = getattr(stored.images, 'paths', ())
    if not paths:
        return (_Frame(number / rate_hz, image) for number, image in enumerate(stored.images))
    numbers = {int(path.stem): at for at, path in enumerate(paths) if path.stem.isdecimal() and int(path.stem) > 0}
    if unnumbered := [path.name for path in paths if not path.stem.isdecimal() or int(path.stem) < 1]:
        return Unable(row.sample, f'images whose names are not frame numbers: {listed(unnumbered, 2)}')
    if len(numbers) != len(paths):
        return Unable(row.sample, 'two images of one frame')
    in_order = [(number, paths[at].name, at) for number, at in sorted(numbers.items())]
    return _readable_pictures(stored.images, in_order, rate_hz, unread)


def _readable_pictures(
    images: Any, in_order: Sequence[tuple[int, str, int]], rate_hz: float, unread: list[str]
) -> Iterator[_Frame]:
    for number, name, at in in_order:
        try:
            image = images[at]
        except AffektError:
            unread.append(name)
            continue
        yield _Frame((number - 1) / rate_hz, image)


_NAMES = _columns()
_ALL_NAMES = (*_NAMES, *SHAPE_COLUMNS)

FACES_FRAMES = Recipe(
    'faces-frm', 'video', len(_NAMES), _facts('FRA', 'none'), _open, columns=_NAMES, batch=4,
)  # fmt: skip
FACES = Recipe(
    'faces-utt', 'video', 2 * len(_NAMES) + 1,
    _facts('UTT', 'mean and standard deviation over frames with the face, share of frames with it'), _open,
    columns=(*(f'{name}_mean' for name in _NAMES), *(f'{name}_std' for name in _NAMES), 'share_with_face'), batch=4,
)  # fmt: skip
ALL_FACES_FRAMES = Recipe(
    'faces-all-frm', 'video', len(_ALL_NAMES),
    {
        **_facts('FRA', 'none'), 'version': 1, 'rate_hz': 'every frame', 'person': 'by the side that the name ends in',
        'time': 'number of the frame over the frame rate', 'unseen': 'between the frames that show it',
    }, _open_all, columns=_ALL_NAMES, batch=1,
)  # fmt: skip
