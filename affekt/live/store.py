"""Storage of a session's rows until they are saved, and recovery of an earlier session's."""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import weakref
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from affekt.analysis.model_cache import LoadedModels, return_freed_pages
from affekt.errors import RunError
from affekt.faces import FaceStream, in_source_pixels
from affekt.files import part_of, remove_folder
from affekt.live.journal import FRAMES, SOURCE_FILE, UNFINISHED, Journal, Streamed, is_journal
from affekt.live.readings import LiveReading
from affekt.live.saving import Kept, now_text, save_stream
from affekt.live.settings import StreamSettings
from affekt.live.sources import LiveSource
from affekt.runs import JOURNAL, LOCK, SETTINGS, Run

KEEP_EVERY_S = 0.5
"""Seconds between writes of rows to disk."""
TIDY_EVERY_S = 10.0
"""Seconds between returns of freed pages to the system, which take a millisecond or two."""


class Store:
    """The rows of one session.

    Args:
        out: the run folder; None for a temporary folder.
        settings: settings of the stream.
    """

    journal: Journal

    def __init__(self, out: Path | None, settings: StreamSettings) -> None:
        self._out, self._settings = out, settings
        self._run: Run | None = None
        self._remove_temporary: weakref.finalize[..., Store] | None = None
        self._frames: list[tuple[float, float, int, int]] = []
        self._unwritten: list[tuple[str, pa.Table]] = []
        self._written_s = self._released_s = float('-inf')
        self._scale = 1.0
        self._streamed: Streamed | None = None
        self.recovered: tuple[Path, ...] = ()
        self.has_opened_run = False
        """Whether this session has ever held the run folder; another process may hold it instead."""

    @property
    def is_kept(self) -> bool:
        """Whether the rows are on disk and survive this process."""
        return self._run is not None and self._streamed is not None and self.journal.folder.exists()

    def open(self, models: LoadedModels) -> None:
        """Creates the folder for the rows; first saves those that an interrupted stream left in the run folder.

        Raises:
            RunError, StorageError: the run folder cannot be used.
        """
        pa.array(np.zeros(1))  # the first array from NumPy loads pandas, if installed: done here, before frames arrive
        if self._out is None:
            folder = Path(tempfile.mkdtemp(prefix='affekt-live-'))
            self._remove_temporary = weakref.finalize(self, shutil.rmtree, folder, True)
            self.journal = Journal(folder)
            return
        recorded = self._settings.analysis().recorded()
        self._run = Run(self._out, recorded, resume=(self._out / SETTINGS).exists())
        self.has_opened_run = True
        self.recovered = recovered_in(self._run, models)
        number = os.getpid()
        while (folder := self._out / f'{UNFINISHED}{number}').exists():  # in a container every process may have one id
            number += 1
        self.journal = Journal(folder)

    def begin(self, source: LiveSource) -> None:
        """Writes the metadata of the source."""
        path = source.path
        self._streamed = Streamed(
            source.name, now_text(), self._settings.to_dict(), '' if path is None else os.path.abspath(path),
            'video' if source.has_pictures else 'audio', rate_hz=source.rate_hz, had_sound=source.has_sound,
        )  # fmt: skip
        self.journal.begin(self._streamed)

    def add_frame(self, image: npt.NDArray[np.uint8], reading: LiveReading, scale: float) -> None:
        """Records a frame and its reading.

        Args:
            image: (H, W, 3) the frame as read.
            reading: its reading.
            scale: source pixels per pixel of the image.
        """
        height, width = image.shape[:2]
        self._scale = scale
        self._frames.append((reading.time_s, reading.latency_s, len(reading.faces), reading.dropped))
        if self._streamed is not None and not self._streamed.width:
            size = round(width * self._scale), round(height * self._scale)
            self._streamed = dataclasses.replace(self._streamed, width=size[0], height=size[1])
            self.journal.begin(self._streamed)

    def keep_faces_at_intervals(self, faces: FaceStream, now_s: float) -> None:
        """Writes the rows of faces to disk if KEEP_EVERY_S have passed."""
        if now_s - self._written_s >= KEEP_EVERY_S:
            self._written_s = now_s
            self.keep_faces(faces)
        if self._released_s == float('-inf'):
            self._released_s = now_s
        if now_s - self._released_s >= TIDY_EVERY_S:
            self._released_s = now_s
            return_freed_pages()

    def keep_faces(self, faces: FaceStream) -> None:
        """Writes the rows of faces to disk."""
        columns = list(zip(*self._frames, strict=True)) or [()] * len(FRAMES)
        arrays = [pa.array(column, schema_field.type) for column, schema_field in zip(columns, FRAMES, strict=True)]
        self._unwritten.append(('faces', in_source_pixels(faces.taken(), self._scale)))
        self._unwritten.append(('frames', pa.Table.from_arrays(arrays, schema=FRAMES)))
        self._frames.clear()
        while self._unwritten:  # after Ctrl-C in the middle, the next call continues here
            self.journal.write(*self._unwritten[0])
            del self._unwritten[0]

    def close(self) -> None:
        """Closes the rows; releases a run folder without rows."""
        if hasattr(self, 'journal'):
            self.journal.close()
        if self._streamed is None:
            self._release()

    def save(self, folder: Path | None, kept: Kept, models: LoadedModels) -> Path:
        """Saves the rows as a result of a run, and removes them."""
        target = folder or self._out
        if target is None:
            raise RunError(expected='a folder to save to', came='none', todo='name one')
        if self._streamed is None or not (self.journal.folder / SOURCE_FILE).is_file():
            raise RunError(
                expected='a stream that was read and not yet saved', came='none', todo='read one, and save it once'
            )
        is_own = self._out is not None and os.path.abspath(target) == os.path.abspath(self._out)
        result = save_stream(self.journal.folder, target, kept, models, self._run if is_own else None)
        self.discard()
        return result

    def remove_empty_run(self) -> None:
        """Removes the rows, and their run folder unless it holds anything else."""
        self.discard()
        if self._out is None or not self.has_opened_run or not self._out.is_dir():
            return
        if {path.name for path in self._out.iterdir()} <= {SETTINGS, LOCK, JOURNAL}:
            shutil.rmtree(self._out, ignore_errors=True)

    def discard(self) -> None:
        """Removes unsaved rows."""
        if hasattr(self, 'journal'):
            remove_folder(self.journal.folder)
        self._release()

    def _release(self) -> None:
        if self._run is not None:
            if self._streamed is None and hasattr(self, 'journal'):
                remove_folder(self.journal.folder)
            self._run.close()
            self._run = None
        if self._remove_temporary is not None:
            self._remove_temporary()


def recovered_in(run: Run, models: LoadedModels | None = None) -> tuple[Path, ...]:
    """The results made from interrupted streams in a run folder."""
    results = []
    for folder in sorted(run.folder.glob(f'{UNFINISHED}*')):
        if not is_journal(folder):
            continue
        if (folder / SOURCE_FILE).is_file():
            results.append(save_stream(folder, run.folder, Kept(), models, run))
        remove_folder(folder)
    for folder in run.folder.glob(part_of(Path(f'{UNFINISHED}*')).name):  # removed halfway
        shutil.rmtree(folder, ignore_errors=True)
    return tuple(results)
