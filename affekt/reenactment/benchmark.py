"""Reenactment measured over a table of pairs: a face moved by itself, and by others.

Self-reenactment: a driver's first frame is the portrait, and each picture is held against the driver's own. Cross-
reenactment: another portrait, of which only movement and identity can be held against anything. All readings of faces
are affekt's own, which the engine too is made with: they tell engines apart that are measured alike, not truth.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from affekt.arrays import Floats
from affekt.errors import MediaError, PortraitError, TableError
from affekt.face3d import ExpressionFit
from affekt.faces import CanonicalFace, FaceIdentity, FaceLandmarker, face_crop
from affekt.files import file_sha256, place_atomically, write_atomically
from affekt.media import Recording, write_image
from affekt.metrics import (
    Interval,
    absolute_error,
    bootstrap_interval,
    expression_distance,
    identity_distance,
    landmark_error,
    multiscale_similarity,
    peak_signal_to_noise,
    pose_distance_deg,
    structural_similarity,
)
from affekt.pages import escaped, whole_page
from affekt.progress import Progress
from affekt.provenance import Consent, Credentials, Provenance, require_signing, sign, with_note
from affekt.reenactment.canonical import laid_face
from affekt.reenactment.diffused import DiffusedEngine
from affekt.reenactment.driver import DriverSettings, motion_of_video
from affekt.reenactment.engine import Engine
from affekt.reenactment.making import ReenactSettings
from affekt.reenactment.motion import POINTS, Motion, MotionFrame
from affekt.reenactment.portrait import Portrait
from affekt.reenactment.transfer import portrait_range, transfer
from affekt.tables import read_table

Image = npt.NDArray[np.uint8]
RATE_HZ = 5.0
SHEET_SIDE, SHEET_FRAMES = 160, 4
SMALLEST_MULTISCALE = 176
METRICS: Mapping[str, str] = {
    'l1': 'mean absolute difference, grey levels; lower is better',
    'psnr_db': 'PSNR, dB; higher is better',
    'ssim': 'SSIM; higher is better',
    'ms_ssim': 'MS-SSIM; higher is better',
    'flicker': 'change of the error between measured frames, grey levels; lower is better',
    'landmark_error': 'distance of landmarks over that of the eyes; lower is better',
    'expression_distance': 'difference of amounts of 51 directions; lower is better',
    'pose_distance_deg': 'angle between the heads, degrees; lower is better',
    'identity_distance': 'distance from the portrait’s face, 0.6 parts people; lower is better',
}
"""Name to what it says; the first six need the driver's own pictures."""
OF_PICTURES = ('l1', 'psnr_db', 'ssim', 'ms_ssim', 'flicker', 'landmark_error')


@dataclass(frozen=True)
class Pair:
    """A driver, and whom it moves; without a portrait its own first frame."""

    name: str
    driver: Path
    portrait: Path | None = None

    @property
    def is_self(self) -> bool:
        """The driver moves itself."""
        return self.portrait is None


@dataclass(frozen=True)
class PairResult:
    """What came of a pair: means over its frames, and how many there were."""

    pair: Pair
    scores: Mapping[str, float]
    frames: int
    without_face: int


@dataclass(frozen=True)
class Comparison:
    """A measured table of pairs.

    Attributes:
        folder: with result.json, pairs.csv, sheet.jpg and page.html.
        pairs: each result.
        summary: 'self' and 'cross' to metric to its mean over pairs, with an interval over pairs.
        left_out: name of a pair that could not be measured to the reason.
    """

    folder: Path
    pairs: tuple[PairResult, ...]
    summary: Mapping[str, Mapping[str, Interval]]
    left_out: Mapping[str, str] = field(default_factory=dict)


def read_pairs(path: str | os.PathLike[str]) -> list[Pair]:
    """The pairs of a table with the columns driver and, for cross-reenactment, portrait; files relative to the table.

    Raises:
        TableError: no such columns, or no rows, or a file that is not there.
    """
    place = Path(path)
    table = read_table(place)
    if 'driver' not in table.columns:
        raise TableError(
            expected='a table with the columns driver and portrait', came=f'{place.name}: {", ".join(table.columns)}',
            todo='name a video per row, and a picture or nothing',
        )  # fmt: skip
    drivers = [str(value or '') for value in table.columns['driver']]
    portraits = [str(value or '') for value in table.columns.get('portrait', [''] * len(drivers))]
    pairs = [
        Pair(f'{Path(driver).stem} → {Path(portrait).stem if portrait else "itself"}', place.parent / driver,
             place.parent / portrait if portrait else None)
        for driver, portrait in zip(drivers, portraits, strict=True)
        if driver
    ]  # fmt: skip
    absent = [str(file) for pair in pairs for file in (pair.driver, pair.portrait) if file and not file.is_file()]
    if not pairs or absent:
        came = f'{place.name} without a row' if not pairs else f'{", ".join(absent[:3])}: not there'
        raise TableError(expected='pairs whose files are there', came=came, todo='check the table')
    return pairs


def compare_reenactment(
    pairs: Sequence[Pair],
    out: str | os.PathLike[str],
    *,
    consent: Consent,
    settings: ReenactSettings | None = None,
    rate_hz: float = RATE_HZ,
    landmarker: FaceLandmarker | None = None,
    identity: FaceIdentity | None = None,
    credentials: Credentials | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Reenact and measure every pair; tables, a signed contact sheet and a page go into a folder.

    Args:
        pairs: see `read_pairs`.
        out: folder, made where missing.
        consent: the statement on all portrayed persons.
        settings: of transfer and engine.
        rate_hz: frames of a driver that are measured, per second.
        landmarker: by default one with the published model.
        identity: None leaves out the distance of identity.
        credentials: what the sheet is signed with.
        seed: of the intervals.
        progress: told the pairs that are done.

    Raises:
        PortraitError, MediaError: the only pair, or the last where none can be measured, shows no face, or a file of it
            cannot be read.
        MissingExtraError: nothing can be signed here.
    """
    require_signing()
    folder, own = Path(out), settings or ReenactSettings()
    folder.mkdir(parents=True, exist_ok=True)
    networks = landmarker or FaceLandmarker()
    results, rows, left_out = [], [], dict[str, str]()
    for done, pair in enumerate(pairs):
        if progress is not None:
            progress('pairs', done, len(pairs))
        try:
            result, row = _measured(pair, own, rate_hz, networks, identity)
        except (PortraitError, MediaError) as error:
            left_out[pair.name] = str(error)
            if len(left_out) == len(pairs):
                raise
            continue
        results.append(result)
        rows.append(row)
    if progress is not None:
        progress('pairs', len(pairs), len(pairs))
    summary = summarised(results, seed)
    comparison = Comparison(folder, tuple(results), summary, left_out)
    _write(comparison, rows, own, rate_hz, consent, credentials)
    return comparison


def summarised(results: Sequence[PairResult], seed: int = 0) -> dict[str, dict[str, Interval]]:
    """Means over pairs with intervals over pairs, for self- and cross-reenactment; pairs without a value are out."""
    summary: dict[str, dict[str, Interval]] = {}
    for name, is_self in (('self', True), ('cross', False)):
        chosen = [result for result in results if result.pair.is_self == is_self]
        for metric in METRICS:
            values = np.array([each.scores.get(metric, float('nan')) for each in chosen], dtype=np.float64)
            values = values[np.isfinite(values)]
            if len(values):
                rng = np.random.default_rng(seed)
                summary.setdefault(name, {})[metric] = bootstrap_interval(
                    lambda column: float(np.mean(column)), values, rng=rng, bounds=(-np.inf, np.inf)
                )
    return summary


class _Measures:
    """Collects the scores of one pair, frame by frame."""

    def __init__(self, portrait: Portrait, canonical: CanonicalFace, identity: FaceIdentity | None) -> None:
        self._canonical, self._identity = canonical, identity
        self._rest = laid_face(portrait.landmarks, canonical)
        self._fit = ExpressionFit(self._rest.points[:POINTS])
        self._portrait = portrait
        self._own = (
            None
            if identity is None
            else identity.vector(face_crop(portrait.image, portrait.landmarks.astype(np.float32)))
        )
        self.columns: dict[str, list[float]] = {metric: [] for metric in METRICS}
        self._error: Floats | None = None

    def face(self, picture: Image, landmarks: Floats, frame: MotionFrame) -> None:
        """What the face in a picture shows, against the driver's motion."""
        laid = laid_face(landmarks, self._canonical, self._rest.points)
        wanted = self._fit.amounts(frame.offsets.astype(np.float64))
        shown = self._fit.amounts(laid.points[:POINTS] - self._rest.points[:POINTS])
        turned = laid.rotation @ self._rest.rotation.T
        self.columns['expression_distance'].append(expression_distance(wanted, shown))
        self.columns['pose_distance_deg'].append(pose_distance_deg(frame.rotation, turned))
        if self._identity is not None and self._own is not None:
            vector = self._identity.vector(face_crop(picture, landmarks.astype(np.float32)))
            self.columns['identity_distance'].append(identity_distance(self._own, vector))

    def pictures(self, truth: Image, picture: Image) -> None:
        """A picture against the driver's own."""
        error = picture.astype(np.float64) - truth
        self.columns['l1'].append(absolute_error(truth, picture))
        self.columns['psnr_db'].append(min(peak_signal_to_noise(truth, picture), 100.0))
        self.columns['ssim'].append(structural_similarity(truth, picture))
        if min(truth.shape[:2]) >= SMALLEST_MULTISCALE:
            self.columns['ms_ssim'].append(multiscale_similarity(truth, picture))
        if self._error is not None:
            self.columns['flicker'].append(float(np.abs(error - self._error).mean()))
        self._error = error

    def means(self) -> dict[str, float]:
        """Metric to its mean over the frames that have it."""
        return {name: float(np.mean(values)) for name, values in self.columns.items() if values}


def _measured(
    pair: Pair, settings: ReenactSettings, rate_hz: float, networks: FaceLandmarker, identity: FaceIdentity | None
) -> tuple[PairResult, list[Image]]:
    """The scores of a pair, and pictures for its row of the sheet."""
    truths = Recording.open(pair.driver).frames(rate_hz, settings.max_side)
    first = next(truths, None)
    if first is None:
        raise MediaError(expected='a driver with pictures', came=pair.driver.name, todo='choose another')
    picture: Any = first.image if pair.portrait is None else pair.portrait
    portrait = Portrait.from_picture(picture, networks, max_side=settings.max_side)
    reading = DriverSettings(calm_at_s=first.time_s if pair.is_self else None, rate_hz=rate_hz)
    raw = motion_of_video(pair.driver, reading, landmarker=networks)
    driven: dict[float, MotionFrame] = {}

    def kept() -> Iterator[MotionFrame]:
        for frame in raw:
            driven[frame.time_s] = replace(frame, mouth=None)
            yield frame

    motion = transfer(replace(raw, frames=kept()), portrait_range(portrait), settings.transfer)
    engine, motion = _engine(portrait, motion, settings)
    measures = _Measures(portrait, networks.canonical, identity)
    count = lost = 0
    moments: list[Image] = []
    truth = first
    for frame in motion:
        while truth.time_s < frame.time_s - 1e-6 and (later := next(truths, None)) is not None:
            truth = later
        image = engine.picture(frame)
        if pair.is_self and frame.time_s <= first.time_s:  # the portrait itself
            continue
        count += 1
        moments += [truth.image, image]
        moments = moments if len(moments) <= 4 * SHEET_FRAMES else _thinned(moments)
        faces = networks.faces(image, max_faces=1)
        if pair.is_self and truth.image.shape == image.shape:
            measures.pictures(truth.image, image)
        if not faces:
            lost += 1
            continue
        landmarks = faces[0].landmarks.astype(np.float64)
        measures.face(image, landmarks, driven[frame.time_s])
        if pair.is_self and (seen := networks.faces(truth.image, max_faces=1)):
            measures.columns['landmark_error'].append(landmark_error(seen[0].landmarks, landmarks))
    if not count:
        raise MediaError(expected='a driver with a face', came=pair.driver.name, todo='choose another')
    return PairResult(pair, measures.means(), count, lost), [portrait.image, *moments[: 2 * SHEET_FRAMES]]


def _engine(portrait: Portrait, motion: Motion, settings: ReenactSettings) -> tuple[Engine | DiffusedEngine, Motion]:
    if settings.weights is None:
        return Engine(portrait, settings.engine), motion
    drawn = DiffusedEngine(portrait, motion, settings.weights, device=settings.device)
    return drawn, drawn.motion


def _thinned(moments: list[Image]) -> list[Image]:
    """Every second pair of pictures."""
    return [image for at in range(0, len(moments), 4) for image in moments[at : at + 2]]


def _write(
    comparison: Comparison, rows: Sequence[Sequence[Image]], settings: ReenactSettings, rate_hz: float,
    consent: Consent, credentials: Credentials | None,
) -> None:  # fmt: skip
    """All files of the folder."""
    folder = comparison.folder
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(['pair', 'driver', 'portrait', 'frames', 'without_face', *METRICS])
    for each in comparison.pairs:
        values = [f'{each.scores[name]:.6g}' if name in each.scores else '' for name in METRICS]
        portrait = '' if each.pair.portrait is None else each.pair.portrait.name
        writer.writerow([each.pair.name, each.pair.driver.name, portrait, each.frames, each.without_face, *values])
    write_atomically(folder / 'pairs.csv', table.getvalue().encode())
    summary = {
        name: {metric: {'mean': i.value, 'low': i.low, 'high': i.high} for metric, i in metrics.items()}
        for name, metrics in comparison.summary.items()
    }
    hashes = {each.pair.driver.name: file_sha256(each.pair.driver) for each in comparison.pairs}
    record = {
        'summary': summary, 'rate_hz': rate_hz, 'settings': settings.as_json(), 'drivers': hashes,
        'consent': consent.as_json(), 'metrics': dict(METRICS), 'left_out': dict(comparison.left_out),
    }  # fmt: skip
    write_atomically(folder / 'result.json', (json.dumps(record, indent=2, ensure_ascii=False) + '\n').encode())
    with place_atomically(folder / 'sheet.jpg') as place:
        write_image(place, with_note(contact_sheet(rows)), quality=92)
        first = comparison.pairs[0].pair
        of_portrait = file_sha256(first.portrait or first.driver)
        sign(place, Provenance(settings.drawn_by, consent, of_portrait, settings={'sheet_of': hashes}), credentials)
    write_atomically(folder / 'page.html', _page(comparison).encode())


def contact_sheet(rows: Sequence[Sequence[Image]]) -> Image:
    """A row a pair: the portrait, then the driver and the picture made of it at a few moments."""
    side = SHEET_SIDE
    columns = max(len(row) for row in rows)
    sheet = np.full((side * len(rows), side * columns, 3), 255, np.uint8)
    for at, row in enumerate(rows):
        for number, image in enumerate(row):
            small = PillowImage.fromarray(image)
            small.thumbnail((side, side), PillowImage.Resampling.LANCZOS)
            part = np.asarray(small)
            sheet[at * side : at * side + part.shape[0], number * side : number * side + part.shape[1]] = part
    return sheet


def _page(comparison: Comparison) -> str:
    """Tables of means with intervals, and of all pairs."""
    parts = [
        '<h1>Reenactment</h1>',
        '<p><a href="sheet.jpg">Contact sheet</a>, signed: <code>affekt verify</code>.</p>',
    ]
    titles = {'self': 'Moved by themselves', 'cross': 'Moved by others'}
    for name, metrics in comparison.summary.items():
        count = sum(each.pair.is_self == (name == 'self') for each in comparison.pairs)
        parts.append(f'<h2>{titles[name]}, {count} pairs</h2><table><tr><th>metric<th>mean [95 %]<th>meaning</tr>')
        parts += [
            f'<tr><td>{escaped(metric)}<td>{escaped(str(interval))}<td>{escaped(METRICS[metric])}</tr>'
            for metric, interval in metrics.items()
        ]
        parts.append('</table>')
    names = [name for name in METRICS if any(name in each.scores for each in comparison.pairs)]
    parts.append(
        '<h2>Pairs</h2><table><tr><th>pair<th>frames<th>no face' + ''.join(f'<th>{n}' for n in names) + '</tr>'
    )
    for each in comparison.pairs:
        cells = ''.join(f'<td>{each.scores[name]:.3f}' if name in each.scores else '<td>–' for name in names)
        parts.append(f'<tr><td>{escaped(each.pair.name)}<td>{each.frames}<td>{each.without_face}{cells}</tr>')
    parts.append('</table>')
    if comparison.left_out:
        why = ''.join(f'<li>{escaped(name)}: {escaped(reason)}</li>' for name, reason in comparison.left_out.items())
        parts.append(f'<h2>Left out</h2><ul>{why}</ul>')
    return whole_page('Reenactment', comparison.folder.name, '\n'.join(parts))
