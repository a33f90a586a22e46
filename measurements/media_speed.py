"""Decoding speed and peak memory of `affekt.media`, each in its own process, as ratios measured in one run.

    python measurements/media_speed.py --out measurements/results/media_speed.json

Speed: pictures per second of a 640x360 H.264 clip, all converted, and picked at 5 a second (decoded, not converted).
Memory: peak resident size while a 1-minute and a 10-minute clip (160x120, with sound) are read whole.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from affekt.media import Recording
from affekt.media.synthetic import numbered_image, tone
from affekt.media.writing import PictureStyle, write_video


def make(path: Path, seconds: int, width: int, height: int, rate_hz: int = 25) -> Path:
    """Numbered pictures over a soft gradient, with a tone, in mp4."""
    ramp = np.linspace(0, 40, width, dtype=np.float32)[None, :, None]
    images = (
        np.clip(numbered_image(n, width, height) + ramp, 0, 255).astype(np.uint8) for n in range(seconds * rate_hz)
    )
    sound = (tone(1.0) for _ in range(seconds))
    return write_video(path, images, rate_hz, sound, picture=PictureStyle(options={'preset': 'ultrafast'}))


def read(path: Path, rate_hz: float | None) -> dict[str, float]:
    """Seconds for a whole pass over pictures and over sound, and this process's peak resident size."""
    recording = Recording.open(path)
    started = time.perf_counter()
    pictures = sum(1 for _ in recording.frames(rate_hz))
    picture_s = time.perf_counter() - started
    started = time.perf_counter()
    samples = sum(len(block.samples) for block in recording.samples())
    sound_s = time.perf_counter() - started
    if not recording.decoded.is_complete:
        raise RuntimeError(str(recording.decoded.sentences))
    return {
        'pictures': pictures,
        'decoded_per_s': recording.decoded.video.frames / picture_s,
        'sound_speed': samples / 16_000 / sound_s,
        'peak_mib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path)
    parser.add_argument('--read', type=Path, help=argparse.SUPPRESS)
    parser.add_argument('--rate', type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        sys.stdout.write(json.dumps(read(options.read, options.rate)))
        return

    def apart(path: Path, *more: str) -> dict[str, float]:
        command = [sys.executable, __file__, '--read', str(path), *more]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    with tempfile.TemporaryDirectory() as folder:
        medium = make(Path(folder) / 'medium.mp4', 40, 640, 360)
        short, long = make(Path(folder) / 'short.mp4', 60, 160, 120), make(Path(folder) / 'long.mp4', 600, 160, 120)
        every, picked = apart(medium), apart(medium, '--rate', '5')
        one_minute, ten_minutes = apart(short), apart(long)
    result = {
        '640x360 decoded and converted, pictures per s': round(every['decoded_per_s']),
        '640x360 decoded, 5 a second converted, pictures per s': round(picked['decoded_per_s']),
        'sound, times real time': round(every['sound_speed']),
        'peak MiB, 1 minute': round(one_minute['peak_mib'], 1),
        'peak MiB, 10 minutes': round(ten_minutes['peak_mib'], 1),
        'memory ratio, 10 minutes to 1': round(ten_minutes['peak_mib'] / one_minute['peak_mib'], 3),
    }
    text = json.dumps(result, indent=1)
    if options.out:
        options.out.write_text(text + '\n')
    sys.stdout.write(text + '\n')


if __name__ == '__main__':
    main()
