"""Motion from curves: of a table, or of an affekt analysis.

A table has a column `time_s` and, for each part to move, a column named after

| column | unit |
|---|---|
| one of the 51 directions, such as `jawOpen` | amount, usually 0 to 1 |
| an emotion, such as `surprise` | intensity of its recipe, 0 to 1; recipes add up to the larger amount |
| `yaw_deg`, `pitch_deg`, `roll_deg` | head rotation in degrees, relative to the portrait |
| `gaze_yaw_deg`, `gaze_pitch_deg` | gaze in degrees: to the person's left, and up |

Values are interpolated smoothly, without overshoot (monotone cubics), so a few rows are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from affekt.analysis import Analysis, column, rows_of
from affekt.arrays import Floats
from affekt.errors import RunError, TableError, UnknownNameError, did_you_mean, shown_faults
from affekt.face3d import face_model, look_amounts, shown_amounts
from affekt.faces import BLENDSHAPES
from affekt.labels import EKMAN
from affekt.reenactment.amounts import columns, frame_of_amounts
from affekt.reenactment.emotions import MOST_SECONDS, RECIPES, require_rate
from affekt.reenactment.motion import DIRECTIONS, Motion, MotionFrame
from affekt.tables import Table, number, read_table
from affekt.wording import counted

TIME = 'time_s'
HEAD = ('yaw_deg', 'pitch_deg', 'roll_deg')
GAZE = ('gaze_yaw_deg', 'gaze_pitch_deg')
LIMITS = {**dict.fromkeys(HEAD, (-90.0, 90.0)), **dict.fromkeys(GAZE, (-60.0, 60.0))}
"""Smallest and largest angle of each column, in degrees."""
AMOUNT_LIMITS, INTENSITY_LIMITS = (-1.0, 2.0), (0.0, 1.0)
"""Smallest and largest amount of a direction, and intensity of an emotion."""
ANALYSIS_FILE = 'analysis.json'
"""File of an analysis folder that `Analysis.load` reads."""
BLENDED_GAP_S = 1.0
"""Longest gap in seconds that is interpolated; in longer ones the face returns to rest."""
REST_S = 0.5
"""Rest begins and ends half this time, in seconds, within a gap."""
TimelineSource = Literal['face', 'emotion']
TIMELINE_SOURCES: dict[str, str] = {
    'face': 'the movements of the face, head and gaze, relative to the calmest moment',
    'emotion': 'the emotions read from face, voice and words: the probability of each is its intensity',
}
"""Source of a person's motion in an analysis, to its description."""


def motion_of_curves(path: str | Path, *, rate_hz: float = 25.0, are_scores: bool = False) -> Motion:
    """The motion that a table describes.

    Args:
        path: path of the table; see the module's text for its columns.
        rate_hz: frames per second of the motion.
        are_scores: the directions' columns are scores of the blendshape network, as in a table of `affekt analyze`, and
            become amounts by their gains.

    Raises:
        TableError: the file is not a table, has no `time_s`, no column that moves anything, an unknown column, times
            that do not ascend, or a cell that is not a number or out of range; the error names row and column.
        ValueRangeError: the rate is out of range.
    """
    require_rate(rate_hz)
    table = read_table(Path(path))
    names = _known_columns(table)
    times_s = _times(table)
    faults: list[str] = []
    curves = {name: _numbers(table, spelled, _limits(name), faults) for spelled, name in names.items()}
    if faults:
        raise TableError(
            expected='numbers within their range in every cell',
            came=f'{table.path.name} with {counted(len(faults), "faulty cell", "faulty cells")}',
            todo='correct what is named', faults=shown_faults(faults),
        )  # fmt: skip
    notes = []
    if left_out := [name for name in table if name not in names and name.casefold() != TIME]:
        notes.append(f'columns of {table.path.name} that move nothing: {", ".join(left_out)}')
    if are_scores:
        curves = _as_amounts(curves, len(times_s))
    motion = motion_of_series(times_s, curves, rate_hz=rate_hz)
    motion.notes.extend(notes)
    return motion


def motion_of_series(times_s: npt.ArrayLike, curves: Mapping[str, npt.ArrayLike], *, rate_hz: float = 25.0) -> Motion:
    """The motion of curves in arrays, sampled evenly from the first time to the last.

    Args:
        times_s: (T,) ascending seconds; the motion begins at 0.
        curves: column to its (T,) values; the names are those of the module's text.
        rate_hz: frames per second.

    Raises:
        UnknownNameError: unknown column.
        ValueRangeError: the rate is out of range.
    """
    require_rate(rate_hz)
    times = np.asarray(times_s, dtype=np.float64)
    known_names = {*columns(), *RECIPES, *HEAD, *GAZE}
    if unknown := sorted(set(curves) - known_names):
        raise UnknownNameError(
            expected='names of directions, emotions, head or gaze', came=repr(unknown[0]),
            todo=did_you_mean(unknown[0], known_names),
        )  # fmt: skip
    curve_functions = {
        name: _interpolated(times, np.asarray(values, dtype=np.float64)) for name, values in curves.items()
    }
    count = round((float(times[-1]) - float(times[0])) * rate_hz) + 1

    def frames() -> Iterator[MotionFrame]:
        for index in range(count):
            values_at_time = {name: float(curve(times[0] + index / rate_hz)) for name, curve in curve_functions.items()}
            yield _frame(index / rate_hz, values_at_time)

    return Motion(frames(), rate_hz, count)


def motion_of_timeline(
    run: str | Path, *, person: str | int | None = None, source: TimelineSource | None = None, rate_hz: float = 25.0
) -> Motion:
    """The motion of a person in an analysis.

    By 'face': blendshape scores of every frame become amounts by their gains, relative to the
    person's calmest moment; head and gaze are relative to their medians. By 'emotion': the fused probability of each
    emotion, second by second, is the intensity of its recipe. Where a second has no categories, valence and arousal
    replace them: happiness for valence above 0; for valence below 0 sadness with little arousal, anger with much.

    Args:
        run: a run folder of `affekt analyze` with one recording, or the folder of one recording in it.
        person: name or number of the person; None takes the one seen longest.
        source: see TIMELINE_SOURCES; None takes the face if it was seen, else the emotions.
        rate_hz: frames per second of the motion.

    Raises:
        RunError: there is no analysis, or it has nothing to move by.
        UnknownNameError: unknown person or source.
    """
    require_rate(rate_hz)
    if source is not None and source not in TIMELINE_SOURCES:
        raise UnknownNameError(
            expected=f'a source among {", ".join(TIMELINE_SOURCES)}', came=repr(source), todo='choose one of them'
        )
    analysis = Analysis.load(folder_of_analysis(run))
    if not analysis.lanes:
        raise RunError(expected='an analysis with a person', came=f'{run} without a person',
                       todo='analyze a recording of somebody')  # fmt: skip
    name = analysis.lanes[0].name if person is None else analysis.timeline.series(person).person
    by_face = _face_curves(analysis, name) if source != 'emotion' else None
    if by_face is None and source == 'face':
        raise RunError(
            expected=f'a face of {name} in the analysis', came=f'{run}, in which none was read',
            todo="move by 'emotion' instead",
        )  # fmt: skip
    times_s, curves = by_face or _emotion_curves(analysis, name, str(run))
    motion = motion_of_series(times_s, curves, rate_hz=rate_hz)
    motion.notes.append(f'{name} moves the portrait by {TIMELINE_SOURCES["face" if by_face else "emotion"]}')
    return motion


def folder_of_analysis(run: str | Path) -> Path:
    """The folder of the one recording in a run folder of `affekt analyze`; or the folder itself, if it already is one.

    Raises:
        RunError: the run has several recordings.
    """
    folder = Path(run)
    if (folder / ANALYSIS_FILE).exists():
        return folder
    folders = sorted(
        path.parent for path in folder.glob(f'*/{ANALYSIS_FILE}') if not path.parent.name.startswith('.')
    )  # hidden ones were left by killed runs
    if len(folders) > 1:
        raise RunError(
            expected='the analysis of one recording', came=f'{run} with {len(folders)} of them',
            todo=f'name the folder of one, such as {folders[0]}',
        )  # fmt: skip
    return folders[0] if folders else folder


def _frame(time_s: float, values: Mapping[str, float]) -> MotionFrame:
    """The frame of the values of all curves at one time."""
    amounts = np.zeros(DIRECTIONS)
    for name, recipe in RECIPES.items():
        if values.get(name):
            amounts = np.maximum(amounts, recipe.amounts(values[name]))
    column_of = columns()
    looks = look_amounts(values.get(GAZE[0], 0.0), values.get(GAZE[1], 0.0))
    for name, amount in [*looks.items(), *((name, value) for name, value in values.items() if name in column_of)]:
        amounts[column_of[name]] += amount
    yaw, pitch, roll = (values.get(name, 0.0) for name in HEAD)
    return frame_of_amounts(time_s, amounts, (yaw, pitch, roll))


def _interpolated(times_s: Floats, values: Floats) -> Callable[[float], Any]:
    """A monotone cubic through the values that are not nan; a constant if there are fewer than two."""
    from scipy.interpolate import PchipInterpolator

    is_known = np.isfinite(values)
    if is_known.sum() < 2:
        level = float(values[is_known][0]) if is_known.any() else 0.0
        return lambda _: level
    curve: Callable[[float], Any] = PchipInterpolator(times_s[is_known], values[is_known], extrapolate=False)
    return lambda time_s: curve(min(max(time_s, float(times_s[is_known][0])), float(times_s[is_known][-1])))


def _known_columns(table: Table) -> dict[str, str]:
    """Each column that moves something, as spelled, to its name here.

    Raises:
        TableError: there is no time, nothing that moves, or a column that was meant to.
    """
    spellings = {name.casefold(): name for name in (*columns(), *RECIPES, *HEAD, *GAZE)}
    if not any(name.casefold() == TIME for name in table):
        raise TableError(
            expected=f'a column {TIME!r}', came=f'{table.path.name} with {table.seen()}',
            todo='give the seconds of each row',
        )  # fmt: skip
    names = {spelled: spellings[spelled.casefold()] for spelled in table if spelled.casefold() in spellings}
    if not names:
        others = [name for name in table if name.casefold() != TIME]
        advice = 'add a column such as jawOpen or surprise'
        raise TableError(
            expected='columns named after directions, emotions, head or gaze',
            came=f'{table.path.name} with {table.seen()}',
            todo=did_you_mean(others[0], spellings.values(), advice) if others else advice,
        )
    for spelled in table:
        if spelled not in names and spelled.casefold() != TIME:
            suggestion = did_you_mean(spelled, spellings.values(), '')
            if suggestion:
                raise TableError(
                    expected='columns named after directions, emotions, head or gaze', came=f'{table.path.name} with '
                    f'a column {spelled!r}', todo=suggestion,
                )  # fmt: skip
    return names


def _times(table: Table) -> Floats:
    """The seconds of the rows.

    Raises:
        TableError: there are fewer than two, one is no number, or they do not ascend.
    """
    spelled = next(name for name in table if name.casefold() == TIME)
    faults: list[str] = []
    times = _numbers(table, spelled, (-1e6, 1e6), faults)
    faults += [
        f'{table.row(row + 1)}, column {spelled}: {times[row + 1]:g} s does not come after {times[row]:g} s'
        for row in np.flatnonzero(np.diff(times) <= 0).tolist()
    ]
    if faults or len(times) < 2 or times[-1] - times[0] > MOST_SECONDS:
        raise TableError(
            expected=f'two rows or more whose times ascend, over at most {MOST_SECONDS:g} s',
            came=f'{table.path.name} with {len(times)} rows' if not faults else f'{table.path.name}: {faults[0]}',
            todo='sort the rows by time, and give each a time of its own', faults=shown_faults(faults[1:]),
        )  # fmt: skip
    return times


def _numbers(table: Table, spelled: str, limits: tuple[float, float], faults: list[str]) -> Floats:
    """(T,) numbers in a column; each invalid cell is nan, and its row, column and fault are added to `faults`."""
    values = []
    for row, cell in enumerate(table[spelled]):
        try:
            value = number(cell)
        except ValueError as error:
            faults.append(f'{table.row(row)}, column {spelled}: {error}')
            value = np.nan
        else:
            if not limits[0] <= value <= limits[1]:
                faults.append(f'{table.row(row)}, column {spelled}: {value:g} is not in {limits[0]:g} to {limits[1]:g}')
        values.append(value)
    return np.array(values, dtype=np.float64)


def _limits(name: str) -> tuple[float, float]:
    return LIMITS.get(name, INTENSITY_LIMITS if name in RECIPES else AMOUNT_LIMITS)


def _as_amounts(curves: Mapping[str, Floats], count: int) -> dict[str, Floats]:
    """Curves in which the directions' scores are amounts."""
    scores = np.zeros((count, 1 + DIRECTIONS))
    for name, index in columns().items():
        if name in curves:
            scores[:, 1 + index] = curves[name]
    amounts = shown_amounts(scores)
    return {name: amounts[:, columns()[name]] if name in columns() else values for name, values in curves.items()}


def _face_curves(analysis: Analysis, person: str) -> tuple[Floats, dict[str, Floats]] | None:
    """Times and curves of the face in an analysis; None if fewer than two frames were read."""
    faces = analysis.tables['faces']
    needed = (*BLENDSHAPES[1:], *HEAD, *GAZE, TIME)
    if not faces.num_rows or not set(needed) <= set(faces.column_names):
        return None
    rows = rows_of(faces, person)
    times = column(rows, TIME) if rows.num_rows else np.zeros(0)
    scores = np.stack([column(rows, name) for name in BLENDSHAPES[1:]], axis=1) if len(times) else np.zeros((0, 51))
    is_complete = np.isfinite(scores).all(axis=1)
    if is_complete.sum() < 2:
        return None
    rows, times, scores = rows.filter(is_complete), times[is_complete], scores[is_complete]
    amounts = shown_amounts(np.concatenate([np.zeros((len(scores), 1)), scores], axis=1))
    calm = amounts[int(np.argmin(scores.sum(axis=1)))]
    curves = {name: amounts[:, index] - calm[index] for index, name in enumerate(face_model().directions)
              if not name.startswith('eyeLook')}  # fmt: skip
    for name in (*HEAD, *GAZE):
        angles = column(rows, name)
        curves[name] = angles - np.nanmedian(angles) if np.isfinite(angles).any() else np.zeros(len(angles))
    return _resting(times, curves)


def _resting(times: Floats, curves: Mapping[str, Floats]) -> tuple[Floats, dict[str, Floats]]:
    """The curves with rest, all zeros, inside gaps of more than BLENDED_GAP_S."""
    gaps = np.flatnonzero(np.diff(times) > BLENDED_GAP_S)
    edges = [time for gap in gaps for time in (times[gap] + REST_S / 2, times[gap + 1] - REST_S / 2)]
    order = np.argsort(np.concatenate([times, edges]))
    all_times = np.concatenate([times, edges])[order]
    return all_times, {
        name: np.concatenate([values, np.zeros(len(edges))])[order] for name, values in curves.items()
    }  # fmt: skip


def _emotion_curves(analysis: Analysis, person: str, run: str) -> tuple[Floats, dict[str, Floats]]:
    """Times and intensities of the emotions that were fused, from the start of the first second to the end of the last.

    Raises:
        RunError: nothing was.
    """
    series = analysis.timeline.series(person)
    times = (series.start_s + series.end_s) / 2
    shares = series.probabilities.copy()
    has_shares = np.isfinite(shares).all(axis=1)
    valence, arousal = np.nan_to_num(series.valence), np.nan_to_num(series.arousal)
    fallback = np.zeros_like(shares)
    fallback[:, EKMAN.index('happiness')] = np.clip(valence, 0, 1)
    fallback[:, EKMAN.index('anger')] = np.clip(-valence, 0, 1) * (arousal > 0)
    fallback[:, EKMAN.index('sadness')] = np.clip(-valence, 0, 1) * (arousal <= 0)
    shares[~has_shares] = fallback[~has_shares]
    if len(times) < 2 or not (has_shares | np.isfinite(series.valence)).any():
        raise RunError(
            expected=f'two seconds or more in which {person} was read', came=f'{run}, with fewer',
            todo='analyze a longer recording',
        )  # fmt: skip
    all_times = np.concatenate([series.start_s[:1], times, series.end_s[-1:]])
    unknown = np.full((1, shares.shape[1]), np.nan)  # as in the second beside it
    shares = np.concatenate([unknown, np.clip(shares, 0, 1), unknown])
    return all_times, {name: shares[:, EKMAN.index(name)] for name in EKMAN if name in RECIPES}
