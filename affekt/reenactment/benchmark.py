"""Reenactment measured over a table of pairs: self- and cross-reenactment.

Self-reenactment: a driver's first frame is the portrait, and each frame is compared with the driver's own. Cross-
reenactment: another portrait, for which only movement and identity can be compared. All readings of faces are affekt's
own, which the engine also uses: scores compare engines with each other, not with the truth. The user's own networks
add LPIPS per frame, FID over all frames, and FVD over all segments. Each pair is stored, so that a killed run resumes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from affekt.arrays import Floats
from affekt.errors import MediaError, PortraitError, ValueRangeError
from affekt.face3d import ExpressionFit
from affekt.faces import CanonicalFace, FaceIdentity, FaceLandmarker, face_crop
from affekt.files import file_sha256, part_of, place_atomically, write_atomically
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
from affekt.provenance import Consent, Credentials, Provenance, sign, usable_credentials, with_note
from affekt.reenactment.canonical import laid_face
from affekt.reenactment.diffused import DiffusedEngine, DrawsMaps
from affekt.reenactment.driver import DriverSettings, motion_of_video
from affekt.reenactment.engine import Engine
from affekt.reenactment.making import PAINTED_SUFFIX, ReenactSettings, learnt_files, require_alone, require_no_refiner
from affekt.reenactment.motion import POINTS, Motion, MotionFrame
from affekt.reenactment.portrait import Portrait
from affekt.reenactment.sources import Pair, names_apart
from affekt.reenactment.transfer import portrait_range, transfer
from affekt.runs import Entry, Run
from affekt.tables import csv_bytes
from affekt.typed_json import plain
from affekt.wording import counted

if TYPE_CHECKING:
    from affekt.diffusion import FeaturesOf, PictureNetworks

Image = npt.NDArray[np.uint8]
RATE_HZ = 5.0
SHEET_SIDE, SHEET_FRAMES = 160, 4
SMALLEST_MULTISCALE = 176
METRICS: Mapping[str, str] = {
    'l1': 'mean absolute difference, grey levels; lower is better',
    'psnr_db': 'PSNR, dB; higher is better',
    'ssim': 'SSIM; higher is better',
    'ms_ssim': 'MS-SSIM; higher is better',
    'lpips': 'LPIPS by the network that was given; lower is better',
    'flicker': 'change of the error between measured frames, grey levels; lower is better',
    'landmark_error': 'distance of landmarks over that of the eyes; lower is better',
    'expression_distance': 'difference of amounts of 51 directions; lower is better',
    'pose_distance_deg': 'angle between the heads, degrees; lower is better',
    'identity_distance': 'distance from the portrait’s face, 0.6 parts people; lower is better',
}
"""Metric to its explanation; the first seven need the driver's own frames."""
LIKENESSES = ('ssim', 'ms_ssim')
MOST = {'l1': 255.0, 'ssim': 2.0, 'ms_ssim': 2.0, 'pose_distance_deg': 180.0}
"""Metric to its upper bound; for likenesses, -1 to 1, that of 1 - value. All others start at 0."""
OF_PICTURES = ('l1', 'psnr_db', 'ssim', 'ms_ssim', 'lpips', 'flicker', 'landmark_error')
SCORES = 'scores.json'


@dataclass(frozen=True)
class PairResult:
    """The result of one pair: means over its frames, and the number of frames."""

    pair: Pair
    scores: Mapping[str, float]
    frames: int
    without_face: int


@dataclass(frozen=True)
class Comparison:
    """A measured table of pairs.

    Attributes:
        folder: the folder with result.json, pairs.csv, sheet.jpg and page.html.
        pairs: result of each pair.
        summary: 'self' and 'cross' to metric to its mean over pairs, with an interval over pairs.
        sets: 'fid' and 'fvd' to their value over all self-reenacted pairs, and the number of frames or segments
            on each side; nan if there are fewer than 2.
        resumed: pairs measured by an earlier, interrupted run.
        left_out: name of each pair that could not be measured, to the reason.
    """

    folder: Path
    pairs: tuple[PairResult, ...]
    summary: Mapping[str, Mapping[str, Interval]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    sets: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    resumed: int = 0


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
    networks: PictureNetworks | None = None,
    seed: int = 0,
    resume: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Reenact and measure every pair; tables, a signed contact sheet and a page go into a folder.

    Args:
        pairs: see `read_pairs`.
        out: folder, created if missing.
        consent: the statement on all portrayed persons.
        settings: settings of transfer and engine; None for the defaults.
        rate_hz: frames per second of a driver that are measured.
        landmarker: finds landmarks; None for one with the published model.
        identity: recognition network; None leaves out the distance of identity.
        credentials: credentials that sign the sheet.
        networks: the user's networks, for LPIPS, FID and FVD; see `affekt.diffusion.PictureNetworks`.
        seed: seed of the intervals.
        resume: continue an interrupted run in this folder; pairs may have been added since.
        progress: called with `pairs`, number done, number of all.

    Raises:
        PortraitError, MediaError: the only pair, or the last if none can be measured, shows no face, or a file of it
            cannot be read.
        ValueRangeError: the frame rate is not above 0, or the settings have a personal refiner, made for one portrait.
        RunError: the folder holds other files, or a run without `resume` or with other settings.
        WeightsError: a network of the user does not take images.
        MissingExtraError: c2pa-python is not installed.
    """
    credentials = usable_credentials(credentials)
    require_alone('a benchmark')
    folder, chosen = Path(out), settings or ReenactSettings()
    require_no_refiner(chosen, 'a benchmark')
    if not 0 < rate_hz < float('inf'):
        raise ValueRangeError(expected='frames per second above 0', came=str(rate_hz), todo='5 is usual')
    depends_on = {
        'settings': chosen.as_json(), 'rate_hz': rate_hz, 'identity': identity is not None,
        'networks': {} if networks is None else dict(networks.prints), **learnt_files(chosen), **_computes_in(chosen),
    }  # fmt: skip
    measuring = _Measuring(chosen, rate_hz, landmarker or FaceLandmarker(), identity, networks)
    results, rows, left_out, features = list[PairResult](), [], dict[str, str](), []
    resumed, measured = 0, set[str]()
    with Run(folder, depends_on, resume=resume) as run:
        for number, pair in enumerate(pairs):
            if progress is not None:
                progress('pairs', number, len(pairs))
            try:
                key = _key(pair)
                entry = run.finished(key)
                if entry is None:
                    entry = _kept(run, key, pair, measuring)
                    measured.add(key)
                elif key not in measured:
                    resumed += 1
            except (PortraitError, MediaError) as error:
                left_out[pair.name] = str(error)
                if number == len(pairs) - 1 and not results:
                    raise
                continue
            result, row, pair_features = _read(folder / entry.folder, pair)
            results.append(result)
            rows.append(row)
            features.append(pair_features)
        if progress is not None:
            progress('pairs', len(pairs), len(pairs))
        sets = {} if networks is None else networks.distances(features)
        comparison = Comparison(folder, tuple(results), summarised(results, seed), left_out, sets, resumed)
        _write(comparison, rows, chosen, rate_hz, consent, credentials)
    return comparison


def _computes_in(settings: ReenactSettings) -> dict[str, str]:
    """The dtype that networks paint in: another device may take another, and pairs would not compare."""
    if settings.weights is None:
        return {}
    from affekt.diffusion import number_type

    return {'computes_in': str(number_type(settings.device, settings.painting.precision))}


def summarised(results: Sequence[PairResult], seed: int = 0) -> dict[str, dict[str, Interval]]:
    """Means over pairs with intervals over pairs, for self- and cross-reenactment; pairs without a value are left
    out."""
    summary: dict[str, dict[str, Interval]] = {}
    for name, is_self in (('self', True), ('cross', False)):
        scores_of_kind = [result.scores for result in results if result.pair.is_self == is_self]
        for metric in METRICS:
            values = np.array([scores[metric] for scores in scores_of_kind if np.isfinite(scores.get(metric, np.nan))])
            if len(values):
                losses = 1 - values if metric in LIKENESSES else values
                mean = bootstrap_interval(
                    lambda column: float(np.mean(column)), losses, rng=np.random.default_rng(seed), bounds=(0, np.inf)
                )
                low, high = mean.low, min(mean.high, MOST.get(metric, np.inf))
                if metric in LIKENESSES:
                    low, high = 1 - high, 1 - low
                summary.setdefault(name, {})[metric] = replace(mean, value=float(values.mean()), low=low, high=high)
    return summary


Features = dict[str, Floats]
"""'fid_truth', 'fid_made', 'fvd_truth' and 'fvd_made' to features (N, D), for the networks that were given."""


@dataclass(frozen=True)
class _Measuring:
    """Settings and networks with which every pair is measured."""

    settings: ReenactSettings
    rate_hz: float
    landmarker: FaceLandmarker
    identity: FaceIdentity | None
    networks: PictureNetworks | None


def _key(pair: Pair) -> str:
    """Key of a measured pair: a hash of its name and files.

    Raises:
        MediaError: a file cannot be read.
    """
    try:
        driver = file_sha256(pair.driver)
        portrait = '' if pair.portrait is None else file_sha256(pair.portrait)
    except OSError as error:
        raise MediaError(
            expected='files of a pair that can be read', came=str(error), todo='check the paths'
        ) from error
    return hashlib.sha256(f'{pair.name} {driver} {portrait}'.encode()).hexdigest()[:16]


def _kept(run: Run, key: str, pair: Pair, measuring: _Measuring) -> Entry:
    """Measure a pair, and keep its result in the run."""
    painted = part_of(run.folder / key, PAINTED_SUFFIX)
    result, row, features = _measured(pair, measuring, painted)
    with run.building(f'pair_{key}') as folder:
        scores = {'frames': result.frames, 'without_face': result.without_face, 'scores': dict(result.scores)}
        write_atomically(folder / SCORES, (json.dumps(plain(scores), indent=2) + '\n').encode())
        for number, image in enumerate(row):
            write_image(folder / f'{number:02d}.png', _thumbnail(image))
        for name, values in features.items():
            np.save(folder / f'{name}.npy', values, allow_pickle=False)
    run.note(key, f'pair_{key}', pair=pair.name)
    entry = run.finished(key)
    assert entry is not None
    return entry


def _read(folder: Path, pair: Pair) -> tuple[PairResult, list[Image], Features]:
    """The kept result of a measured pair."""
    content = json.loads((folder / SCORES).read_text(encoding='utf-8'))
    scores = {name: float('nan') if value is None else value for name, value in content['scores'].items()}
    result = PairResult(pair, scores, content['frames'], content['without_face'])
    row = [np.asarray(PillowImage.open(path).convert('RGB')) for path in sorted(folder.glob('*.png'))]
    return result, row, {path.stem: np.load(path, allow_pickle=False) for path in sorted(folder.glob('*.npy'))}


class _Measures:
    """Collects the scores of one pair, frame by frame."""

    def __init__(
        self,
        portrait: Portrait,
        canonical: CanonicalFace,
        identity: FaceIdentity | None,
        networks: PictureNetworks | None,
    ) -> None:
        self._canonical, self._identity = canonical, identity
        self._lpips = None if networks is None else networks.lpips
        self._features: Mapping[str, FeaturesOf] = {} if networks is None else networks.sides()
        self._rest = laid_face(portrait.landmarks, canonical)
        self._fit = ExpressionFit(self._rest.points[:POINTS])
        self._portrait = portrait
        crop = face_crop(portrait.image, portrait.landmarks.astype(np.float32))
        self._own = None if identity is None else identity.vector(crop)
        self.columns: dict[str, list[float]] = {metric: [] for metric in METRICS}
        self._error: Floats | None = None

    def face(self, image: Image, landmarks: Floats, frame: MotionFrame) -> None:
        """Compare the face in a drawn image with the driver's motion."""
        drawn_face = laid_face(landmarks, self._canonical, self._rest.points)
        driven_amounts = self._fit.amounts(frame.offsets.astype(np.float64))
        drawn_amounts = self._fit.amounts(drawn_face.points[:POINTS] - self._rest.points[:POINTS])
        rotation = drawn_face.rotation @ self._rest.rotation.T
        self.columns['expression_distance'].append(expression_distance(driven_amounts, drawn_amounts))
        self.columns['pose_distance_deg'].append(pose_distance_deg(frame.rotation, rotation))
        if self._identity is not None and self._own is not None:
            vector = self._identity.vector(face_crop(image, landmarks.astype(np.float32)))
            self.columns['identity_distance'].append(identity_distance(self._own, vector))

    def images(self, truth: Image, image: Image) -> None:
        """Compare a drawn image with the driver's own frame."""
        error = image.astype(np.float64) - truth
        self.columns['l1'].append(absolute_error(truth, image))
        self.columns['psnr_db'].append(min(peak_signal_to_noise(truth, image), 100.0))
        self.columns['ssim'].append(structural_similarity(truth, image))
        if min(truth.shape[:2]) >= SMALLEST_MULTISCALE:
            self.columns['ms_ssim'].append(multiscale_similarity(truth, image))
        if self._lpips is not None:
            self.columns['lpips'].append(self._lpips(truth, image))
        for name, features in self._features.items():
            features.add(truth if name.endswith('truth') else image)
        if self._error is not None:
            self.columns['flicker'].append(float(np.abs(error - self._error).mean()))
        self._error = error

    def features(self) -> Features:
        """Features of drawn and true images, if these were compared."""
        return {name: features.all() for name, features in self._features.items() if self.columns['l1']}

    def means(self) -> dict[str, float]:
        """Metric to its mean over the frames that have it."""
        return {name: float(np.mean(values)) for name, values in self.columns.items() if values}


def _measured(pair: Pair, measuring: _Measuring, painted: Path) -> tuple[PairResult, list[Image], Features]:
    """Scores of a pair, images for its row of the sheet, and features; painted windows are stored in `painted`."""
    settings, rate_hz, networks = measuring.settings, measuring.rate_hz, measuring.landmarker
    truths = Recording.open(pair.driver).frames(rate_hz, settings.max_side)
    first = next(truths, None)
    if first is None:
        raise MediaError(expected='a driver with video', came=pair.driver.name, todo='choose another')
    source: Any = first.image if pair.portrait is None else pair.portrait
    portrait = Portrait.from_picture(source, networks, max_side=settings.max_side)
    reading = DriverSettings(calm_at_s=first.time_s if pair.is_self else None, rate_hz=rate_hz)
    raw = motion_of_video(pair.driver, reading, landmarker=networks)
    driven: dict[float, MotionFrame] = {}

    def remembered() -> Iterator[MotionFrame]:
        for frame in raw:
            driven[frame.time_s] = replace(frame, mouth=None)
            yield frame

    motion = transfer(replace(raw, frames=remembered()), portrait_range(portrait), settings.transfer)
    engine, motion = _engine(portrait, motion, settings, painted, settings.maps(pair.driver, networks))
    measures = _Measures(portrait, networks.canonical, measuring.identity, measuring.networks)
    count, without_face, sheet_images, truth = 0, 0, list[Image](), first
    for frame in motion:
        while truth.time_s < frame.time_s - 1e-6 and (next_truth := next(truths, None)) is not None:
            truth = next_truth
        image = engine.picture(frame)
        if pair.is_self and frame.time_s <= first.time_s:  # the portrait itself
            continue
        count += 1
        sheet_images += [truth.image, image]
        sheet_images = sheet_images if len(sheet_images) <= 4 * SHEET_FRAMES else _thinned(sheet_images)
        faces = networks.faces(image, max_faces=1)
        if pair.is_self and truth.image.shape == image.shape:
            measures.images(truth.image, image)
        if not faces:
            without_face += 1
            continue
        landmarks = faces[0].landmarks.astype(np.float64)
        measures.face(image, landmarks, driven[frame.time_s])
        if pair.is_self and (truth_faces := networks.faces(truth.image, max_faces=1)):
            measures.columns['landmark_error'].append(landmark_error(truth_faces[0].landmarks, landmarks))
    if not count:
        raise MediaError(expected='a driver with a face', came=pair.driver.name, todo='choose another')
    if isinstance(engine, DiffusedEngine):
        engine.forget()
    row = [portrait.image, *sheet_images[: 2 * SHEET_FRAMES]]
    return PairResult(pair, measures.means(), count, without_face), row, measures.features()


def _engine(
    portrait: Portrait, motion: Motion, settings: ReenactSettings, painted: Path, maps: DrawsMaps
) -> tuple[Engine | DiffusedEngine, Motion]:
    if settings.weights is None:
        return Engine(portrait, settings.engine), motion
    painting = settings.painting
    drawn = DiffusedEngine(
        portrait, motion, settings.weights, painting.drawing(), device=settings.device, precision=painting.precision,
        folder=painted, size=painting.side, maps=maps,
    )  # fmt: skip
    return drawn, drawn.motion


def _thinned(images: list[Image]) -> list[Image]:
    """Every second pair of images."""
    return [image for start in range(0, len(images), 4) for image in images[start : start + 2]]


def _write(
    comparison: Comparison, rows: Sequence[Sequence[Image]], settings: ReenactSettings, rate_hz: float,
    consent: Consent, credentials: Credentials | None,
) -> None:  # fmt: skip
    """Write all files of the folder."""
    folder = comparison.folder
    driver_names = names_apart([result.pair.driver for result in comparison.pairs])
    cells = [
        [
            pair.name, driver_names[pair.driver], '' if pair.portrait is None else pair.portrait.name, result.frames,
            result.without_face, *(f'{result.scores[m]:.6g}' if m in result.scores else '' for m in METRICS),
        ]
        for result in comparison.pairs for pair in [result.pair]
    ]  # fmt: skip
    columns = ('pair', 'driver', 'portrait', 'frames', 'without_face', *METRICS)
    write_atomically(folder / 'pairs.csv', csv_bytes(columns, cells))
    summary = {
        name: {metric: {'mean': i.value, 'low': i.low, 'high': i.high} for metric, i in metrics.items()}
        for name, metrics in comparison.summary.items()
    }
    hashes = {name: file_sha256(driver) for driver, name in driver_names.items()}
    sets = {
        name: {'value': value if np.isfinite(value) else None, 'samples': samples}
        for name, (value, samples) in comparison.sets.items()
    }
    record = {
        'summary': summary, 'sets': sets, 'rate_hz': rate_hz, 'settings': settings.as_json(), 'drivers': hashes,
        'consent': consent.as_json(), 'metrics': dict(METRICS), 'left_out': dict(comparison.left_out),
    }  # fmt: skip
    text = json.dumps(plain(record), indent=2, ensure_ascii=False, allow_nan=False) + '\n'
    write_atomically(folder / 'result.json', text.encode())
    with place_atomically(folder / 'sheet.jpg') as path:
        write_image(path, with_note(contact_sheet(rows)), quality=92)
        first = file_sha256(comparison.pairs[0].pair.portrait or comparison.pairs[0].pair.driver)
        sign(path, Provenance(settings.drawn_by, consent, first, settings={'sheet_of': hashes}), credentials)
    write_atomically(folder / 'page.html', _page(comparison).encode())


def contact_sheet(rows: Sequence[Sequence[Image]]) -> Image:
    """One row per pair: the portrait, then driver and result at a few moments."""
    side = SHEET_SIDE
    columns = max(len(row) for row in rows)
    sheet = np.full((side * len(rows), side * columns, 3), 255, np.uint8)
    for row_number, row in enumerate(rows):
        for number, image in enumerate(row):
            small, top, left = _thumbnail(image), row_number * side, number * side
            sheet[top : top + small.shape[0], left : left + small.shape[1]] = small
    return sheet


def _thumbnail(image: Image) -> Image:
    """The image scaled down to at most SHEET_SIDE."""
    small = PillowImage.fromarray(image)
    small.thumbnail((SHEET_SIDE, SHEET_SIDE), PillowImage.Resampling.LANCZOS)
    return np.asarray(small)


def _page(comparison: Comparison) -> str:
    """Tables of means with intervals, and of all pairs."""
    left_out = ''.join(f'<li>{escaped(name)}: {escaped(reason)}</li>' for name, reason in comparison.left_out.items())
    notes = f'<ul class="notes" aria-label="Left out">{left_out}</ul>' if left_out else ''
    sheet = '<p class="soft"><a href="sheet.jpg">Contact sheet</a>, signed: <code>affekt verify</code> checks it.</p>'
    parts = [f'<section class="head"><h1>Reenactment</h1>{sheet}{notes}</section>']
    titles = {'self': 'Moved by themselves', 'cross': 'Moved by others'}
    for name, metrics in comparison.summary.items():
        count = sum(result.pair.is_self == (name == 'self') for result in comparison.pairs)
        rows = [(metric, interval, METRICS[metric]) for metric, interval in metrics.items()]
        parts.append(_table(f'{titles[name]}, {counted(count, "pair")}', ('metric', 'mean [95 %]', 'meaning'), rows))
    sets = [(name, _figure(value), samples) for name, (value, samples) in comparison.sets.items()]
    if sets:
        parts.append(_table('All images together', ('metric', 'value', 'samples'), sets))
    names = [name for name in METRICS if any(name in result.scores for result in comparison.pairs)]
    pairs = [
        (result.pair.name, result.frames, result.without_face, *(_figure(result.scores.get(name)) for name in names))
        for result in comparison.pairs
    ]
    parts.append(_table('Pairs', ('pair', 'frames', 'no face', *names), pairs))
    return whole_page('Reenactment', comparison.folder.name, '\n'.join(parts))


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    top = ''.join(f'<th scope="col">{escaped(head)}</th>' for head in heads)
    lines = ''.join('<tr>' + ''.join(f'<td>{escaped(cell)}</td>' for cell in row) + '</tr>' for row in rows)
    return (
        f'<section class="part"><h2>{escaped(title)}</h2><div class="scroll" tabindex="0" role="region" aria-label='
        f'"{escaped(title)}"><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div></section>'
    )


def _figure(value: float | None) -> str:
    return '–' if value is None or not np.isfinite(value) else f'{value:.3f}'
