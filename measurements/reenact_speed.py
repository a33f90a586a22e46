"""What a moved portrait costs, and whether the engine keeps its promises.

    python measurements/reenact_speed.py --data DIR [--minutes M] [--out FILE]

Figures are CPU seconds of this process, which other work on the machine does not slow, but for `on_the_clock`.
`end_to_end` reads, follows, draws at 512 x 512, encodes and signs a real video; `frames_per_second_on_two_cores` is
what two idle cores would give at that cost, with the slowest thread as the other bound. Promises: a calm frame gives
the portrait back, borders stay, a face that drives itself lies where it was. With `--minutes`, a driver of that length
is made by repeating a video, and only memory is looked at, minute by minute of the driver.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

for name in ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS'):
    os.environ[name] = '1'

import av  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from affekt.faces import FaceLandmarker, Region  # noqa: E402
from affekt.media import Recording  # noqa: E402
from affekt.provenance import Consent  # noqa: E402
from affekt.reenactment import (  # noqa: E402
    ByVideo,
    Engine,
    Motion,
    MotionFrame,
    Portrait,
    motion_of_video,
    portrait_range,
    reenact_to,
    transfer,
    write_reenactment,
)
from affekt.typed_json import json_file  # noqa: E402

RESULTS = Path(__file__).resolve().parent / 'results' / 'reenact_speed.json'
SIDE = 512
EYES = (33, 263)
STABLE = 468


def cpu_ms(job: Callable[[], Any], count: int) -> float:
    """CPU milliseconds of one of `count` steps that the job does."""
    begun = time.process_time()
    job()
    return round(1000 * (time.process_time() - begun) / count, 2)


def parts(video: Path, engine: Engine, networks: FaceLandmarker) -> dict[str, float]:
    """CPU milliseconds a frame of each thread's work, alone."""
    images = [frame.image for frame in Recording.open(video).frames()]
    count = len(images)
    frames: list[MotionFrame] = []

    def follow() -> None:
        frames.extend(transfer(motion_of_video(video, landmarker=networks), portrait_range(engine.portrait)))

    decoding = cpu_ms(lambda: [None for _ in Recording.open(video).frames()], count)
    following = cpu_ms(follow, count)
    drawing = cpu_ms(lambda: [engine.picture(frame) for frame in frames], count)

    class Ready:
        """Gives pictures that were drawn before."""

        threads = 1

        def picture(self, frame: MotionFrame) -> np.ndarray:
            return images[round(frame.time_s * 25) % count]

        def shows_driver(self, frame: MotionFrame) -> bool:
            return False

    with tempfile.TemporaryDirectory() as folder:
        still = Motion((MotionFrame(number / 25) for number in range(count)), 25.0)
        encoding = cpu_ms(lambda: write_reenactment(Path(folder) / 'a.mp4', Ready(), still, depends_on={}), count)
    return {
        'decode': decoding, 'decode_follow_transfer': following, 'draw': drawing, 'encode_join': encoding,
        'frames': count,
    }  # fmt: skip


def end_to_end(portrait: Path, video: Path, networks: FaceLandmarker, frames: int) -> dict[str, float]:
    """CPU milliseconds a frame of the whole, and the frame rate that two cores give at it."""
    with tempfile.TemporaryDirectory() as folder:
        consent = Consent('nobody')
        cost = cpu_ms(
            lambda: reenact_to(Path(folder) / 'a.mp4', portrait, ByVideo(video), consent=consent, landmarker=networks),
            frames,
        )
    return {'cpu_ms_a_frame': cost, 'frames_per_second_on_two_cores': round(2000 / cost, 1)}


def on_the_clock(portrait: Path, video: Path, networks: FaceLandmarker, rounds: int = 3) -> dict[str, Any]:
    """Frames per second by the clock, of the whole and round by round: of use on a machine that does nothing else."""
    rates = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            made = reenact_to(
                Path(folder) / 'a.mp4', portrait, ByVideo(video), consent=Consent('nobody'), landmarker=networks
            )
            rates.append(round(made.pictures / (time.perf_counter() - begun), 1))
    return {
        'frames': made.pictures,
        'frames_per_second': rates,
        'cores': os.cpu_count(),
        'load': round(os.getloadavg()[0], 1),
    }


def looped(video: Path, minutes: float, made: Path) -> Path:
    """A driver of so many minutes: pictures and sound of a video again and again, without encoding them anew."""
    turn_s, begins_s = Fraction(0), Fraction(0)
    with av.open(str(made), 'w') as target:
        streams: dict[int, Any] = {}
        while begins_s < 60 * minutes:
            with av.open(str(video)) as source:
                for packet in source.demux():
                    number = packet.stream.index
                    if number not in streams:
                        streams[number] = target.add_stream_from_template(packet.stream)
                    if packet.dts is None:
                        continue
                    turn_s = max(turn_s, (packet.pts + packet.duration) * packet.time_base)
                    later = round(begins_s / packet.time_base)
                    packet.pts, packet.dts, packet.stream = packet.pts + later, packet.dts + later, streams[number]
                    target.mux(packet)
            begins_s += turn_s
    return made


def memory(portrait: Path, video: Path, networks: FaceLandmarker, minutes: float) -> dict[str, Any]:
    """MiB of this process while a driver of so many minutes moves a portrait: the most within each minute of it."""
    by_minute: dict[int, float] = {}

    def looked_at(stage: str, done: int, total: int) -> None:
        minute = int((done - 1) / rate_hz / 60)
        by_minute[minute] = max(by_minute.get(minute, 0.0), resident())

    with tempfile.TemporaryDirectory() as folder:
        driver = looped(video, minutes, Path(folder) / 'driver.mp4')
        rate_hz = Recording.open(driver).video.rate_hz
        begun = time.perf_counter()
        made = reenact_to(
            Path(folder) / 'a.mp4', portrait, ByVideo(driver), consent=Consent('nobody'), landmarker=networks,
            progress=looked_at,
        )  # fmt: skip
        seconds = time.perf_counter() - begun
    whole = [by_minute[minute] for minute in sorted(by_minute)]
    return {
        'minutes': minutes, 'frames': made.pictures, 'seconds_of_driver': round(made.seconds, 1),
        'wall_s': round(seconds, 1), 'frames_per_second': round(made.pictures / seconds, 1),
        'most_resident_by_minute': whole, 'last_over_first': round(whole[-1] / whole[0], 4),
        'most': round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }  # fmt: skip


def resident() -> float:
    """MiB of this process."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return round(pages * os.sysconf('SC_PAGE_SIZE') / 2**20, 1)


def promises(engine: Engine, video: Path, networks: FaceLandmarker) -> dict[str, float]:
    """PSNR of a calm frame, the largest change of the border, and how well a face that drives itself lies."""
    portrait = engine.portrait
    calm = engine.picture(MotionFrame(0.0)).astype(np.float64)
    error = float(np.mean((calm - portrait.image) ** 2))
    border = 0
    frames = list(transfer(motion_of_video(video, landmarker=networks), portrait_range(portrait)))
    for frame in frames[::10]:
        change = np.abs(engine.picture(frame).astype(int) - portrait.image)
        border = max(border, int(max(change[0].max(), change[-1].max(), change[:, 0].max(), change[:, -1].max())))
    return {'calm_psnr_db': 120.0 if error == 0 else round(10 * np.log10(255**2 / error), 1), 'border_change': border}


def own_driver(video: Path, networks: FaceLandmarker) -> dict[str, float]:
    """Landmarks of a portrait that is the driver's own calm frame, against the driver's, over the eyes' distance."""
    shown = list(Recording.open(video).frames())
    motion = motion_of_video(video, landmarker=networks)
    frames = list(motion)
    calm = int(np.argmin([float(np.abs(frame.offsets).sum()) for frame in frames]))
    portrait = Portrait.from_picture(shown[calm].image, networks)
    engine = Engine(portrait)
    errors = []
    for number in range(0, len(frames), 4):
        truth = networks.read(shown[number].image, Region.from_landmarks(portrait.landmarks.astype(np.float32)))
        made = networks.read(
            engine.picture(frames[number]), Region.from_landmarks(portrait.landmarks.astype(np.float32))
        )
        if truth is None or made is None:
            continue
        apart = float(np.linalg.norm(truth.landmarks[EYES[0], :2] - truth.landmarks[EYES[1], :2]))
        way = np.linalg.norm(truth.landmarks[:STABLE, :2] - made.landmarks[:STABLE, :2], axis=1)
        errors.append(float(way.mean()) / apart)
    return {
        'median': round(float(np.median(errors)), 4), 'p95': round(float(np.quantile(errors, 0.95)), 4),
        'frames': len(errors),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--minutes', type=float, default=0.0)
    parser.add_argument('--out', type=Path, default=RESULTS)
    chosen = parser.parse_args()
    networks = FaceLandmarker()
    video = chosen.data / 'clips' / 'grid_id2_vcd_swwp2s.mpg'
    result: dict[str, Any] = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        portrait = Path(folder) / 'portrait.png'
        Image.open(chosen.data / 'media' / 'boy_cropped.jpg').convert('RGB').resize((SIDE, SIDE)).save(portrait)
        engine = Engine(Portrait.from_picture(portrait, networks))
        engine.picture(MotionFrame(0.0))
        if chosen.minutes:
            result['memory_mib'] = memory(portrait, chosen.data / 'media' / 'driving.mp4', networks, chosen.minutes)
        else:
            result['cpu_ms_a_frame'] = parts(video, engine, networks)
            frames = int(result['cpu_ms_a_frame']['frames'])
            result['end_to_end'] = end_to_end(portrait, video, networks, frames)
            slowest = max(result['cpu_ms_a_frame'][part] for part in ('decode_follow_transfer', 'draw', 'encode_join'))
            result['end_to_end']['frames_per_second_of_the_slowest_thread'] = round(1000 / slowest, 1)
            result['on_the_clock'] = on_the_clock(portrait, chosen.data / 'media' / 'driving.mp4', networks)
            result['promises'] = promises(engine, video, networks)
            result['own_driver'] = {
                name: own_driver(chosen.data / name, networks)
                for name in ('clips/grid_id2_vcd_swwp2s.mpg', 'test_media/single_face.mp4')
            }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_bytes(json_file(result))
    print(json.dumps(result, indent=2))


if __name__ == '__main__':
    main()
