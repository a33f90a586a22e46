"""What stands in the parts of a question, as a server that really hands them to a model finds it."""

from __future__ import annotations

import base64
import io
import tempfile
import wave
from pathlib import Path
from typing import Any

import numpy as np

from affekt.llm.probe import COLOURS
from affekt.media import Recording


def content_of(question: dict[str, Any]) -> list[dict[str, Any]]:
    content = question['messages'][-1]['content']
    return [{'type': 'text', 'text': content}] if isinstance(content, str) else content


def colour_of(image: np.ndarray) -> str:
    middle = image.reshape(-1, 3).mean(axis=0)
    return min(COLOURS, key=lambda name: float(np.abs(middle - COLOURS[name]).sum()))


def picture_in(part: dict[str, Any]) -> np.ndarray:
    from PIL import Image

    head, data = part['image_url']['url'].split(',')
    assert head == 'data:image/jpeg;base64'
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert('RGB'))


def sound_in(part: dict[str, Any]) -> np.ndarray:
    assert part['input_audio'].keys() == {'data', 'format'}
    assert part['input_audio']['format'] == 'wav'
    with wave.open(io.BytesIO(base64.b64decode(part['input_audio']['data']))) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (1, 16_000, 2)
        return np.frombuffer(file.readframes(file.getnframes()), '<i2') / 32768


def video_in(part: dict[str, Any]) -> tuple[list[str], bool]:
    """The colours of a video's frames, each once in a row, and whether it has sound."""
    head, data = part['video_url']['url'].split(',')
    assert head == 'data:video/mp4;base64'
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'clip.mp4'
        path.write_bytes(base64.b64decode(data))
        recording = Recording.open(path)
        colours = [colour_of(frame.image) for frame in recording.frames()]
        return list(dict.fromkeys(colours)), bool(recording.audio)


def answer(question: dict[str, Any]) -> str:
    """What a model answers to a probe's question when it is given every part."""
    parts = content_of(question)
    if parts[-1]['text'].startswith('Listen'):
        (sound,) = (sound_in(part) for part in parts if part['type'] == 'input_audio')
        return 'Several SHORT beeps.' if np.mean(np.abs(sound) < 0.01) > 0.3 else 'One long tone.'
    videos = [part for part in parts if part['type'] == 'video_url']
    colours = (
        video_in(videos[0])[0] if videos else [colour_of(picture_in(p)) for p in parts if p['type'] == 'image_url']
    )
    return ' then '.join(colours) or 'Yes.'
