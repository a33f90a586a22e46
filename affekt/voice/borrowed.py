"""Recorded speech whose pitch, tempo and level follow commanded curves; its words stay the same.

    speech = BorrowedSpeech.of_folder(Path('readings'))
    samples = speech.spoken(path, arousal, rng)

Pitch and tempo rise together, as when a tape runs faster, by PITCH octaves from arousal 0 to 1.

Axes: N samples at RATE_HZ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from affekt.arrays import Floats, Floats32
from affekt.containers import AUDIO, VIDEO
from affekt.errors import LimitError, MediaError, listed, shown_faults
from affekt.files import file_sha256
from affekt.media import Recording
from affekt.wording import counted

RATE_HZ = 16_000
PITCH = 0.35
"""Rise of pitch and tempo in octaves from arousal 0 to 1."""
MOST_S = 120.0
"""Maximum length used of a recording; the rest is ignored."""
LEAST_S = 2.0
"""Minimum duration of a usable recording, in seconds."""
LOUD = 0.12
"""Root mean square of speech before the commanded level: equal to that of the tones which it replaces."""


@dataclass(frozen=True)
class BorrowedSpeech:
    """Recordings of speech, each by a different person.

    Args:
        recordings: audio files, or videos with audio.
        left_out: name of a skipped file to the reason.
    """

    recordings: tuple[Path, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_folder(cls, folder: Path) -> BorrowedSpeech:
        """All readable recordings in a folder; the others are skipped and listed in `notes`.

        Raises:
            MediaError: the folder has no readable recording.
        """
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (*AUDIO, *VIDEO))
        except OSError as error:
            raise MediaError(
                expected='a folder with recordings of speech', came=f'{folder}: {error.strerror}', todo='name one'
            ) from error
        path_of: dict[str, Path] = {}
        left_out: dict[str, str] = {}
        for path in paths:
            try:
                digest, samples = file_sha256(path), _levelled_samples(path)
            except (MediaError, LimitError) as error:
                left_out[path.name] = error.came
                continue
            if digest in path_of:
                left_out[path.name] = f'the same recording as {path_of[digest].name}'
            elif len(samples) < LEAST_S * RATE_HZ or not samples.any():
                left_out[path.name] = f'less than {LEAST_S:g} s of audio'
            else:
                path_of[digest] = path
        if not path_of:
            raise MediaError(
                expected=f'recordings of speech in {folder}', came='none that can be heard', todo='add recordings',
                faults=shown_faults([f'{name}: {reason}' for name, reason in left_out.items()]),
            )  # fmt: skip
        return cls(tuple(path_of.values()), left_out)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user on skipped files."""
        if not self.left_out:
            return ()
        reasons = listed([f'{name} ({reason})' for name, reason in self.left_out.items()])
        return (f'{counted(len(self.left_out), "recording")} not used: {reasons}',)

    @staticmethod
    def spoken(recording: Path, arousal: Floats, rng: np.random.Generator) -> Floats32:
        """(N,) speech from a random position, with a root mean square of LOUD; repeated from the start when it ends.

        Args:
            recording: one of the recordings.
            arousal: (N,) in [-1, 1].
            rng: draws the position.
        """
        samples = _levelled_samples(recording)
        positions = rng.integers(len(samples)) + np.cumsum(2 ** (PITCH * arousal))
        speech = np.interp(positions % (len(samples) - 1), np.arange(len(samples)), samples)
        return np.asarray(speech, dtype=np.float32)


@lru_cache(maxsize=8)
def _levelled_samples(path: Path) -> Floats32:
    """(N,) the first MOST_S seconds of a recording, with a root mean square of LOUD."""
    blocks, count = [np.zeros(0, np.float32)], 0
    for block in Recording.open(path).samples(RATE_HZ):
        blocks.append(block.samples)
        count += len(block.samples)
        if count >= MOST_S * RATE_HZ:
            break
    samples = np.concatenate(blocks)[: round(MOST_S * RATE_HZ)].astype(np.float32)
    root_mean_square = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) if len(samples) else 0.0
    return samples * np.float32(LOUD / root_mean_square) if root_mean_square > 0 else samples
