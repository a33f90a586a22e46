"""A manifest's media made worse by stated amounts, in a run folder that goes on after a kill.

Every sample is written whole and then noted in the journal; what was done to it stands in the new manifest's column
`corruption`. The same manifest, settings and seed give the same bytes, in whatever order and after whatever kills.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np

from affekt.corpora import Manifest, Sample
from affekt.corruption.absence import Absence, withhold
from affekt.corruption.noises import NAMED, TALKERS, Noise, digest_of_folder, noise_named, read_sound
from affekt.corruption.pictures import Image, PictureDamage
from affekt.corruption.seeds import rng_of, seed_of
from affekt.corruption.sound import MOST_DB, POWERS, Mixture, Sound, mix_at_snr
from affekt.errors import AffektError, CorpusError, MediaError, RunError, UnknownNameError, ValueRangeError
from affekt.media import Recording
from affekt.media.joining import with_sound
from affekt.media.writing import PictureStyle, Samples, write_audio, write_video
from affekt.runs import Run

MANIFEST = 'manifest.parquet'
SOUNDS = ('.wav', '.flac')
AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)
USUAL_RATE_HZ = 48_000
DEFAULT_PICTURE_HZ = 25.0
SAME_BYTES = PictureStyle(options={'crf': '18', 'x264-params': 'mbtree=0:threads=1:lookahead-threads=1'})
"""With its tree of macroblocks x264 wrote up to 15 different files from the same pictures in 40 runs; without, one."""
COPIED = ('h264',)
"""Codecs whose pictures mp4 takes as they are where only the sound changes."""

Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Corruption:
    """What to do to every sample.

    Raises:
        ValueRangeError: nothing is asked for, or a value is out of range.
        UnknownNameError: no such power or ending of sound files.
    """

    snr_db: tuple[float, ...] = ()
    """Speech over noise; a sample draws one of them. () leaves sound alone."""
    noise: str = 'white'
    """A colour, `babble`, or a folder of recordings."""
    power: str = 'whole'
    """Of speech: `whole` or `active`."""
    talkers: int = TALKERS
    """Voices of the babble."""
    blur_sigma: float | None = None
    """Pixels."""
    occlude_share: float | None = None
    """Of the picture's area, (0, 1]."""
    drop_rate: float | None = None
    """Of pictures, (0, 1)."""
    brightness: float | None = None
    """Factor on pixel values."""
    missing: tuple[str, ...] = ()
    """Rules as `Absence.of` reads them."""
    seed: int = 0
    sound: str = '.wav'
    """Ending of the sound files written: `.wav` or `.flac`, both 16 bits."""

    def __post_init__(self) -> None:
        ranges: tuple[tuple[str, tuple[float | None, ...], Callable[[float], bool]], ...] = (
            ('an SNR from -200 to 200 dB', self.snr_db, lambda value: abs(value) <= MOST_DB),
            ('a blur above 0 pixels', (self.blur_sigma,), lambda value: 0 < value < math.inf),
            ('an occluded share above 0 and at most 1', (self.occlude_share,), lambda value: 0 < value <= 1),
            ('a drop rate above 0 and below 1', (self.drop_rate,), lambda value: 0 < value < 1),
            ('a brightness above 0', (self.brightness,), lambda value: 0 < value < math.inf),
            ('at least one talker', (self.talkers,), lambda value: value >= 1),
        )
        for expected, values, is_fine in ranges:
            for value in values:
                if value is not None and not is_fine(value):
                    raise ValueRangeError(expected=expected, came=f'{value}', todo='give another value')
        for name, known in ((self.power, POWERS), (self.sound, SOUNDS)):
            if name not in known:
                raise UnknownNameError(expected=f'one of {", ".join(known)}', came=repr(name), todo='name one of these')
        self.rules()
        if not (self.snr_db or self.damages_pictures or self.missing):
            raise ValueRangeError(
                expected='something to do', came='no corruption',
                todo='give --snr, --blur, --occlude, --drop, --brightness or --missing',
            )  # fmt: skip

    @property
    def damages_pictures(self) -> bool:
        """Whether pictures change."""
        asked = (self.blur_sigma, self.occlude_share, self.drop_rate, self.brightness)
        return any(value is not None for value in asked)

    def rules(self) -> tuple[Absence, ...]:
        """What is withheld."""
        return tuple(map(Absence.of, self.missing))

    def settings(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Corrupted:
    """What a run left."""

    path: Path
    """The new manifest."""
    samples: int
    changed: int
    """Samples whose media were written."""
    untouched: tuple[str, ...]
    """Samples that have nothing of what was to be changed; they stand in the manifest as they were."""
    failed: Mapping[str, str]
    """Samples that could not be read or mixed, and why; they stand in the manifest without media."""
    quieter: Mapping[str, float]
    """Samples whose sum with the noise exceeded full scale, and by how much (dB) the whole was made quieter."""
    missing: Mapping[str, int]
    """Modality to the number of samples that do without."""
    resumed: int
    """Samples that an earlier run had finished."""


def corrupt(
    manifest: Manifest, corruption: Corruption, out: Path, *, resume: bool = False, progress: Progress | None = None
) -> Corrupted:
    """Corrupted copies of a manifest's media in `out`, with a new manifest.

    1. Modalities are withheld.
    2. Each sample that the journal does not hold is read, damaged and written: sound as 16 bits, mono, at its own
       rate; films as mp4 whose sound is the same mixture in AAC. H.264 pictures are copied where only sound changes.
    3. The new manifest names what was written; what was left alone it names where it was.

    Args:
        manifest: of the clean clips. A sample's file is taken whole.
        corruption: what to do.
        out: a new folder.
        resume: go on in a folder that a killed run left.
        progress: told 'corrupt', samples done, samples in all.

    Raises:
        ValueRangeError: a sample would be left without any modality.
        UnknownNameError: no such noise.
        CorpusError: no sample has what is to be changed, or a folder of noise is empty.
        RunError: the folder holds something else, or a run with other settings.
    """
    masked = withhold(manifest, corruption.rules(), corruption.seed) if corruption.missing else manifest
    noise = noise_named(corruption.noise, manifest, corruption.talkers) if corruption.snr_db else None
    _require_media(manifest, corruption)
    settings = {**corruption.settings(), 'manifest': _digest(manifest)}
    if noise is not None and (folder := Path(corruption.noise)).is_dir() and corruption.noise not in NAMED:
        settings['noise_files'] = digest_of_folder(folder)
    rows: list[Sample] = []
    untouched: list[str] = []
    failed: dict[str, str] = {}
    quieter: dict[str, float] = {}
    resumed = 0
    with Run(out, settings, resume=resume) as run:
        for done, row in enumerate(masked.samples, 1):
            if (entry := run.finished(row.sample)) is not None:
                resumed, written = resumed + 1, entry.facts
            else:
                written = _written(manifest, row, corruption, noise, out)
                kept = written['audio'] or written['video'] or '.'
                run.note(row.sample, kept, **written)
            facts = written['done']
            if 'failed' in facts:
                failed[row.sample] = facts['failed']
            elif not facts:
                untouched.append(row.sample)
            if facts.get('level', 1.0) < 1.0:
                quieter[row.sample] = -20.0 * math.log10(facts['level'])
            rows.append(_renamed(manifest, row, written, out))
            if progress is not None:
                progress('corrupt', done, len(masked))
        facts_of = dataclasses.replace(masked.facts, root=str(out.resolve()))
        made = Manifest(facts_of, tuple(rows))
        made.save(out / MANIFEST)
    absent = {m: int((~made.keep_mask(m)).sum()) for m in ('audio', 'video', 'text')}
    changed = len(rows) - len(untouched) - len(failed)
    return Corrupted(out / MANIFEST, len(rows), changed, tuple(untouched), failed, quieter, absent, resumed)


def _require_media(manifest: Manifest, corruption: Corruption) -> None:
    for is_asked, kinds in ((bool(corruption.snr_db), ('audio', 'video')), (corruption.damages_pictures, ('video',))):
        if is_asked and not any(getattr(row, kind) for row in manifest.samples for kind in kinds):
            raise CorpusError(
                expected=f'{" or ".join(kinds)} in the manifest', came=f'{len(manifest)} samples without',
                todo='see `affekt corpus check`',
            )  # fmt: skip


def _target(manifest: Manifest, row: Sample, kind: str, stem: Path, ending: str) -> Path:
    """Where a sample's new file goes; a whole recording keeps its name, by which its windows are known."""
    path = manifest.media(row, kind)
    if path is not None and manifest.window_s(row, kind):
        return stem / f'{path.stem}{ending}'
    return stem.with_name(stem.name + ending)


def _written(manifest: Manifest, row: Sample, corruption: Corruption, noise: Noise | None, out: Path) -> dict[str, Any]:
    """Write a sample's new media: their paths below `out`, and what was done."""
    heard, seen = manifest.media(row, 'audio'), manifest.media(row, 'video')
    found: dict[str, Any] = {'audio': None, 'video': None, 'done': {}}
    stem = out / 'media' / _file_name(row.sample)
    try:
        mixed = None
        if noise is not None and (path := heard or seen) is not None:
            mixed = _mixed(path, row, corruption, noise)
        if mixed is not None:
            mixture, rate_hz, facts = mixed
            found['done'] |= facts
            # A window counts in a film's own time, so a film with one keeps its sound to itself.
            if heard is not None or manifest.window_s(row, 'video') is None:
                target = _target(manifest, row, 'audio', stem, corruption.sound)
                found['audio'] = _sound_file(target, mixture.samples, rate_hz, out)
        if seen is not None and (mixed is not None or corruption.damages_pictures):
            target = _target(manifest, row, 'video', stem, '.mp4')
            found['done'] |= _film(seen, target, row, corruption, None if mixed is None else mixed[:2])
            found['video'] = target.relative_to(out).as_posix()
            if noise is not None and mixed is None:
                found['done']['noise'] = None  # there is no sound to add it to
    except AffektError as error:
        found = {'audio': None, 'video': None, 'done': {'failed': error.came}}
    except OSError as error:
        raise RunError(
            expected='a folder that can be written',
            came=f'{out}: {error.strerror or error}',
            todo='make room and go on with --resume',
        ) from error
    return found


def _mixed(path: Path, row: Sample, corruption: Corruption, noise: Noise) -> tuple[Mixture, int, dict[str, Any]] | None:
    """The sound of a file with noise, its rate, and what was done; None where the file has no sound."""
    streams = Recording.open(path).audio
    if not streams:
        return None
    rate_hz = streams[0].rate_hz
    clean = read_sound(path, rate_hz)
    rng = rng_of(corruption.seed, row.sample, 'sound')
    snr_db = float(rng.choice(np.array(corruption.snr_db)))
    added, source = noise(row, len(clean), rate_hz, rng)
    mixture = mix_at_snr(clean, added, snr_db, rate_hz, corruption.power)
    facts = {
        'snr_db': snr_db, 'power': corruption.power, 'noise': corruption.noise, **source,
        'sound_seed': str(seed_of(corruption.seed, row.sample, 'sound')), 'noise_gain': mixture.noise_gain,
        'level': mixture.level, 'peak': mixture.peak, 'clipped': mixture.clipped,
        'channels_mixed': streams[0].channels,
    }  # fmt: skip
    return mixture, rate_hz, facts


def _sound_file(target: Path, samples: Sound, rate_hz: int, out: Path) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_audio(target, samples.astype(np.float32), rate_hz)
    return target.relative_to(out).as_posix()


def _film(
    path: Path, target: Path, row: Sample, corruption: Corruption, mixed: tuple[Mixture, int] | None
) -> dict[str, Any]:
    """Write a film with damaged pictures, or the sound that is given, or both; says what was done to the pictures."""
    recording = Recording.open(path)
    if recording.video is None:
        raise MediaError(expected='a film', came=f'{path}, without pictures', todo='correct the manifest')
    target.parent.mkdir(parents=True, exist_ok=True)
    if mixed is not None and not corruption.damages_pictures and recording.video.codec in COPIED:
        with_sound(path, *_for_aac(*mixed), target)
        return {'pictures': 'copied'}
    damage = PictureDamage(corruption.blur_sigma, corruption.occlude_share, corruption.drop_rate, corruption.brightness)
    frames = damage(recording.frames(), rng_of(corruption.seed, row.sample, 'pictures'))
    shown, timed = tee(frames)  # read in step, so that one picture waits at most
    sound, rate_hz = _for_aac(*mixed) if mixed is not None else _own_sound(recording, path)
    write_video(
        target, (_even(frame.image) for frame in shown), recording.video.rate_hz or DEFAULT_PICTURE_HZ,
        samples=sound, sample_rate_hz=rate_hz, times_s=(frame.time_s for frame in timed), picture=SAME_BYTES,
    )  # fmt: skip
    if not corruption.damages_pictures:
        return {'pictures': 'encoded anew'}
    return {'picture_seed': str(seed_of(corruption.seed, row.sample, 'pictures')), **damage.facts()}


def _for_aac(mixture: Mixture, rate_hz: int) -> tuple[Samples, int]:
    """The mixture at a rate that AAC knows."""
    import soxr

    samples = mixture.samples.astype(np.float32)
    if rate_hz in AAC_RATES:
        return samples, rate_hz
    return soxr.resample(samples, rate_hz, USUAL_RATE_HZ), USUAL_RATE_HZ


def _own_sound(recording: Recording, path: Path) -> tuple[Iterator[Samples] | None, int]:
    """A film's own sound at a rate that AAC knows; None where it has none."""
    if not recording.audio:
        return None, USUAL_RATE_HZ
    rate_hz = recording.audio[0].rate_hz
    rate_hz = rate_hz if rate_hz in AAC_RATES else USUAL_RATE_HZ
    return (block.samples for block in Recording.open(path).samples(rate_hz)), rate_hz


def _even(image: Image) -> Image:
    """H.264 wants even sides: an odd last row or column is doubled."""
    height, width = image.shape[:2]
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode='edge')


def _renamed(manifest: Manifest, row: Sample, written: Mapping[str, Any], out: Path) -> Sample:
    """The row with its new media; what was not written lies where it was."""
    facts = written['done']

    def place(kind: str) -> str | None:
        path = manifest.media(row, kind)
        return written.get(kind) or (None if 'failed' in facts or path is None else str(path.resolve()))

    note = json.dumps(facts, sort_keys=True) if facts else row.corruption
    return dataclasses.replace(row, audio=place('audio'), video=place('video'), frames=place('frames'), corruption=note)


def _file_name(sample: str) -> str:
    """A name for files: the sample's own where it is plain, else made plain with a hash that keeps it single."""
    plain = re.sub(r'[^\w-]', '_', sample, flags=re.ASCII)[:80]
    return plain if plain == sample else f'{plain}_{hashlib.sha256(sample.encode()).hexdigest()[:8]}'


def _digest(manifest: Manifest) -> str:
    """Of the samples and where their media are."""
    rows = [(manifest.facts.root, *dataclasses.astuple(row)) for row in manifest.samples]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
