"""Made-up streams for the tests of this room: bytes of a transport stream, a clock that is moved by hand."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np

from affekt.live.clocks import MachineClock
from affekt.media import Block, Frame
from affekt.media.synthetic import numbered_image


def transport_stream(sizes: Sequence[tuple[int, int]] = ((160, 120),) * 12, *, with_sound: bool = False) -> bytes:
    """25 numbered pictures a second in MPEG-TS, each of a size, and a tone beside them.

    Where the size changes, another stream begins, as where a sender is set up anew; its times begin at 0 again.
    """
    out = b''
    begin = 0
    while begin < len(sizes):
        end = next((at for at in range(begin, len(sizes)) if sizes[at] != sizes[begin]), len(sizes))
        out += _part(range(begin, end), *sizes[begin], with_sound)
        begin = end
    return out


def _part(numbers: range, width: int, height: int, with_sound: bool) -> bytes:
    file = io.BytesIO()
    with av.open(file, 'w', format='mpegts') as container:
        video = container.add_stream('mpeg2video', rate=25)
        video.width, video.height, video.pix_fmt, video.bit_rate = width, height, 'yuv420p', 2_000_000
        video.codec_context.gop_size, video.codec_context.max_b_frames = 5, 0
        audio = container.add_stream('mp2', rate=16000, layout='mono') if with_sound else None
        for number in numbers:
            frame = av.VideoFrame.from_ndarray(numbered_image(number, width, height), format='rgb24')
            frame.pts = number - numbers[0]
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            times = np.arange(len(numbers) * 640) / 16000
            tone = (0.3 * np.sin(2 * np.pi * 440 * times) * 32767).astype(np.int16)
            sound = av.AudioFrame.from_ndarray(tone[None], format='s16', layout='mono')
            sound.sample_rate = 16000
            container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
    return file.getvalue()


def fed_pipe(path: Path, content: bytes) -> threading.Thread:
    """A named pipe that a thread writes `content` into and closes."""
    os.mkfifo(path)

    def write() -> None:
        with path.open('wb', buffering=0) as pipe:
            pipe.write(content)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def grey_frames(count: int, rate_hz: float = 25.0, size: tuple[int, int] = (96, 64)) -> Iterator[Frame]:
    """Frames without a face."""
    width, height = size
    for number in range(count):
        yield Frame(number / rate_hz, np.full((height, width, 3), 128, np.uint8))


def quiet(seconds: float) -> Iterator[Block]:
    """Silence in blocks of a tenth of a second."""
    for number in range(round(10 * seconds)):
        yield Block(number / 10, np.zeros(1600, np.float32))


class HandClock(MachineClock):
    """A clock that moves where somebody waits, and by hand."""

    def __init__(self) -> None:
        self.time_s = 100.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time_s

    def wait(self, stop: threading.Event, seconds: float) -> None:
        self.waits.append(seconds)
        self.time_s += seconds
