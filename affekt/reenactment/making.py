"""From the files of portrait and driver to a signed file, as in `affekt reenact`.

    reenact_to('out.mp4', 'portrait.jpg', ByVideo('driving.mp4'), consent=Consent('agreed'))

1. The statement on the portrayed person and the purpose are checked before anything is computed. 2. The portrait is
read, and the motion fitted to it. 3. Frames are drawn and written, with a visible note. 4. The file is signed, and
a record of its sources is written beside it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.analysis import LICENSES
from affekt.errors import (
    FileError,
    MediaError,
    RunError,
    UnknownNameError,
    ValueRangeError,
    WeightsError,
    require_torch,
)
from affekt.faces import FaceLandmarker
from affekt.files import (
    file_sha256,
    part_of,
    place_atomically,
    require_own_output,
    require_regular_file,
    require_writable,
    write_atomically,
)
from affekt.media import even_sided, write_image
from affekt.progress import Progress
from affekt.provenance import Consent, Credentials, Provenance, require_signable, sign, usable_credentials, with_note
from affekt.purpose import check_purpose
from affekt.reenactment.diffused import DiffusedEngine, DrawsMaps, PaintSettings, chosen_maps, painting_ranks
from affekt.reenactment.engine import Engine, EngineSettings
from affekt.reenactment.motion import Motion, MotionFrame
from affekt.reenactment.output import KINDS, Drawing, write_reenactment
from affekt.reenactment.portrait import MOST_SIDE, Portrait
from affekt.reenactment.refining import RefinedEngine, require_refined
from affekt.reenactment.sources import ByCurves, MotionSource
from affekt.reenactment.transfer import TransferSettings, portrait_range, transfer
from affekt.runs import versions
from affekt.typed_json import plain
from affekt.workers import launch

Image = npt.NDArray[np.uint8]
Signed = Callable[[Path, bool], object]
"""Signs a finished file; the second argument says whether pixels of the driver are in it."""
PAINTED_SUFFIX = '.affekt-painted'
STILLS = ('.png', '.jpg', '.jpeg')
LEAST_SIDE = 64


@dataclass(frozen=True)
class ReenactSettings:
    """A user's settings of an output.

    Args:
        transfer: settings of fitting the motion to the portrait.
        engine: settings of drawing by geometry.
        max_side: longest side of the output, pixels; smaller portraits keep their size.
        weights: folder of published weights that replace the geometric engine; None draws by geometry.
        device: device of the weights, such as cpu or cuda.
        painting: settings of drawing with the weights.
        face_model: the user's FLAME file, which guides the networks in place of the open mesh; None for the mesh.
        face_encoders: the user's checkpoints of SMIRK, DECA or both, which read FLAME's parameters.
        refiner: folder of a personal refiner that corrects geometry's drawings of its portrait; None for none.
        license: 'research', or 'commercial-ok' to refuse files whose licence forbids commercial use.
        note_off_by: person responsible for an output without the visible note; '' keeps the note.
        purpose: purpose of the output; recorded, and refused if `affekt analyze` would refuse it.

    Raises:
        ValueRangeError: `max_side` is below 64, or both weights and a refiner are given.
        PurposeError: the purpose names work or education.
        UnknownNameError: unknown licence setting.
        WeightsError: the licence of the weights is not allowed.
    """

    transfer: TransferSettings = field(default_factory=TransferSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    max_side: int = MOST_SIDE
    weights: Path | None = None
    device: str = 'cpu'
    painting: PaintSettings = field(default_factory=PaintSettings)
    face_model: Path | None = None
    face_encoders: tuple[Path, ...] = ()
    refiner: Path | None = None
    license: str = LICENSES[0]
    note_off_by: str = ''
    purpose: str = ''

    def __post_init__(self) -> None:
        if self.max_side < LEAST_SIDE:
            raise ValueRangeError(
                expected=f'a longest side of at least {LEAST_SIDE} pixels', came=f'{self.max_side}', todo='give more'
            )
        if (self.face_model is None) != (not self.face_encoders) or (self.face_model and self.weights is None):
            raise ValueRangeError(
                expected='a face model and its encoders, to guide weights that draw',
                came='not all three', todo='name them all, or leave model and encoders out',
            )  # fmt: skip
        if self.weights is not None and self.refiner is not None:
            raise ValueRangeError(
                expected='a personal refiner, which corrects what geometry draws, or weights that draw', came='both',
                todo='leave one of them out',
            )  # fmt: skip
        if self.license not in LICENSES:
            raise UnknownNameError(
                expected=f'a licence among {", ".join(LICENSES)}', came=repr(self.license), todo='choose one of them'
            )
        if self.weights is not None and self.license != LICENSES[0]:
            raise WeightsError(
                expected=f'weights that may be used as {self.license!r} asks',
                came='those of MagicPortrait, published without a licence',
                todo='draw by geometry, or allow research weights',
            )
        object.__setattr__(self, 'purpose', check_purpose(self.purpose))
        object.__setattr__(self, 'note_off_by', ' '.join(self.note_off_by.split()))

    @property
    def drawn_by(self) -> str:
        """The engine: 'geometric' or 'diffusion'."""
        return 'geometric' if self.weights is None else 'diffusion'

    def maps(self, driver: Path | None, networks: FaceLandmarker) -> DrawsMaps:
        """The maps that guide the weights; see `affekt.reenactment.diffused.chosen_maps`."""
        return chosen_maps(
            self.face_model, self.face_encoders, driver, networks, intensity=self.transfer.intensity,
            absolute=self.transfer.absolute,
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """All settings, as a record stores them."""
        return {
            'transfer': asdict(self.transfer), 'engine': asdict(self.engine), 'max_side': self.max_side,
            'weights': None if self.weights is None else self.weights.name,
            'painting': None if self.weights is None else asdict(self.painting),
            'face_model': None if self.face_model is None else self.face_model.name,
            'face_encoders': [path.name for path in self.face_encoders],
            'refiner': None if self.refiner is None else self.refiner.name, 'license': self.license,
            'visible_note': not self.note_off_by, 'note_off_by': self.note_off_by, 'purpose': self.purpose,
        }  # fmt: skip


@dataclass(frozen=True)
class Reenactment:
    """A finished output.

    Attributes:
        path: path of the output.
        record: the record file beside it.
        pictures: number of frames.
        seconds: duration in seconds; 0 for a still.
        resumed: frames drawn by an earlier, interrupted run.
        has_sound: whether it has the driver's audio.
        shows_driver: whether pixels of the driver's mouth are in it.
        notes: sentences on limits of the result, and on what was interpolated or limited.
        is_written: whether this process wrote it; of several that share the drawing, only the first does.
    """

    path: Path
    record: Path
    pictures: int
    seconds: float
    resumed: int
    has_sound: bool
    shows_driver: bool
    notes: tuple[str, ...]
    is_written: bool = True


class Noted:
    """An engine that adds the visible note to every frame."""

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing

    @property
    def threads(self) -> int:
        """Number of threads that may draw at once."""
        return self._drawing.threads

    def picture(self, frame: MotionFrame) -> Image:
        """(H, W, 3) of one frame."""
        return with_note(even_sided(self._drawing.picture(frame)))

    def shows_driver(self, frame: MotionFrame) -> bool:
        """Whether pixels of the driver are in that frame."""
        return self._drawing.shows_driver(frame)


def reenact_to(
    out: str | os.PathLike[str],
    portrait: str | os.PathLike[str],
    source: MotionSource,
    *,
    consent: Consent,
    settings: ReenactSettings | None = None,
    credentials: Credentials | None = None,
    landmarker: FaceLandmarker | None = None,
    progress: Progress | None = None,
    anew: bool = False,
) -> Reenactment:
    """Write a signed video of a moving portrait, or a signed still of an emotion's apex, and its record.

    Args:
        out: .mp4, or .png or .jpg for a still.
        portrait: an image with one clear face.
        source: source of the motion.
        consent: the statement on the portrayed person.
        settings: settings of the output; None for the defaults.
        credentials: credentials that sign the output; None for this user's own, made by affekt.
        landmarker: finds landmarks; None for one with the published model.
        progress: called with `pictures`, the number done and the number of all; with `windows` while networks draw.
        anew: start again instead of resuming an interrupted run.

    Raises:
        PortraitError: the image does not show a single clear face, or it is turned too far.
        MediaError: a file is missing, damaged or of another kind.
        WeightsError: weights are missing or not the published ones, or the refiner belongs to another portrait.
        UnknownNameError: unsupported output format.
        FileError: the output would replace what it is made from.
        ProvenanceError: C2PA refuses to sign with the credentials.
        StorageError: new credentials cannot be written.
        MissingExtraError: c2pa-python is not installed.
        RunError: an interrupted run used other settings, or several processes were started for a single-process job.
    """
    target, chosen = Path(out), settings or ReenactSettings()
    # 1. Everything that can be refused at once.
    _require_output(target, Path(portrait), source)
    if chosen.weights is None or target.suffix.lower() in STILLS:
        require_alone('drawing by geometry, or a still,')
    if chosen.refiner is not None:
        require_refined(chosen.refiner, Path(portrait))
    credentials = usable_credentials(credentials)
    networks = landmarker or FaceLandmarker()
    maps = chosen.maps(source.driver, networks)
    learnt = learnt_files(chosen)
    source_record = source.as_json()
    # 2. Portrait and motion.
    face = Portrait.from_picture(portrait, networks, max_side=chosen.max_side)
    engine = Engine(face, chosen.engine)
    depends_on = {
        'portrait_sha256': file_sha256(Path(portrait)), 'source': source_record, 'settings': chosen.as_json(),
        'versions': versions(), **learnt,
    }  # fmt: skip
    driver = source.driver

    def signed(path: Path, shows_driver: bool) -> Provenance:
        provenance = Provenance(
            chosen.drawn_by, consent, str(depends_on['portrait_sha256']),
            None if driver is None else str(source_record['sha256']), shows_driver,
            {'source': source_record, **chosen.as_json(), 'learnt': learnt},
        )  # fmt: skip
        sign(path, provenance, credentials)
        return provenance

    # 3. Frames and provenance: no unsigned file appears.
    if target.suffix.lower() in STILLS:
        result = _still(target, engine, face, source, chosen, signed)
    else:
        result = _video(target, engine, face, source, chosen, networks, depends_on, progress, signed, anew, maps)
    if result.is_written:
        write_atomically(result.record, _record(result, Path(portrait), consent, depends_on))
    return result


def learnt_files(settings: ReenactSettings) -> dict[str, Any]:
    """Hashes of the networks' files that draw or correct; {} if only geometry draws.

    Raises:
        WeightsError: they are missing or damaged, or the refiner did not help.
        MissingExtraError: torch is not installed.
    """
    if settings.weights is None and settings.refiner is None:
        return {}
    require_torch()
    from affekt.diffusion import read_refiner_card, weight_prints

    if settings.weights is not None:
        guides = [path for path in (settings.face_model, *settings.face_encoders) if path is not None]
        guide_hashes = {'guided_by_sha256': [file_sha256(path) for path in guides]} if guides else {}
        return {'weights': weight_prints(settings.weights), **guide_hashes}
    assert settings.refiner is not None
    return {'refiner_sha256': read_refiner_card(settings.refiner).weights_sha256}


def require_alone(job: str) -> None:
    """Require that this is the only process.

    Raises:
        RunError: `torchrun` or `accelerate launch` started several, which would all do the same work.
    """
    started = launch()
    if started is not None and started[1] > 1:
        raise RunError(
            expected=f'one process: {job} is not shared among several', came=f'{started[1]} of them',
            todo='run it without torchrun; a video by --engine diffusion can be shared',
        )  # fmt: skip


def require_no_refiner(settings: ReenactSettings, job: str) -> None:
    """Require that no personal refiner is given for a job that draws other portraits.

    Raises:
        ValueRangeError: a refiner is given.
    """
    if settings.refiner is not None:
        raise ValueRangeError(
            expected=f'no personal refiner: {job} draws other portraits than its own', came=str(settings.refiner),
            todo='leave it out',
        )  # fmt: skip


def _require_output(target: Path, portrait: Path, source: MotionSource) -> None:
    require_signable(target)
    suffix = target.suffix.lower()
    if suffix not in (*KINDS, *STILLS):
        raise UnknownNameError(
            expected=f'an output that ends in {", ".join((*KINDS, *STILLS))}', came=repr(target.name), todo='rename it'
        )
    if suffix in STILLS and source.still() is None:
        raise UnknownNameError(
            expected='a still of a named emotion, or an output that ends in .mp4', came=repr(target.name),
            todo='rename it',
        )  # fmt: skip
    made_from = [portrait, source.driver, source.path if isinstance(source, ByCurves) else None]
    for path in filter(None, made_from):
        try:
            require_regular_file(path)
        except FileError:
            raise
        except OSError as error:
            raise MediaError(
                expected='a file that is there', came=f'{path}: {error.strerror}', todo='check the path'
            ) from error
    for path in (target, _record_of(target)):
        require_writable(path)
    require_own_output(target, made_from)


def _video(
    target: Path, engine: Engine, face: Portrait, source: MotionSource, settings: ReenactSettings,
    networks: FaceLandmarker, depends_on: Mapping[str, Any], progress: Progress | None, signed: Signed, anew: bool,
    maps: DrawsMaps,
) -> Reenactment:  # fmt: skip
    """Write the video of a motion."""
    motion = transfer(source.motion(networks), portrait_range(face), settings.transfer)
    drawing: Drawing = engine if settings.refiner is None else RefinedEngine.of_folder(engine, settings.refiner)
    painter = None
    if settings.weights is not None:
        painter = _painter(target, face, motion, settings, progress, anew, maps)
        if not painter.writes:
            painter.share()
            return Reenactment(target, _record_of(target), 0, 0.0, 0, False, False, (), is_written=False)
        motion, drawing = painter.motion, painter
    if not settings.note_off_by:
        drawing = Noted(drawing)
    written = write_reenactment(
        target, drawing, motion, depends_on=depends_on, progress=progress, anew=anew,
        finished=lambda path, reenacted: signed(path, reenacted.shows_driver),
    )  # fmt: skip
    if painter is not None:
        painter.forget()
    return Reenactment(
        target, _record_of(target), written.pictures, written.seconds, written.resumed, written.has_sound,
        written.shows_driver, (*face.notes, *map(sentence, motion.notes)),
    )  # fmt: skip


def _painter(
    target: Path, face: Portrait, motion: Motion, settings: ReenactSettings, progress: Progress | None, anew: bool,
    maps: DrawsMaps,
) -> DiffusedEngine:  # fmt: skip
    """The networks that draw, from where an interrupted run left them."""
    assert settings.weights is not None
    folder = part_of(target, PAINTED_SUFFIX)
    ranks = painting_ranks(settings.device)
    if anew:
        from affekt.diffusion import forget_windows

        if ranks is None or ranks.first:
            forget_windows(folder)
        if ranks is not None:
            ranks.wait()
    painting = settings.painting
    return DiffusedEngine(
        face, motion, settings.weights, painting.drawing(), device=settings.device, precision=painting.precision,
        folder=folder, progress=progress, size=painting.side, ranks=ranks, maps=maps,
    )  # fmt: skip


def _still(
    target: Path, engine: Engine, face: Portrait, source: MotionSource, settings: ReenactSettings, signed: Signed
) -> Reenactment:
    """Write one signed image."""
    frame = source.still()
    if frame is None:
        raise UnknownNameError(expected='a source with a still', came=repr(source), todo='write a video')
    motion = transfer(Motion([frame], 1.0), portrait_range(face), settings.transfer)
    drawing: Drawing = engine if settings.refiner is None else RefinedEngine.of_folder(engine, settings.refiner)
    if settings.weights is not None:
        painting = settings.painting
        painter = DiffusedEngine(
            face, motion, settings.weights, painting.drawing(), device=settings.device, precision=painting.precision,
            size=painting.side,
        )  # fmt: skip
        motion, drawing = painter.motion, painter
    image = drawing.picture(next(iter(motion)))
    with place_atomically(target) as path:
        write_image(path, image if settings.note_off_by else with_note(image), quality=95)
        signed(path, False)
    notes = (*face.notes, *map(sentence, motion.notes))
    return Reenactment(target, _record_of(target), 1, 0.0, 0, False, False, notes)


def _record_of(target: Path) -> Path:
    return target.with_name(f'{target.name}.json')


def _record(result: Reenactment, portrait: Path, consent: Consent, depends_on: Mapping[str, Any]) -> bytes:
    """The record of the output's sources, as JSON."""
    content = {
        'output': result.path.name,
        'output_sha256': file_sha256(result.path),
        'engine': 'geometric' if depends_on['settings']['weights'] is None else 'diffusion',
        'portrait': portrait.name,
        **depends_on,
        'consent': consent.as_json(),
        'has_drivers_mouth': result.shows_driver,
        'pictures': result.pictures,
        'seconds': result.seconds,
        'has_sound': result.has_sound,
        'notes': list(result.notes),
    }
    return (json.dumps(plain(content), indent=2, ensure_ascii=False) + '\n').encode()


def sentence(note: str) -> str:
    """A note with a capital letter and a full stop, if it lacks them; an initial file name keeps its letters.

    >>> sentence('the head was limited'), sentence('calm_face.jpg is one picture')
    ('The head was limited.', 'calm_face.jpg is one picture.')
    """
    text = note.strip()
    if '.' in text.partition(' ')[0]:
        return text if text.endswith(('.', '!', '?')) else f'{text}.'
    return f'{text[:1].upper()}{text[1:]}{"" if text.endswith((".", "!", "?")) else "."}'
