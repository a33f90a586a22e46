"""What `affekt stream` makes of real servers: RTSP, HTTP, and a transport stream by standard input.

    python live_addresses.py --data DIR [--gstreamer-python /usr/bin/python3]

A face at 25 frames a second and 640x360 with read speech, H.264 and AAC, is served on this machine and read by the
command, each time in a process of its own. The RTSP server is GStreamer's (`rtsp_server.py` says what it needs); it is
asked for a stream, for one behind a password, with a wrong password and for a path that is not there; nobody listens;
and it is killed and started again while a stream runs. By HTTP come a file, motion JPEG without an end and a transport
stream without an end, and by standard input one whose size changes twice.

Of each: the exit code, readings, readings with a face, delays, and the message in which no password may stand.
`starts_later_s` is the time from the start of the command to its first reading, models included.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
from live import DATA, ONE_THREAD, RATE_HZ, clip, pictures

from affekt.runs import versions, write_atomically
from affekt.typed_json import json_file

RESULT = Path(__file__).resolve().parent / 'results' / 'live_addresses.json'
SERVER = Path(__file__).resolve().parent / 'rtsp_server.py'
READ_S = 8
"""Seconds that each stream is read for."""
KILLED_S, AWAY_S = 4.0, 3.0
"""When the server is killed, after the first reading, and how long it is away."""
CHANGES = ((640, 360), (320, 240), (480, 270))


def streamed(
    source: str, folder: Path, during: Callable[[], None] | None = None, stdin: Any = None, seconds: float = READ_S
) -> dict[str, Any]:
    """What came of one stream: of its readings, its run folder and its words.

    Args:
        source: as the command takes it.
        folder: of the run.
        during: called once the first reading is there.
        stdin: of the command.
        seconds: how long it reads.
    """
    command = [sys.executable, '-m', 'affekt', 'stream', source, '--json', '--seconds', str(seconds)]
    begun = time.monotonic()
    readings, arrivals = [], []
    with (
        (folder.parent / f'{folder.name}.err').open('w+') as errors,
        subprocess.Popen(
            [*command, '--out', str(folder)], stdin=stdin, stdout=subprocess.PIPE, stderr=errors, text=True,
            env=os.environ | ONE_THREAD,
        ) as process,
    ):  # fmt: skip
        for line in process.stdout or ():
            readings.append(json.loads(line))
            arrivals.append(time.monotonic() - begun)
            if during is not None and len(readings) == 1:
                threading.Thread(target=during).start()
        code = process.wait()
        errors.seek(0)
        words = [line.strip() for line in errors if line.strip()]
    delays_ms = [1000 * each['latency_s'] for each in readings]
    gaps = np.diff(arrivals)
    return {
        'exit_code': code,
        'readings': len(readings),
        'with_a_face': sum(bool(each['faces']) for each in readings),
        'starts_later_s': round(arrivals[0], 1) if arrivals else None,
        'latency_ms': {f'p{n}': round(float(np.percentile(delays_ms, n)), 1) for n in (50, 95)} if readings else None,
        'longest_gap_s': round(float(gaps.max()), 1) if len(gaps) else None,
        'report': any(folder.glob('*/report.html')),
        'says_password': any('secret' in line for line in words),
        'said': ' '.join(words[-2:]) if code else next(line for line in words if line.startswith('frames')),
    }


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return int(listener.getsockname()[1])


class RtspServer:
    """GStreamer's, in a process of its own.

    Args:
        python: the system's, which has GStreamer.
        path: what is served.
    """

    def __init__(self, python: str, path: Path) -> None:
        self._command, self.port = [python, str(SERVER), str(path)], free_port()
        self.start()

    def start(self) -> None:
        """Starts it, and waits until it serves."""
        command = [*self._command, str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != 'serving\n':
            raise SystemExit('the RTSP server did not start: --gstreamer-python names a Python with GStreamer')

    def kill(self) -> None:
        """As a machine that loses its power."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Killed after a while, and started again after another."""
        time.sleep(KILLED_S)
        self.kill()
        time.sleep(AWAY_S)
        self.start()


def by_rtsp(python: str, path: Path, folder: Path) -> dict[str, Any]:
    """All streams of the RTSP server."""
    server = RtspServer(python, path)
    place = f'127.0.0.1:{server.port}'
    try:
        result = {
            'plain': streamed(f'rtsp://{place}/clip', folder / 'plain'),
            'password': streamed(f'rtsp://user:secret@{place}/locked', folder / 'password'),
            'wrong_password': streamed(f'rtsp://user:nosecret@{place}/locked', folder / 'wrong'),
            'other_path': streamed(f'rtsp://user:secret@{place}/elsewhere', folder / 'other'),
            'nobody_listens': streamed(f'rtsp://user:secret@127.0.0.1:{free_port()}/clip', folder / 'nobody'),
            'killed_and_started_again': streamed(
                f'rtsp://{place}/clip', folder / 'killed', during=server.restart, seconds=25
            ),
        }
    finally:
        server.kill()
    return result


def joined(data: Path, path: Path) -> None:
    """A transport stream whose pictures change their size twice."""
    images = pictures(data)[: 2 * RATE_HZ * len(CHANGES)]
    content = b''
    for place, (width, height) in enumerate(CHANGES):
        file = io.BytesIO()
        with av.open(file, 'w', format='mpegts') as container:
            video = container.add_stream('libx264', rate=RATE_HZ, options={'preset': 'veryfast', 'tune': 'zerolatency'})
            video.width, video.height, video.pix_fmt = width, height, 'yuv420p'
            for number in range(2 * RATE_HZ):
                number += 2 * RATE_HZ * place
                frame = av.VideoFrame.from_ndarray(images[number], format='rgb24').reformat(width, height)
                frame.pts = number
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        content += file.getvalue()
    path.write_bytes(content)


def jpegs(data: Path) -> list[bytes]:
    """Two seconds of pictures, each a JPEG file."""
    made = []
    codec = av.CodecContext.create('mjpeg', 'w')
    codec.width, codec.height, codec.pix_fmt, codec.framerate = 640, 360, 'yuvj420p', RATE_HZ
    codec.time_base = 1 / codec.framerate
    for number, image in enumerate(pictures(data)[: 2 * RATE_HZ]):
        frame = av.VideoFrame.from_ndarray(image, format='rgb24').reformat(format='yuvj420p')
        frame.pts = number
        made += [bytes(packet) for packet in codec.encode(frame)]
    return made


@contextlib.contextmanager
def by_http(file: Path, stream: bytes, ends: list[int], images: list[bytes]) -> Iterator[str]:
    """The address of a server of a file, of motion JPEG and of a transport stream, both as time goes by."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(ConnectionError):
                {'/clip.mp4': self._file, '/camera': self._jpegs, '/stream': self._stream}[self.path]()

        def _begin(self, kind: str) -> None:
            self.send_response(200)
            self.send_header('Content-Type', kind)
            self.end_headers()

        def _file(self) -> None:
            """From the byte that is asked for, as web servers do."""
            content, begin = file.read_bytes(), int(self.headers.get('Range', 'bytes=0-')[6:].split('-')[0])
            self.send_response(206)
            self.send_header('Content-Range', f'bytes {begin}-{len(content) - 1}/{len(content)}')
            self.send_header('Content-Length', str(len(content) - begin))
            self.send_header('Accept-Ranges', 'bytes')
            self.end_headers()
            self.wfile.write(content[begin:])

        def _jpegs(self) -> None:
            self._begin('multipart/x-mixed-replace; boundary=next')
            for number in range(20 * RATE_HZ):
                image = images[number % len(images)]
                head = f'--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n\r\n'
                self.wfile.write(head.encode() + image + b'\r\n')
                time.sleep(1 / RATE_HZ)

        def _stream(self) -> None:
            self._begin('video/mp2t')
            for begin, end in zip([0, *ends], ends, strict=False):
                self.wfile.write(stream[begin:end])
                time.sleep(1 / RATE_HZ)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f'http://127.0.0.1:{server.server_port}'
    finally:
        server.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--gstreamer-python', default='/usr/bin/python3')
    parser.add_argument('--company', default='', help='a sentence on what else ran on the machine')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, stream, changing = folder / 'clip.mp4', folder / 'clip.ts', folder / 'changing.ts'
        clip(options.data, file, 'mp4')
        ends = clip(options.data, stream, 'mpegts')
        joined(options.data, changing)
        result: dict[str, Any] = {'read_s': READ_S, 'killed_after_s': KILLED_S, 'away_s': AWAY_S}
        result['rtsp'] = by_rtsp(options.gstreamer_python, file, folder)
        with by_http(file, stream.read_bytes(), ends, jpegs(options.data)) as address:
            result['http'] = {
                'file': streamed(f'{address}/clip.mp4', folder / 'file'),
                'motion_jpeg': streamed(f'{address}/camera', folder / 'camera'),
                'transport_stream': streamed(f'{address}/stream', folder / 'stream'),
            }
        with changing.open('rb') as content:
            result['standard_input_changing_size'] = streamed('-', folder / 'changing', stdin=content)
    load = round(os.getloadavg()[0], 1)
    result |= {'load_average': load, 'cores': os.cpu_count(), 'company': options.company, 'versions': versions()}
    write_atomically(RESULT, json_file(result))
    sys.stdout.write(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    main()
