"""Sets of stimuli for experiments: every person with every emotion at every intensity, all else equal.

    made = make_stimuli('portraits/', 'stimuli/', Design(('anger', 'fear'), (0, 0.5, 1)), consent=Consent('agreed'))

1. The portraits are made equally bright: the mean of each face, in linear light, becomes that of the median one.
2. Every cell of the design becomes a signed clip of equal length and timing. 3. affekt reads each clip back. 4. A
table holds requested and measured values, and a page shows it. An interrupted run resumes where it
stopped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.errors import AffektError, MediaError, RunError, ValueRangeError, WeightsError
from affekt.faces import FaceIdentity, FaceLandmarker
from affekt.files import file_sha256, write_atomically
from affekt.media import Recording, is_media_name, write_image
from affekt.progress import Progress, with_progress
from affekt.provenance import Consent, Credentials, usable_credentials
from affekt.reenactment.emotions import EMOTIONS, RECIPES, apex_times, recipe, require_intensity, require_rate
from affekt.reenactment.making import ReenactSettings, learnt_files, reenact_to, require_alone, require_no_refiner
from affekt.reenactment.portrait import Portrait
from affekt.reenactment.reading_back import (
    LUMINANCE,
    MEASURED,
    ReadBack,
    Reader,
    encoded,
    face_luminance,
    face_mask,
    linear,
)
from affekt.reenactment.sources import ByEmotion
from affekt.report import stimulus_page
from affekt.runs import SETTINGS, Run
from affekt.tables import csv_bytes, storable

Image = npt.NDArray[np.uint8]
CLIPS, PORTRAITS = 'clips', 'portraits'
TABLE, PAGE = 'stimuli.csv', 'report.html'
READ_HZ = 8.0
"""Frames per second that are read back."""
GAINS = (0.4, 2.5)
"""Smallest and largest factor on the light of a portrait."""
COLUMNS = (
    'file', 'person', 'emotion', 'intensity', 'seconds', 'frames', *MEASURED, 'luminance_gain', 'notes',
)  # fmt: skip
MOST_CELLS = 20_000


@dataclass(frozen=True)
class Design:
    """The stimuli for each person.

    Args:
        emotions: names in EMOTIONS.
        intensities: intensities of each emotion, 0 to 1; 0 is the portrait at rest.
        seconds: duration of every clip in seconds.
        rate_hz: frames per second.
        onset_s: seconds from rest to apex, the same for every emotion; None takes each recipe's own. offset_s likewise.
        equalises_light: make the faces equally bright.

    Raises:
        UnknownNameError: unknown emotion.
        ValueRangeError: nothing is requested, or a number is out of range.
    """

    emotions: tuple[str, ...] = tuple(RECIPES)
    intensities: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    seconds: float = 3.0
    rate_hz: float = 25.0
    onset_s: float | None = None
    offset_s: float | None = None
    equalises_light: bool = True

    def __post_init__(self) -> None:
        for name in self.emotions:
            recipe(name)
        for intensity in self.intensities:
            require_intensity(intensity)
        require_rate(self.rate_hz)
        if not self.emotions or not self.intensities or not 0 < self.seconds <= 60:
            raise ValueRangeError(
                expected='an emotion, an intensity, and up to 60 seconds',
                came=f'{len(self.emotions)}, {len(self.intensities)} and {self.seconds:g} s',
                todo=f'choose among {", ".join(EMOTIONS)}',
            )  # fmt: skip

    @property
    def cells(self) -> tuple[tuple[str, float], ...]:
        """Each emotion at each intensity, without doubles; intensities to six digits, as names of files have them."""
        return tuple(dict.fromkeys(product(self.emotions, (round(intensity, 6) for intensity in self.intensities))))


@dataclass(frozen=True)
class Stimuli:
    """A finished set.

    Attributes:
        folder: folder of the set.
        table: file with the requested and measured values, a row per clip.
        page: page that shows the table.
        clips: number of clips.
        resumed: number of clips made by an earlier run.
        left_out: name of each unusable portrait to the reason.
        notes: name of each person to the sentences on the portrait, such as that part of the face looks covered.
    """

    folder: Path
    table: Path
    page: Path
    clips: int
    resumed: int
    left_out: Mapping[str, str]
    notes: Mapping[str, str]


def make_stimuli(
    portraits: str | os.PathLike[str] | Sequence[Path],
    out: str | os.PathLike[str],
    design: Design | None = None,
    *,
    consent: Consent,
    settings: ReenactSettings | None = None,
    credentials: Credentials | None = None,
    reader: Reader | None = None,
    landmarker: FaceLandmarker | None = None,
    progress: Progress | None = None,
) -> Stimuli:
    """Make clips of every person of a folder with every emotion at every intensity, and a table of readings.

    Args:
        portraits: a folder of pictures, one picture, or several.
        out: folder of the set; an earlier run with the same settings is resumed.
        design: the stimuli; None for all emotions at five intensities.
        consent: the statement on all portrayed persons.
        settings: settings of transfer, engine and note; see `reenact_to`.
        credentials, landmarker: see `reenact_to`.
        reader: reads the clips back; None for the trained expression model, and identity if its network is present.
        progress: called with `clips`, the number done and the number of all.

    Raises:
        MediaError: there is no image, or none with a usable face.
        RunError: the folder holds other files, or a set with other settings, or several processes were started.
        ValueRangeError: more than 20,000 clips are requested, or a personal refiner, which fits one portrait only.
    """
    used_design, used_settings, folder = design or Design(), settings or ReenactSettings(), Path(out)
    require_alone('a set of stimuli')
    require_no_refiner(used_settings, 'a set of stimuli')
    credentials = usable_credentials(credentials)
    networks = landmarker or FaceLandmarker()
    people, left_out = _people(_pictures(portraits), networks, used_settings)
    if len(people) * len(used_design.cells) > MOST_CELLS:
        raise ValueRangeError(
            expected=f'at most {MOST_CELLS:,} clips', came=f'{len(people) * len(used_design.cells):,}',
            todo='split the portraits into several sets',
        )  # fmt: skip
    depends_on = {
        'design': asdict(used_design), 'settings': used_settings.as_json(),
        'portraits': {name: file_sha256(person.path) for name, person in people.items()},
    }  # fmt: skip
    depends_on |= learnt_files(used_settings)
    used_reader = reader or _reader(networks)
    resumed, rows = 0, list[dict[str, Any]]()
    with Run(folder, depends_on, resume=(folder / SETTINGS).exists()) as run:
        # 1. Equally bright portraits.
        goal = float(np.median([face_luminance(person.image, person.landmarks) for person in people.values()]))
        cells = [(name, emotion, intensity) for name in people for emotion, intensity in used_design.cells]
        for name, person in people.items():
            image, gain = equally_light(person.image, person.landmarks, goal) if used_design.equalises_light else (
                person.image, 1.0)  # fmt: skip
            people[name] = replace(person, image=image, gain=gain)
            path = folder / PORTRAITS / f'{name}.png'
            path.parent.mkdir(exist_ok=True)
            if run.finished(f'portrait {name}') is None:
                write_image(path, image)
                run.note(f'portrait {name}', f'{PORTRAITS}/{name}.png')
        # 2. and 3. Every cell, and its readings.
        (folder / CLIPS).mkdir(exist_ok=True)
        for name, emotion, intensity in with_progress(cells, progress, 'clips', len(cells)):
            key = f'{name} {emotion} {intensity:g}'
            entry = run.finished(key)
            if entry is None:
                cell = (emotion, intensity)
                row = _made(run, key, people[name], cell, used_design, used_settings, consent, credentials, networks,
                            used_reader)  # fmt: skip
                rows.append(row)
            else:
                rows.append(dict(entry.facts))
                resumed += 1
        # 4. The table and the page.
        write_atomically(folder / TABLE, csv_bytes(COLUMNS, rows))
        notes = {name: person.notes for name, person in people.items() if person.notes}
        images = {name: person.image for name, person in people.items()}
        page = stimulus_page(rows, images, left_out, folder.name, notes)
        write_atomically(folder / PAGE, page.encode())
    return Stimuli(folder, folder / TABLE, folder / PAGE, len(rows), resumed, left_out, notes)


@dataclass(frozen=True, eq=False)
class _Person:
    """A portrait of the set."""

    name: str
    path: Path
    image: Image
    landmarks: npt.NDArray[np.floating]
    gain: float = 1.0
    notes: str = ''
    """Sentences on the portrait; '' for none."""


def equally_light(
    image: Image, landmarks: npt.ArrayLike, goal: float, gains: tuple[float, float] = GAINS
) -> tuple[Image, float]:
    """The image with its light scaled so that the mean of its face is the goal, and the factor.

    Parts of the face that would exceed white are clipped, and the rest is made brighter to compensate; the factor
    stays within `gains`, so a very dark or bright image may miss the goal.

    Args:
        image: (H, W, 3) sRGB.
        landmarks: (478, 3) pixels.
        goal: mean luminance of the face in linear light, 0 to 1.
        gains: smallest and largest factor.
    """
    light = linear(image)
    face = light[face_mask(image.shape[:2], landmarks)]
    low, high = gains
    for _ in range(40):
        gain = (low + high) / 2
        if float((np.minimum(gain * face, 1) @ LUMINANCE).mean()) < goal:
            low = gain
        else:
            high = gain
    return encoded(high * light), float(high)


def _made(
    run: Run, key: str, person: _Person, cell: tuple[str, float], design: Design, settings: ReenactSettings,
    consent: Consent, credentials: Credentials | None, networks: FaceLandmarker, reader: Reader,
) -> dict[str, Any]:  # fmt: skip
    """Make one clip, signed, read back and noted in the run; return its row."""
    emotion, intensity = cell
    file = f'{CLIPS}/{person.name}_{emotion}_{_percent(intensity)}.mp4'
    source = ByEmotion(emotion, intensity, design.seconds, design.rate_hz, design.onset_s, design.offset_s)
    output = reenact_to(
        run.folder / file, run.folder / PORTRAITS / f'{person.name}.png', source, consent=consent, settings=settings,
        credentials=credentials, landmarker=networks,
    )  # fmt: skip
    apex_s, rate_hz = _apex(design, emotion)
    readings: ReadBack = reader.read_file(person.image, output.path, emotion, apex_s, rate_hz)
    row = {
        'file': file, 'person': person.name, 'emotion': emotion, 'intensity': intensity,
        'seconds': round(output.seconds, 3), 'frames': output.pictures, **readings.as_row(),
        'luminance_gain': person.gain, 'notes': ' '.join(output.notes),
    }  # fmt: skip
    run.note(key, file, files=(file, f'{file}.json'), **row)
    return row


def _percent(intensity: float) -> str:
    """An intensity in a name, such as 050 or 012.5: no two of a design share one."""
    integer, _, decimals = f'{100 * intensity:.4f}'.rstrip('0').partition('.')
    return f'{integer:0>3}{"." if decimals else ""}{decimals}'


def _apex(design: Design, emotion: str) -> tuple[tuple[float, float], float]:
    """Start and end of a clip's apex, half a frame on both sides, and the frames per second that are read."""
    emotion_recipe = recipe(emotion)
    begin_s, end_s = apex_times(
        (max(2, round(design.seconds * design.rate_hz)) - 1) / design.rate_hz,
        emotion_recipe.onset_s if design.onset_s is None else design.onset_s,
        emotion_recipe.offset_s if design.offset_s is None else design.offset_s,
    )
    rate_hz = READ_HZ if end_s - begin_s >= 2 / READ_HZ else design.rate_hz
    half_s = 0.51 / rate_hz
    return (begin_s - half_s, end_s + half_s), rate_hz


def _pictures(portraits: str | os.PathLike[str] | Sequence[Path]) -> list[Path]:
    """The images, sorted by name.

    Raises:
        MediaError: there is none.
    """
    if isinstance(portraits, Sequence) and not isinstance(portraits, str):
        return list(portraits)
    folder = Path(portraits)
    if not folder.is_dir():
        return [folder]
    paths = sorted(path for path in folder.iterdir() if is_media_name(path.name) and not path.is_dir())
    if not paths:
        raise MediaError(expected='a folder with portraits', came=f'{folder} without an image', todo='check the folder')
    return paths


def _people(
    paths: Sequence[Path], networks: FaceLandmarker, settings: ReenactSettings
) -> tuple[dict[str, _Person], dict[str, str]]:
    """Portraits by name, and those that cannot be used with the reason.

    Raises:
        MediaError: none can be used.
    """
    people: dict[str, _Person] = {}
    left_out: dict[str, str] = {}
    for path in paths:
        try:
            if Recording.open(path).kind != 'image':
                raise MediaError(expected='an image', came='a video or audio', todo='save one frame of it as an image')
            portrait = Portrait.from_picture(path, networks, max_side=settings.max_side)
        except AffektError as error:
            if len(paths) == 1:
                raise
            left_out[storable(path.name)] = storable(str(error))
            continue
        used_names = {name.casefold() for name in people}  # some file systems ignore case
        name = next(candidate for candidate in _names(path) if candidate.casefold() not in used_names)
        people[name] = _Person(name, path, portrait.image, portrait.landmarks, notes=' '.join(portrait.notes))
    if not people:
        raise MediaError(
            expected='a portrait with one clear face', came='; '.join(f'{k}: {v}' for k, v in left_out.items())[:500],
            todo='choose other images',
        )  # fmt: skip
    return people, left_out


def _names(path: Path) -> Iterator[str]:
    """Candidates for a person's name that are valid file names, from the second on with a number."""
    stem = re.sub(r'[^\w.-]+', '_', path.stem).strip('._')[:100] or 'portrait'
    yield stem
    for number in range(2, 10_000):
        yield f'{stem}-{number}'
    raise RunError(expected='portraits of different names', came=path.name, todo='rename it')


def _reader(networks: FaceLandmarker) -> Reader:
    """A reader with the networks that are present; the recognition network is for research, and may be absent."""
    try:
        return Reader(networks, identity=FaceIdentity())
    except WeightsError:
        return Reader(networks)
