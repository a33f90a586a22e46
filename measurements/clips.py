"""Clips that benchmarks analyze: a real talking face and real read speech, joined, at any length and size."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy as np
from PIL import Image

from affekt.media import Recording
from affekt.media.writing import write_video
from affekt.weights import model_path


def talking_face(out: Path, seconds: float, rate_hz: float = 30.0, size: tuple[int, int] = (640, 360)) -> Path:
    """An H.264 and AAC mp4: the demo's face, forwards and backwards in turn, with the demo's speech repeated.

    Args:
        out: the file to write; an existing one is kept.
        seconds: length.
        rate_hz: frames per second.
        size: width and height; the face fills the height.
    """
    if out.exists():
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    faces = [_fitted(frame.image, size) for frame in Recording.open(model_path('carphone.mp4')).frames()]
    speech = np.concatenate([b.samples for b in Recording.open(model_path('read_speech.wav')).samples()])
    samples = np.resize(speech, int(seconds * 16_000))

    def pictures() -> Iterator[np.ndarray]:
        shown = cycle([*faces, *faces[-2:0:-1]])
        for _ in range(round(seconds * rate_hz)):
            yield next(shown)

    partial = out.with_name(f'partial-{out.name}')
    write_video(partial, pictures(), rate_hz, samples)
    partial.rename(out)
    return out


def _fitted(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    width, height = size
    scale = height / image.shape[0]
    scaled = Image.fromarray(image).resize((round(image.shape[1] * scale), height), Image.Resampling.BICUBIC)
    canvas = Image.new('RGB', size)
    canvas.paste(scaled, ((width - scaled.width) // 2, 0))
    return np.asarray(canvas)
