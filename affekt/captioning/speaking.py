"""Whether the visible person is the speaker: mouth opening against loudness of the voice.

Both signals, the opening of a mouth and the amplitude of voiced audio, are sampled 25 times a second, and their slow
part (the mean over 0.36 s) is subtracted, so that syllables are compared and not phrases. For each face

    r = max over lags up to 0.2 s of correlation * (1 - 0.15 |lag| / 0.04 s)

which favours small lags, as most recordings are in sync. Noise reaches some r too, so the same is computed with the
mouth's signal rotated in time by 0.6 s and more, which moves alike but belongs to other speech:

    score = r - (mean r of the rotated signals)   of the face that is largest on average
    lead  = r - (largest r of the other faces)

A clip is kept if score >= THRESHOLD, the mouth moves at all, and lead >= 0. The threshold was chosen for a precision
of 0.9 when half of the clips are dubbed: `measurements/speaking.py`, on spoken sentences with their own audio and with
that of others, from only 11 speakers. A clip that cannot be scored (no face, no voice, less than a second of both) has
a reason instead of a score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Floats
from affekt.errors import AffektError

GRID_HZ = 25.0
MOST_LAG = 5
"""Maximum lag between audio and mouth, in steps of 0.04 s."""
LAG_COST = 0.15
"""Share of r lost per step of lag."""
SLOW_STEPS = 9
"""Steps whose mean is subtracted: 0.36 s, longer than a syllable."""
LEAST_TURN_S, TURN_STEP_S = 0.6, 0.12
"""Minimum rotation of a signal, and its step, in seconds: longer than the maximum lag on both sides."""
LEAST_S = 1.0
LEAST_MOTION = 0.01
"""Standard deviation of the opening below which a mouth is still; speech moves it by 0.04 to 0.15."""
THRESHOLD = 0.23
"""Minimum score of a clip whose visible person speaks, as measured; see the module."""


UNREADABLE = 'unreadable'
Window = tuple[float, float] | None
"""Start and end of a clip in a file, in seconds; None for the whole file."""


@dataclass(frozen=True)
class SpeakingScore:
    """Agreement of the most prominent face of a clip with its voice."""

    name: str
    score: float = math.nan
    rhythm: float = math.nan
    """r of that face."""
    lead: float = math.nan
    """Lead of its r over that of the other faces; r itself if there is none."""
    motion: float = math.nan
    """Standard deviation of the opening of its mouth."""
    faces: int = 0
    voiced_s: float = 0.0
    why: str = ''
    """Reason why there is no score; '' if there is one."""

    @property
    def is_unreadable(self) -> bool:
        """Whether a file of the clip cannot be read."""
        return self.why.startswith(UNREADABLE)

    def speaks(self, threshold: float = THRESHOLD) -> bool | None:
        """Whether the visible person speaks; None if that cannot be judged."""
        if self.why:
            return None
        return self.score >= threshold and self.lead >= 0 and self.motion >= LEAST_MOTION

    def to_dict(self) -> dict[str, Any]:
        """The score as a row of a table."""
        return asdict(self)


def rhythm(opening: Floats, voice: Floats) -> float:
    """r of two signals: the largest correlation over lags, discounted by lag; 0 if none is positive.

    Args:
        opening: (T,) opening of the mouth.
        voice: (T,) amplitude at the same times.
    """
    opening, voice = _without_slow(opening), _without_slow(voice)
    best = 0.0
    for lag in range(-MOST_LAG, MOST_LAG + 1):
        shifted_opening = opening[max(0, lag) : len(opening) + min(0, lag)]
        shifted_voice = voice[max(0, -lag) : len(voice) + min(0, -lag)]
        if len(shifted_opening) > 5 and shifted_opening.std() > 1e-9 and shifted_voice.std() > 1e-9:
            best = max(best, float(np.corrcoef(shifted_opening, shifted_voice)[0, 1]) * (1 - LAG_COST * abs(lag)))
    return best


def _without_slow(course: Floats) -> Floats:
    """A course minus its running mean over 0.36 s; its ends are repeated."""
    before = SLOW_STEPS // 2
    padded = np.pad(course, (before, SLOW_STEPS - 1 - before), mode='edge')
    return course - np.convolve(padded, np.ones(SLOW_STEPS) / SLOW_STEPS, 'valid')


def turned_rhythms(opening: Floats, voice: Floats) -> Floats:
    """r of the signal rotated in time by each admissible step; empty for a clip that is too short."""
    smallest, step = round(LEAST_TURN_S * GRID_HZ), round(TURN_STEP_S * GRID_HZ)
    return np.array(
        [rhythm(np.roll(opening, shift), voice) for shift in range(smallest, len(opening) - smallest + 1, step)],
        np.float64,
    )


def speaking_score(name: str, mouths: Sequence[Floats], voice: Floats, voiced_s: float) -> SpeakingScore:
    """The score of a clip.

    Args:
        name: name of the clip.
        mouths: (T,) opening of each face's mouth at `GRID_HZ`, the most prominent face first.
        voice: (T,) amplitude of voiced audio at `GRID_HZ`, 0 where there is none.
        voiced_s: duration of voice in seconds.
    """
    if not mouths:
        return SpeakingScore(name, why='no face', voiced_s=voiced_s)
    about: dict[str, Any] = {'faces': len(mouths), 'voiced_s': round(voiced_s, 3)}
    if voiced_s < LEAST_S / 2 or len(voice) < LEAST_S * GRID_HZ:
        return SpeakingScore(name, why='no voice' if voiced_s < LEAST_S / 2 else 'too short', **about)
    rotated = turned_rhythms(mouths[0], voice)
    if not len(rotated):
        return SpeakingScore(name, why='too short', **about)
    face_rhythm = rhythm(mouths[0], voice)
    others = [rhythm(mouth, voice) for mouth in mouths[1:]]
    return SpeakingScore(
        name,
        face_rhythm - float(rotated.mean()),
        face_rhythm,
        face_rhythm - max(others, default=0.0),
        float(mouths[0].std()),
        **about,
    )


def clip_speaking(
    name: str, video: Path | None, audio: Path | None, window_s: Window, audio_window_s: Window = None
) -> SpeakingScore:
    """The score of a clip's files.

    Args:
        name: name of the clip.
        video: video file; None for none.
        audio: audio file; None for the audio of the video.
        window_s: start and end of the clip in the video, in seconds; None for all.
        audio_window_s: likewise in the audio file, if there is one.
    """
    if video is None:
        return SpeakingScore(name, why='no video')
    try:
        return _scored(name, video, audio or video, window_s, window_s if audio is None else audio_window_s)
    except AffektError as error:
        return SpeakingScore(name, why=f'{UNREADABLE}: {error.came}'[:200])


def _scored(name: str, video: Path, audio: Path, window_s: Window, audio_window_s: Window) -> SpeakingScore:
    from affekt.media import Recording

    video_recording = Recording.open(video)
    if video_recording.video is None or video_recording.kind == 'image':
        return SpeakingScore(name, why='no video')
    audio_recording = Recording.open(audio)
    if not audio_recording.audio:
        return SpeakingScore(name, why='no audio')
    voice, voiced_s = voice_course(audio_recording, *(audio_window_s or (0.0, math.inf)))
    times = np.arange(len(voice)) / GRID_HZ + (window_s[0] if window_s else 0.0)
    return speaking_score(name, mouth_courses(video_recording, times), voice, voiced_s)


def voice_course(recording: Any, start_s: float = 0.0, end_s: float = math.inf) -> tuple[Floats, float]:
    """(T,) amplitude of voiced audio at `GRID_HZ` from the start, 0 where unvoiced; and seconds of voice."""
    from affekt.voice import acoustic_frames

    rate = 16_000
    first, last = round(start_s * rate), math.inf if end_s == math.inf else round(end_s * rate)
    blocks, length = [np.zeros(0, np.float32)], 0
    for block in recording.samples(rate):
        blocks.append(block.samples[max(0, first - length) : None if last == math.inf else max(0, int(last) - length)])
        length += len(block.samples)
        if length >= last:
            break
    samples = np.concatenate(blocks)
    if len(samples) < 640:
        return np.zeros(0), 0.0
    frames = acoustic_frames(samples)
    level = np.where(frames.voiced, 10.0 ** (frames.loudness_db / 20.0), 0.0).astype(np.float64)
    step = round(100 / GRID_HZ)
    count = len(level) // step
    # (100 per second,) to (T, 4), then (T,)
    return level[: count * step].reshape(count, step).mean(axis=1), float(frames.voiced.sum()) / 100


def mouth_courses(recording: Any, times_s: Floats) -> list[Floats]:
    """(T,) opening of each mouth at these times, the largest face on average first.

    Faces visible less than half of the time are left out.
    """
    import pyarrow.compute as pc

    from affekt.faces import observe_faces

    if not len(times_s):
        return []
    first, last = float(times_s[0]), float(times_s[-1])
    until_last = takewhile(lambda frame: frame.time_s <= last + 0.1, recording.frames(GRID_HZ))
    frames = (frame for frame in until_last if frame.time_s >= first - 0.1)
    observed = observe_faces(frames, keep_thumbnails=False)
    table = observed.table
    fewest = min(len(times_s), observed.frames) / 2  # a video may have fewer frames per second than GRID_HZ
    courses: list[tuple[float, Floats]] = []
    for person in pc.unique(table['person']).to_pylist() if table.num_rows else []:
        rows = table.filter(pc.equal(table['person'], person))
        opening = rows[MOUTH].to_numpy()
        is_measured = ~np.isnan(opening)
        if is_measured.sum() < fewest:
            continue
        times = rows['time_s'].to_numpy()[is_measured]
        area = float(np.nanmean(rows['box_width'].to_numpy() * rows['box_height'].to_numpy())) * is_measured.sum()
        courses.append((area, np.interp(times_s, times, opening[is_measured])))
    return [course for _, course in sorted(courses, key=lambda item: -item[0])]


MOUTH = 'jaw_open'


def from_row(row: Mapping[str, Any]) -> SpeakingScore:
    """The score in a row of a table."""
    numbers = {
        name: float(row[name]) if row[name] not in (None, '') else math.nan
        for name in ('score', 'rhythm', 'lead', 'motion')
    }
    return SpeakingScore(
        str(row['name']), **numbers, faces=int(row['faces'] or 0), voiced_s=float(row['voiced_s'] or 0.0),
        why=str(row['why'] or ''),
    )  # fmt: skip
