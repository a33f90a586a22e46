"""Photographs: one upright RGB picture, read by Pillow, and HEIC by libheif (pi-heif).

Limits hold on the declared size before any pixel is decoded, and on what a file of its length can hold. A photograph
that lacks rows is refused; one whose data look damaged is read, and says so.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from affekt.containers.gif_codes import doubt_in_gif
from affekt.containers.limits import Limits
from affekt.containers.source import Source
from affekt.containers.still_formats import states_turn
from affekt.errors import LimitError, MediaError, MissingExtraError
from affekt.media.probe import VideoStream
from affekt.media.still_checks import (
    behind_jpeg,
    behind_png,
    lost_in_jpeg,
    lost_in_png,
    refuse_bomb,
    zeros_at_the_end,
    zeros_in_jpeg,
    zeros_in_webp,
)

TURNS = {3: 180, 4: 180, 5: 270, 6: 270, 7: 90, 8: 90}
"""Exif orientation to the counter-clockwise turn that makes the picture upright."""
EXIF_TURN = 'the file states no turn of its own, so it is turned as its Exif data say'
EXIF_ORIENTATION, SUBFILE_TYPE, DNG_VERSION = 0x0112, 254, 50706
LARGEST_HEIF = 1 << 28
"""Bytes; libheif and libavif take the whole file into memory."""
STRIP = 256
"""Rows that are scaled to 8 bits at a time."""

CHECKS: dict[str, Callable[[Source], str]] = {'JPEG': lost_in_jpeg, 'PNG': lost_in_png}
"""What a file lacks, where its decoder does not say so."""
BEHIND: dict[str, Callable[[Source], int]] = {'JPEG': behind_jpeg, 'PNG': behind_png}
"""Bytes that follow a picture's own end."""
DOUBTS: dict[str, Callable[[Source], str]] = {
    'JPEG': zeros_in_jpeg,
    'WEBP': zeros_in_webp,
    'GIF': doubt_in_gif,
    'AVIF': zeros_at_the_end,
    'HEIF': zeros_at_the_end,
}
"""What looks like damage and is no proof."""


def describe_still(source: Source, kind: str, limits: Limits) -> tuple[VideoStream, tuple[str, ...]]:
    """The picture's declared size and remarks, without decoding it.

    Raises:
        MediaError: the header is damaged, or it is a camera's raw file.
        LimitError: more pixels declared than allowed, or than a file of its length can hold.
        MissingExtraError: a HEIC, and pi-heif is not installed.
    """
    with source.open(limits.max_stall_s) as file, warnings.catch_warnings(action='ignore'):
        # Pillow warns of what is refused or said here: its own ceiling of pixels, damaged tables
        image = _opened(file, source, kind, limits)
        width, height = image.size
        pictures = _pictures(image, source, kind)
        turn = TURNS.get(_orientation(image, source, kind), 0)
        mode = str(image.mode)
    upright = (height, width) if turn in (90, 270) else (width, height)
    remarks = []
    if pictures > 1 and kind == 'WEBP':
        remarks.append(
            f'an animation of {pictures} pictures, of which only the first is read; convert it to mp4 or GIF'
        )
    elif pictures > 1:
        remarks.append(f'it holds {pictures} pictures, and only the first is read')
    elif kind in BEHIND and (extra := BEHIND[kind](source)):
        remarks.append(f'not read: {extra:,} bytes follow the end of the picture, perhaps a film or another picture')
    if kind == 'HEIF' and turn:
        remarks.append(EXIF_TURN)
    stream = VideoStream(
        width=upright[0], height=upright[1], rate_hz=None, rotation_deg=turn, codec=kind.lower(),
        coded_width=width, coded_height=height, pixel_format=mode,
    )  # fmt: skip
    return stream, tuple(remarks)


def read_still(
    source: Source, kind: str, limits: Limits, max_side: int | None = None
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """(H, W, 3) RGB, upright, transparent parts on white; and sentences on what looks damaged in it.

    Raises:
        MediaError: damaged or cut short: nothing is filled in.
        LimitError: more pixels than allowed.
    """
    if lost := CHECKS.get(kind, _nothing)(source):
        raise _damaged(source, kind, lost)
    with source.open(limits.max_stall_s) as file, warnings.catch_warnings(action='ignore'):
        image = _opened(file, source, kind, limits)
        try:
            if max_side is not None and kind != 'HEIF':
                image.draft('RGB', (max_side, max_side))
            if kind == 'HEIF':
                orientation = _orientation(image, source, kind)
                image = image.to_pillow()
                image.getexif()[EXIF_ORIENTATION] = orientation
            else:
                image.load()
            ImageOps.exif_transpose(image, in_place=True)
            picture = _on_white(image)
        except Exception as error:
            if file.failure is not None:
                raise file.failure from error
            raise _damaged(source, kind, str(error)) from error
        if max_side is not None and max(picture.size) > max_side:
            picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    doubt = DOUBTS.get(kind, _nothing)(source)
    return np.array(picture, np.uint8), (doubt,) if doubt else ()


def _nothing(source: Source) -> str:
    return ''


def _opened(file: Any, source: Source, kind: str, limits: Limits) -> Any:
    """Pillow's or libheif's picture, its size within the limits, not yet decoded."""
    if kind in ('HEIF', 'AVIF') and source.size > LARGEST_HEIF:
        raise LimitError(
            expected=f'a {kind} picture of at most {LARGEST_HEIF >> 20} MiB', came=f'{source.size >> 20} MiB',
            todo='export it as JPEG or PNG first',
        )  # fmt: skip
    try:
        image = _opened_heif(file, source) if kind == 'HEIF' else _opened_by_pillow(file, kind)
    except Image.DecompressionBombError as error:
        raise LimitError(
            expected='a picture of a sane size', came=f'{source.name}: {error}', todo='scale it down first'
        ) from error
    except MissingExtraError:
        raise
    except Exception as error:
        if file.failure is not None:
            raise file.failure from error
        raise _damaged(source, kind, str(error)) from error
    width, height = image.size
    limits.check('max_pixels', width * height, f'a {width}x{height} picture in {source.name}')
    refuse_bomb(source, width * height)
    if kind == 'TIFF' and (image.tag_v2.get(SUBFILE_TYPE) == 1 or DNG_VERSION in image.tag_v2):
        raise MediaError(
            expected='a photograph',
            came=f"{source.name}, a camera's raw file: all but its preview is not read",
            todo='export it as JPEG or TIFF first',
        )
    return image


def _opened_by_pillow(file: Any, kind: str) -> Any:
    return Image.open(file, formats=['JPEG', 'MPO'] if kind == 'JPEG' else [kind])


def _opened_heif(file: Any, source: Source) -> Any:
    try:
        import pi_heif
    except ImportError as error:
        raise MissingExtraError(
            expected='pi-heif, which reads HEIC photographs', came=f'{source.name}, and no {error.name}',
            todo='install it (pip install pi-heif), or export the photograph as JPEG',
        ) from error  # fmt: skip
    images = pi_heif.open_heif(file, convert_hdr_to_8bit=True)
    image = images[images.primary_index]
    image.n_frames = len(images)
    return image


def _pictures(image: Any, source: Source, kind: str) -> int:
    try:
        return int(getattr(image, 'n_frames', 1))
    except Exception as error:
        raise _damaged(source, kind, f'the chain of its pictures is broken ({error})') from error


def _on_white(image: Any) -> Any:
    if image.mode in {'I;16', 'I;16B', 'I;16L', 'I', 'F'}:
        return _eight_bits(image).convert('RGB')
    if image.mode in {'RGBA', 'LA', 'PA'} or 'transparency' in image.info:
        seen = image if image.mode == 'RGBA' else image.convert('RGBA')
        white = Image.new('RGB', seen.size, (255, 255, 255))
        white.paste(seen, mask=seen.getchannel('A'))
        return white
    return image if image.mode == 'RGB' else image.convert('RGB')


def _eight_bits(image: Any) -> Any:
    """A grey picture of 16 or 32 bits as one of 8, a few rows at a time."""
    deep = np.asarray(image)
    top = 255.0 if image.mode == 'F' and deep.max(initial=0) <= 255 else 65535.0
    grey = np.empty(deep.shape, np.uint8)
    for row in range(0, len(deep), STRIP):
        grey[row : row + STRIP] = np.clip(deep[row : row + STRIP] / top * 255, 0, 255).round()
    return Image.fromarray(grey)


def _orientation(image: Any, source: Source, kind: str) -> int:
    """The Exif orientation that is left to follow, 1 to 8: readers turn a TIFF, and a HEIC that states its own turn."""
    if kind == 'TIFF' or (kind == 'HEIF' and states_turn(source)):
        return 1
    try:
        if kind == 'HEIF':
            exif = Image.Exif()
            exif.load(image.info.get('exif') or b'')
        else:
            exif = image.getexif()
        return int(exif.get(EXIF_ORIENTATION, 1))
    except Exception:
        return 1  # damaged Exif data says nothing about the picture


def _damaged(source: Source, kind: str, reason: str) -> MediaError:
    return MediaError(
        expected=f'a whole {kind} picture', came=f'{source.name}: {_plain(reason)}', todo='copy or export it again'
    )


def _plain(reason: str) -> str:
    """What a library says, without the names of objects in memory."""
    return re.sub(r'\s*<[^<>]* object at 0x[0-9a-f]+>', '', reason)[:120]
