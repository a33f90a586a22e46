"""Sources of a portrait's motion: a video of another face, a named emotion, a table of curves, a person of an analysis.

Also reads tables of pairs of driver and portrait.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from affekt.errors import TableError, listed
from affekt.faces import FaceLandmarker
from affekt.files import file_sha256
from affekt.reenactment.curves import folder_of_analysis, motion_of_curves, motion_of_timeline
from affekt.reenactment.driver import DriverSettings, motion_of_video
from affekt.reenactment.emotions import apex_of_emotion, motion_of_emotion
from affekt.reenactment.motion import Motion, MotionFrame
from affekt.tables import read_table
from affekt.typed_json import plain

RUN_FILES = ('.parquet', '.json', '.jsonl')
"""Suffixes of files in an analysis that can move a portrait."""


class MotionSource(Protocol):
    """A source of motion for a portrait."""

    def motion(self, landmarker: FaceLandmarker) -> Motion:
        """The motion, to be read once."""

    def still(self) -> MotionFrame | None:
        """The frame of a still output; None if the source has none."""

    def as_json(self) -> dict[str, Any]:
        """The source as a record stores it."""

    @property
    def driver(self) -> Path | None:
        """The file of the driver; None without a driver."""


@dataclass(frozen=True)
class ByVideo:
    """Another face moves the portrait."""

    path: Path
    settings: DriverSettings = field(default_factory=DriverSettings)

    def motion(self, landmarker: FaceLandmarker) -> Motion:
        """The face's motion, with the video's audio."""
        return motion_of_video(self.path, self.settings, landmarker=landmarker)

    def still(self) -> MotionFrame | None:
        """None: a video is not a still."""
        return None

    def as_json(self) -> dict[str, Any]:
        """Name, hash, and how it is read."""
        return {'driver': self.path.name, 'sha256': file_sha256(self.path), 'settings': plain(asdict(self.settings))}

    @property
    def driver(self) -> Path | None:
        """The video."""
        return self.path


@dataclass(frozen=True)
class ByEmotion:
    """A named emotion moves the portrait."""

    name: str
    intensity: float = 0.7
    seconds: float = 3.0
    rate_hz: float = 25.0
    onset_s: float | None = None
    """Time from rest to the apex in seconds; None takes the recipe's own."""
    offset_s: float | None = None
    """Time from the apex to rest in seconds; None takes the recipe's own."""

    def motion(self, landmarker: FaceLandmarker) -> Motion:
        """The motion from rest to the apex and back."""
        return motion_of_emotion(
            self.name, self.intensity, self.seconds, rate_hz=self.rate_hz, onset_s=self.onset_s, offset_s=self.offset_s
        )

    def still(self) -> MotionFrame | None:
        """The frame at the apex."""
        return apex_of_emotion(self.name, self.intensity)

    def as_json(self) -> dict[str, Any]:
        """All fields."""
        return {'emotion': self.name, **{name: value for name, value in asdict(self).items() if name != 'name'}}

    @property
    def driver(self) -> Path | None:
        """None: there is no driver."""
        return None


@dataclass(frozen=True)
class ByCurves:
    """A table of curves moves the portrait."""

    path: Path
    are_scores: bool = False
    rate_hz: float = 25.0

    def motion(self, landmarker: FaceLandmarker) -> Motion:
        """The motion that the table describes."""
        return motion_of_curves(self.path, rate_hz=self.rate_hz, are_scores=self.are_scores)

    def still(self) -> MotionFrame | None:
        """None: a curve is not a still."""
        return None

    def as_json(self) -> dict[str, Any]:
        """Name and hash."""
        return {
            'curves': self.path.name, 'sha256': file_sha256(self.path), 'are_scores': self.are_scores,
            'rate_hz': self.rate_hz,
        }  # fmt: skip

    @property
    def driver(self) -> Path | None:
        """None: there is no driver."""
        return None


@dataclass(frozen=True)
class ByTimeline:
    """A person of an analysis moves the portrait."""

    run: Path
    person: str | int | None = None
    source: Any = None
    rate_hz: float = 25.0

    def motion(self, landmarker: FaceLandmarker) -> Motion:
        """The person's motion in the analysis."""
        return motion_of_timeline(self.run, person=self.person, source=self.source, rate_hz=self.rate_hz)

    def still(self) -> MotionFrame | None:
        """None: an analysis is not a still."""
        return None

    def as_json(self) -> dict[str, Any]:
        """The run's name, hashes of its files, and the person."""
        folder = folder_of_analysis(self.run)
        files = sorted(path for path in folder.glob('*') if path.suffix in RUN_FILES and path.is_file())
        return {
            'run': folder.absolute().name, 'sha256': {path.name: file_sha256(path) for path in files},
            'person': self.person, 'by': self.source, 'rate_hz': self.rate_hz,
        }  # fmt: skip

    @property
    def driver(self) -> Path | None:
        """None: the driver's face is not drawn."""
        return None


@dataclass(frozen=True)
class Pair:
    """A driver and the portrait that it moves; without a portrait, its own first frame."""

    name: str
    driver: Path
    portrait: Path | None = None

    @property
    def is_self(self) -> bool:
        """Whether the driver moves itself."""
        return self.portrait is None


def names_apart(paths: Sequence[Path]) -> dict[Path, str]:
    """Each path's file name, with as many of its folders as tell all apart."""
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(set(paths)):
        depth += 1
    return {path: '/'.join(path.parts[-depth:]) for path in paths}


def read_pairs(path: str | os.PathLike[str]) -> list[Pair]:
    """The pairs of a table with the columns driver and, for cross-reenactment, portrait; files relative to the table.

    They are named by their files without folders and endings, and as the table has them where that names two alike.

    Raises:
        TableError: missing columns, no rows, a portrait without a driver, or a missing file.
    """
    table_path = Path(path)
    table = read_table(table_path)
    if 'driver' not in table.columns:
        raise TableError(
            expected='a table with the columns driver and portrait',
            came=f'{table_path.name}: {", ".join(table.columns)}', todo='name a video per row, and an image or nothing',
        )  # fmt: skip
    drivers = [str(value or '') for value in table.columns['driver']]
    portraits = [str(value or '') for value in table.columns.get('portrait', [''] * len(drivers))]
    files = [(driver, portrait) for driver, portrait in zip(drivers, portraits, strict=True) if driver or portrait]
    if alone := [portrait for driver, portrait in files if not driver]:
        raise TableError(
            expected='a driver in every row with a portrait', came=f'{table_path.name}: none for {listed(alone, 3)}',
            todo='name a video, or remove the row',
        )  # fmt: skip
    short = [f'{Path(driver).stem} → {Path(portrait).stem if portrait else "itself"}' for driver, portrait in files]
    count_of = Counter(name for _, name in set(zip(files, short, strict=True)))
    pairs = [
        Pair(
            name if count_of[name] == 1 else f'{driver} → {portrait or "itself"}',
            table_path.parent / driver, table_path.parent / portrait if portrait else None,
        )
        for (driver, portrait), name in zip(files, short, strict=True)
    ]  # fmt: skip
    missing = [str(file) for pair in pairs for file in (pair.driver, pair.portrait) if file and not file.is_file()]
    if not pairs or missing:
        came = f'{table_path.name} without a row' if not pairs else f'{", ".join(missing[:3])}: not there'
        raise TableError(expected='pairs whose files are there', came=came, todo='check the table')
    return pairs
