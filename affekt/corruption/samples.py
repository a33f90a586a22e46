"""Reading, corruption and writing of one sample's media.

Audio becomes 16-bit mono at its own rate; videos become mp4 with the same mixture in AAC; stacks of images become
stacks of corrupted images, with separate draws.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np

from affekt.corpora import Manifest, Sample
from affekt.corruption.noises import Noise, noise_named, read_sound
from affekt.corruption.pictures import Image
from affekt.corruption.seeds import rng_of, seed_of
from affekt.corruption.settings import Corruption
from affekt.corruption.sound import Mixture, Sound, mix_at_snr
from affekt.errors import AffektError, ArchiveError, MediaError, StorageError
from affekt.files import storage_error
from affekt.media import Frame, PictureStyle, Recording, even_sided, with_sound, write_audio, write_video
from affekt.media.writing import Samples
from affekt.npz import read_array
from affekt.runs import file_atomically, require_regular_file

AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)
"""Sampling rates that AAC supports, in Hz."""
USUAL_RATE_HZ = 48_000
"""Sampling rate of audio whose own rate AAC does not support."""
DEFAULT_FRAME_HZ = 25.0
"""Frame rate of videos that do not state one."""
SAME_BYTES = PictureStyle(options={'crf': '18', 'x264-params': 'mbtree=0:threads=1:lookahead-threads=1'})
"""With macroblock-tree rate control, 40 runs of x264 on equal frames wrote up to 15 different files; without, one."""
COPIED = ('h264',)
"""Codecs whose frames are copied into mp4 where only the audio changes."""
MEDIA_COLUMNS = ('audio', 'video', 'frames')


@dataclass(frozen=True)
class Job:
    """Everything needed to write samples; opened once per process."""

    manifest: Manifest
    """Manifest of the clean clips."""
    corruption: Corruption
    noise: Noise | None
    out: Path

    @classmethod
    def open(cls, manifest: Manifest, corruption: Corruption, out: Path) -> Job:
        """Open the source of noise.

        Raises:
            UnknownNameError: unknown noise.
            CorpusError: a folder of noise is empty, or there are no other voices for babble.
        """
        noise = noise_named(corruption.noise, manifest, corruption.talkers) if corruption.snr_db else None
        return cls(manifest, corruption, noise, out)

    def write(self, row: Sample) -> dict[str, Any]:
        """Write a sample's new media; returns column to path below `out` or None, and 'done' to the corruptions.

        A sample that cannot be read or mixed has only the reason, as 'failed' in 'done'.

        Raises:
            StorageError: the folder cannot be written.
        """
        outcome: dict[str, Any] = {**dict.fromkeys(MEDIA_COLUMNS), 'done': {}}
        stem = self.out / 'media' / _file_name(row.sample)
        try:
            mixed = self._mix_audio(row, stem, outcome)
            self._corrupt_images(row, stem, outcome, mixed)
        except StorageError:
            raise  # it would recur for every sample
        except AffektError as error:
            outcome = {**dict.fromkeys(MEDIA_COLUMNS), 'done': {'failed': error.came}}
        except OSError as error:
            raise storage_error(error) from error
        except MemoryError:
            raise
        except Exception as error:  # libraries raise anything on unusual files
            outcome = {**dict.fromkeys(MEDIA_COLUMNS), 'done': {'failed': f'{type(error).__name__}: {error}'}}
        return outcome

    def _mix_audio(self, row: Sample, stem: Path, outcome: dict[str, Any]) -> tuple[Mixture, int] | None:
        """Mix a sample's audio and write it; None if there is nothing to mix."""
        audio, video = self.manifest.media(row, 'audio'), self.manifest.media(row, 'video')
        path = audio or video
        if self.noise is None or path is None:
            return None
        mixed = _mixed(path, row, self.corruption, self.noise)
        if mixed is None:
            return None
        mixture, rate_hz, damage = mixed
        outcome['done'] |= damage
        # A window's times are those of the video, so its mixture is written into the video alone.
        if audio is not None or self.manifest.window_s(row, 'video') is None:
            target = _target(self.manifest, row, 'audio', stem, self.corruption.sound)
            outcome['audio'] = _write_audio_file(target, mixture.samples, rate_hz, self.out)
        return mixture, rate_hz

    def _corrupt_images(
        self, row: Sample, stem: Path, outcome: dict[str, Any], mixed: tuple[Mixture, int] | None
    ) -> None:
        """Write a sample's video and stack, where they change."""
        video, stack = self.manifest.media(row, 'video'), self.manifest.media(row, 'frames')
        changes = self.corruption.damage(row.sample).changes
        if self.corruption.blur_rates and (video or stack) and not changes:
            outcome['done']['blur_rate'] = 1  # frames are unchanged
        if video is not None and (mixed is not None or changes):
            target = _target(self.manifest, row, 'video', stem, '.mp4')
            outcome['done'] |= _write_corrupted_video(video, target, row, self.corruption, mixed)
            outcome['video'] = target.relative_to(self.out).as_posix()
            if self.noise is not None and mixed is None:
                outcome['done']['noise'] = None  # there is no audio to mix it with
        if stack is not None and changes:
            target = stem.with_name(f'{stem.name}.frames.npy')
            outcome['done']['frames'] = _write_corrupted_stack(stack, target, row, self.corruption)
            if outcome['done']['frames'] is not None:
                outcome['frames'] = target.relative_to(self.out).as_posix()


def _target(manifest: Manifest, row: Sample, column: str, stem: Path, ending: str) -> Path:
    """Path of a sample's new file; a whole recording keeps its name, by which its windows are identified."""
    path = manifest.media(row, column)
    if path is not None and manifest.window_s(row, column):
        return stem / f'{path.stem}{ending}'
    return stem.with_name(stem.name + ending)


def _mixed(path: Path, row: Sample, corruption: Corruption, noise: Noise) -> tuple[Mixture, int, dict[str, Any]] | None:
    """A file's audio mixed with noise, its rate in Hz, and the corruption; None if the file has no audio."""
    streams = Recording.open(path).audio
    if not streams:
        return None
    rate_hz = streams[0].rate_hz
    clean = read_sound(path, rate_hz)
    rng = rng_of(corruption.seed, row.sample, 'sound')
    snr_db = float(rng.choice(np.array(corruption.snr_db)))
    added, source = noise(row, len(clean), rate_hz, rng)
    mixture = mix_at_snr(clean, added, snr_db, rate_hz, corruption.power)
    damage = {
        'snr_db': snr_db, 'power': corruption.power, 'noise': corruption.noise, **source,
        'sound_seed': str(seed_of(corruption.seed, row.sample, 'sound')), 'noise_gain': mixture.noise_gain,
        'level': mixture.level, 'peak': mixture.peak, 'clipped': mixture.clipped,
        'channels_mixed': streams[0].channels,
    }  # fmt: skip
    return mixture, rate_hz, damage


def _write_audio_file(target: Path, samples: Sound, rate_hz: int, out: Path) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_audio(target, samples.astype(np.float32), rate_hz)
    return target.relative_to(out).as_posix()


def _write_corrupted_video(
    path: Path, target: Path, row: Sample, corruption: Corruption, mixed: tuple[Mixture, int] | None
) -> dict[str, Any]:
    """Write a video with corrupted frames, the mixed audio, or both; returns the corruption of the frames."""
    recording = Recording.open(path)
    if recording.video is None:
        raise MediaError(expected='a video', came=f'{path}, without a video stream', todo='correct the manifest')
    target.parent.mkdir(parents=True, exist_ok=True)
    damage = corruption.damage(row.sample)
    if mixed is not None and not damage.changes and recording.video.codec in COPIED:
        with_sound(path, *_for_aac(*mixed), target)
        return {'pictures': 'copied'}
    frames = damage(recording.frames(), rng_of(corruption.seed, row.sample, 'pictures'))
    for_images, for_times = tee(frames)  # read in step, so that at most one frame is buffered
    sound, rate_hz = _for_aac(*mixed) if mixed is not None else _own_sound(recording, path)
    write_video(
        target, (even_sided(frame.image) for frame in for_images), recording.video.rate_hz or DEFAULT_FRAME_HZ,
        samples=sound, sample_rate_hz=rate_hz, times_s=(frame.time_s for frame in for_times), picture=SAME_BYTES,
    )  # fmt: skip
    if not damage.changes:
        return {'pictures': 'encoded anew'}
    return {'picture_seed': str(seed_of(corruption.seed, row.sample, 'pictures')), **damage.facts()}


def _for_aac(mixture: Mixture, rate_hz: int) -> tuple[Samples, int]:
    """The mixture at a rate that AAC supports."""
    import soxr

    samples = mixture.samples.astype(np.float32)
    if rate_hz in AAC_RATES:
        return samples, rate_hz
    return soxr.resample(samples, rate_hz, USUAL_RATE_HZ), USUAL_RATE_HZ


def _own_sound(recording: Recording, path: Path) -> tuple[Iterator[Samples] | None, int]:
    """A video's own audio at a rate that AAC supports; None if it has none."""
    if not recording.audio:
        return None, USUAL_RATE_HZ
    rate_hz = recording.audio[0].rate_hz
    rate_hz = rate_hz if rate_hz in AAC_RATES else USUAL_RATE_HZ
    return (block.samples for block in Recording.open(path).samples(rate_hz)), rate_hz


def _write_corrupted_stack(path: Path, target: Path, row: Sample, corruption: Corruption) -> dict[str, Any] | None:
    """Write a corrupted stack; returns the corruption, or None for a folder of single images, which is not read."""
    files = sorted(path.glob('*.npy')) if path.is_dir() else [path]
    if len(files) != 1 or files[0].suffix != '.npy':
        return None
    stack = _read_stack(files[0])
    damage = corruption.damage(row.sample)
    frames = (Frame(float(number), image) for number, image in enumerate(stack))
    images = [frame.image for frame in damage(frames, rng_of(corruption.seed, row.sample, 'frames'))]
    with file_atomically(target) as file:
        np.save(file, np.stack(images), allow_pickle=False)
    return {'picture_seed': str(seed_of(corruption.seed, row.sample, 'frames')), **damage.facts()}


def _read_stack(path: Path) -> Image:
    """(T, H, W, 3) uint8, with channels in the file's order."""
    try:
        require_regular_file(path)
        stack = read_array(path)
    except ArchiveError as error:
        raise MediaError(expected='a stack of images (.npy)', came=f'{path}: {error}', todo='make it anew') from error
    if stack.dtype != np.uint8 or stack.ndim != 4 or stack.shape[-1] != 3 or 0 in stack.shape:
        raise MediaError(
            expected='images (T, H, W, 3) of 8 bits', came=f'{path}, {stack.dtype} {stack.shape}', todo='make it anew'
        )
    return np.asarray(stack, dtype=np.uint8)


def with_new_media(manifest: Manifest, row: Sample, written: Mapping[str, Any]) -> Sample:
    """The row with the paths of its new media; others keep their path, unless they could not be corrupted as requested.

    Args:
        manifest: manifest of the clean clips.
        row: row of the new manifest.
        written: result of `Job.write`.
    """
    damage = written['done']
    lost = {column for column in MEDIA_COLUMNS if 'failed' in damage or (column in damage and damage[column] is None)}

    def path_of(column: str) -> str | None:
        path = manifest.media(row, column)
        return written.get(column) or (None if column in lost or path is None else str(path.resolve()))

    corruption_text = json.dumps(damage, sort_keys=True) if damage else row.corruption
    return dataclasses.replace(
        row, audio=path_of('audio'), video=path_of('video'), frames=path_of('frames'), corruption=corruption_text
    )


def _file_name(sample: str) -> str:
    """A file name for a sample: its own name where that is plain, else a plain form with a hash to keep it unique."""
    plain = re.sub(r'[^\w-]', '_', sample, flags=re.ASCII)[:80]
    return plain if plain == sample else f'{plain}_{hashlib.sha256(sample.encode()).hexdigest()[:8]}'
