"""Small media files with known content: one of every container, codec and format of pictures that affekt reads."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import av
import numpy as np
from PIL import Image

from affekt.media.synthetic import clicks, numbered_image, numbered_images, tone
from affekt.media.writing import PictureStyle, SoundStyle, write_audio, write_image, write_video

LENGTH_S = 2.0
RATE_HZ = 20
SOUND_RATE_HZ = 16_000
PICTURES = int(LENGTH_S * RATE_HZ)
ROOT = Path(__file__).resolve().parents[1]


def make_seeds(folder: Path) -> list[Path]:
    """Two seconds of numbered pictures and clicks over a tone in every container, and photographs; made once a folder.

    Raises:
        RuntimeError: the folder holds only some of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    finished = folder / 'names.txt'
    if not finished.exists():
        made = [*_films(folder), *_sounds(folder), *_streams(folder), *_plain_sounds(folder), *_photographs(folder)]
        finished.write_text('\n'.join(path.name for path in made))
    return [folder / name for name in finished.read_text().split('\n')]


def _sound() -> np.ndarray:
    return clicks(LENGTH_S, [0.3, 1.1, 1.7]) + tone(LENGTH_S, loudness=0.1)


def _films(folder: Path) -> list[Path]:
    made = []
    short_gop = PictureStyle(options={'g': '10'})
    for name, style, codec in (
        ('h264_aac.mp4', short_gop, None),
        ('mpeg4_pcm.mov', PictureStyle('mpeg4'), 'pcm_s16le'),
        ('h264_flac.mkv', short_gop, 'flac'),
        ('vp8_opus.webm', PictureStyle(), None),
        ('mpeg4_pcm.avi', PictureStyle(), None),
        ('mjpeg_mp3.mkv', PictureStyle('mjpeg', 'yuvj420p'), 'libmp3lame'),
    ):
        images = numbered_images(PICTURES, 96, 72)
        made.append(write_video(folder / name, images, RATE_HZ, _sound(), picture=style, sound=SoundStyle(codec=codec)))
    return made


def _sounds(folder: Path) -> list[Path]:
    return [
        write_audio(folder / name, _sound(), SOUND_RATE_HZ, SoundStyle(codec=codec))
        for name, codec in (
            ('pcm.wav', None), ('float.wav', 'pcm_f32le'), ('lame.mp3', None), ('plain.flac', None),
            ('aac.m4a', None), ('opus.ogg', None),
        )
    ]  # fmt: skip


def _streams(folder: Path) -> list[Path]:
    """The same streams in containers of fragments, of live recordings, of broadcasts; pictures with Exif in a film."""
    film, web, avi = folder / 'h264_aac.mp4', folder / 'vp8_opus.webm', folder / 'mpeg4_pcm.avi'
    style = PictureStyle('mjpeg', 'yuvj420p')
    plain = write_video(folder / 'plain.avi', numbered_images(PICTURES, 96, 72), RATE_HZ, picture=style)
    fragments = {'movflags': 'empty_moov+default_base_moof', 'frag_duration': '390000'}
    live = {'live': '1', 'cluster_time_limit': '400'}
    return [
        remux(film, folder / 'fragments.mp4', 'mp4', fragments),
        remux(web, folder / 'live.webm', 'webm', live),
        remux(web, folder / 'clusters.webm', 'webm', {'cluster_time_limit': '400'}),
        remux(film, folder / 'broadcast.ts', 'mpegts'),
        remux(film, folder / 'flash.flv', 'flv'),
        remux(avi, folder / 'windows.wmv', 'asf'),
        remux(folder / 'aac.m4a', folder / 'adts.aac', 'adts'),
        remux(plain, folder / 'exif.avi', 'avi', change=with_exif),
    ]


def remux(
    origin: Path,
    path: Path,
    container: str,
    options: dict[str, str] | None = None,
    change: Callable[[bytes], bytes] | None = None,
) -> Path:
    """The streams of `origin` in another container; `change` makes new bytes of each coded picture."""
    with av.open(str(origin)) as source, av.open(str(path), 'w', format=container, options=options or {}) as target:
        copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            is_picture = packet.stream.type == 'video'
            if not packet.duration:
                packet.duration = round(1 / RATE_HZ / packet.time_base)
            if is_picture and change is not None:
                changed = av.Packet(change(bytes(packet)))
                changed.pts, changed.dts, changed.duration = packet.pts, packet.dts, packet.duration
                changed.time_base, changed.is_keyframe = packet.time_base, packet.is_keyframe
                changed.stream = copies[packet.stream.index]
                target.mux(changed)
                continue
            packet.stream = copies[packet.stream.index]
            target.mux(packet)
    return path


def with_exif(picture: bytes) -> bytes:
    """A JPEG with an Exif segment right behind its start."""
    exif = Image.Exif()
    exif[0x0112] = 1
    segment = exif.tobytes()
    return picture[:2] + b'\xff\xe1' + struct.pack('>H', len(segment) + 2) + segment + picture[2:]


def _plain_sounds(folder: Path) -> list[Path]:
    made = []
    samples = np.round(np.clip(_sound(), -1, 1)[None] * 32767).astype(np.int16)
    for name, codec, container, options in (
        ('pcm.aiff', 'pcm_s16be', 'aiff', {}),
        ('pcm.caf', 'pcm_s16be', 'caf', {}),
        ('pcm.w64', 'pcm_s16le', 'w64', {}),
        ('rf64.wav', 'pcm_s16le', 'wav', {'rf64': 'always'}),
    ):
        with av.open(str(folder / name), 'w', format=container, options=options) as target:
            stream = target.add_stream(codec, rate=SOUND_RATE_HZ, layout='mono')
            frame = av.AudioFrame.from_ndarray(samples, format='s16', layout='mono')
            frame.sample_rate = SOUND_RATE_HZ
            target.mux(stream.encode(frame))
            target.mux(stream.encode(None))
        made.append(folder / name)
    return made


def _photographs(folder: Path) -> list[Path]:
    image = numbered_image(4711, 96, 72)
    made = [write_image(folder / name, image) for name in ('photo.jpg', 'photo.png', 'photo.webp', 'photo.bmp')]
    for name in ('photo.tif', 'photo.gif', 'photo.avif'):
        Image.fromarray(image).save(folder / name)
        made.append(folder / name)
    moving = [Image.fromarray(picture) for picture in numbered_images(10, 96, 72)]
    moving[0].save(folder / 'moving.gif', save_all=True, append_images=moving[1:], duration=100, loop=0)
    (folder / 'exif.jpg').write_bytes(with_exif((folder / 'photo.jpg').read_bytes()))
    heif = _heif_writer()
    for name, tile in (('photo.heic', None), ('tiles.heic', 48)):
        heif.write_heic(folder / name, image, tile=tile)
        made.append(folder / name)
    return [*made, folder / 'moving.gif', folder / 'exif.jpg']


def _heif_writer() -> ModuleType:
    """The writer of HEIC that the tests have."""
    spec = importlib.util.spec_from_file_location('heif_files', ROOT / 'tests' / 'media' / 'heif_files.py')
    if spec is None or spec.loader is None:
        raise RuntimeError('tests/media/heif_files.py is missing')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
