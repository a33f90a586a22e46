"""Photographs as upright RGB arrays, read by Pillow, and HEIC by libheif (pi-heif).

Limits are checked on the declared size before any pixel is decoded, also relative to the size of the file. A photograph
with missing rows is refused; one with suspicious data is read, with a note.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from affekt.containers import Limits, Source
from affekt.containers.animations import doubt_in_gif
from affekt.containers.still_formats import states_turn
from affekt.errors import LimitError, MediaError, MissingExtraError
from affekt.media.pictures import UPRIGHT, Orientation
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
from affekt.media.still_memory import check_memory

ORIENTATIONS = {
    2: Orientation(mirrors_x=True),
    3: Orientation(mirrors_x=True, mirrors_y=True),
    4: Orientation(mirrors_y=True),
    5: Orientation(swaps_axes=True),
    6: Orientation(swaps_axes=True, mirrors_x=True),
    7: Orientation(swaps_axes=True, mirrors_x=True, mirrors_y=True),
    8: Orientation(swaps_axes=True, mirrors_y=True),
}
"""Exif orientation to the operation that makes the image upright."""
EXIF_TURN = 'the file states no rotation of its own, so it is rotated by its Exif data'
EXIF_ORIENTATION, SUBFILE_TYPE, DNG_VERSION = 0x0112, 254, 50706
LARGEST_HEIF = 1 << 27
"""Largest file in bytes; libheif and libavif read the whole file into memory."""
REDUCING_GAP = 2.0
"""An image is reduced to no less than this multiple of the requested size before it is resampled."""
STRIP_PIXELS = 1 << 20
"""Pixels converted at a time, so that only the decoded image and the result are in memory."""

CHECKS: dict[str, Callable[[Source], str]] = {'JPEG': lost_in_jpeg, 'PNG': lost_in_png}
"""Image format to the check for missing data, where its decoder does not report them."""
BEHIND: dict[str, Callable[[Source], int]] = {'JPEG': behind_jpeg, 'PNG': behind_png}
"""Image format to the number of bytes after the end of the image."""
DOUBTS: dict[str, Callable[[Source], str]] = {
    'JPEG': zeros_in_jpeg,
    'WEBP': zeros_in_webp,
    'GIF': doubt_in_gif,
    'AVIF': zeros_at_the_end,
    'HEIF': zeros_at_the_end,
}
"""Image format to the check for signs of damage that are no proof."""


def describe_still(source: Source, image_format: str, limits: Limits) -> tuple[VideoStream, tuple[str, ...]]:
    """Declared size of the image, and remarks, without decoding it.

    Raises:
        MediaError: the header is damaged, or the file is a camera's raw file.
        LimitError: the image has more pixels than allowed, or than a file of its size can hold.
        MissingExtraError: the file is a HEIC, and pi-heif is not installed.
    """
    with source.open(limits.max_stall_s) as file, warnings.catch_warnings(action='ignore'):
        # Pillow warns of what is refused or reported here: its own pixel limit, damaged tables
        image = _opened(file, source, image_format, limits)
        width, height = image.size
        image_count = _image_count(image, source, image_format)
        rotation_deg = ORIENTATIONS.get(_orientation(image, source, image_format), UPRIGHT).rotation_deg
        mode = str(image.mode)
    upright = (height, width) if rotation_deg in (90, 270) else (width, height)
    remarks = []
    if image_count > 1 and image_format == 'WEBP':
        remarks.append(
            f'an animation of {image_count} images, of which only the first is read; convert it to mp4 or GIF'
        )
    elif image_count > 1:
        remarks.append(f'it holds {image_count} images, and only the first is read')
    elif image_format in BEHIND and (trailing_bytes := BEHIND[image_format](source)):
        remarks.append(
            f'not read: {trailing_bytes:,} bytes follow the end of the image, perhaps a video or another image'
        )
    if image_format == 'HEIF' and rotation_deg:
        remarks.append(EXIF_TURN)
    stream = VideoStream(
        width=upright[0], height=upright[1], rate_hz=None, rotation_deg=rotation_deg, codec=image_format.lower(),
        coded_width=width, coded_height=height, pixel_format=mode,
    )  # fmt: skip
    return stream, tuple(remarks)


def read_still(
    source: Source, image_format: str, limits: Limits, max_side: int | None = None
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """(H, W, 3) RGB, upright, with transparent parts on white, and sentences on signs of damage.

    Raises:
        MediaError: the file is damaged or cut short; missing parts are never filled in.
        LimitError: the image has more pixels than allowed.
    """
    if missing := CHECKS.get(image_format, _no_finding)(source):
        raise _damaged(source, image_format, missing)
    with source.open(limits.max_stall_s) as file, warnings.catch_warnings(action='ignore'):
        image = _opened(file, source, image_format, limits)
        try:
            if max_side is not None and image_format != 'HEIF':
                image.draft('RGB', (max_side, max_side))
            orientation = ORIENTATIONS.get(_orientation(image, source, image_format), UPRIGHT)
            pixels = _upright(image, orientation, image_format, max_side)
        except Exception as error:
            if file.failure is not None:
                raise file.failure from error
            raise _damaged(source, image_format, str(error)) from error
    suspicion = DOUBTS.get(image_format, _no_finding)(source)
    return pixels, (suspicion,) if suspicion else ()


def _upright(image: Any, orientation: Orientation, image_format: str, max_side: int | None) -> npt.NDArray[np.uint8]:
    """(H, W, 3) RGB, converted in strips, so that the whole image is never copied.

    A smaller image is reduced by a whole factor in the strips and then resampled to its size, like Pillow's
    `thumbnail`.
    """
    if image_format != 'HEIF':
        image.load()
    if hasattr(image, '_decoder'):
        image._decoder = None  # the decoders of WebP and AVIF keep one or two images in memory
    (width, height), target_size = image.size, _target_size(image.size, max_side)
    factor_x, factor_y = (
        max(1, int(side / target_side / REDUCING_GAP))
        for side, target_side in zip(image.size, target_size, strict=True)
    )
    shape = (-(-height // factor_y), -(-width // factor_x), 3)
    is_shrunk = target_size != image.size
    if is_shrunk:
        target = np.empty(shape, np.uint8)
    else:
        upright = np.empty((shape[1], shape[0], 3) if orientation.swaps_axes else shape, np.uint8)
        target = orientation.as_coded(upright)
    row = 0
    for strip in _strips(image, image_format, max(1, STRIP_PIXELS // width // factor_y) * factor_y):
        rows = np.asarray(strip.reduce((factor_x, factor_y)) if factor_x * factor_y > 1 else strip)
        target[row : row + len(rows)] = rows
        row += len(rows)
    if not is_shrunk:
        return upright
    box = (0, 0, width / factor_x, height / factor_y)
    smaller = Image.fromarray(target).resize(target_size, Image.Resampling.LANCZOS, box=box)
    return orientation.apply(np.array(smaller, np.uint8))


def _strips(image: Any, image_format: str, rows: int) -> Iterator[Any]:
    """Strips of this number of rows as RGB, from top to bottom."""
    coded = np.asarray(image) if image_format == 'HEIF' else None
    width, height = image.size
    brightest = image.getextrema()[1] if image.mode == 'F' else 65535.0
    for top in range(0, height, rows):
        end = min(top + rows, height)
        strip = image.crop((0, top, width, end)) if coded is None else Image.fromarray(coded[top:end])
        yield _on_white(strip, 255.0 if brightest <= 255 else 65535.0)


def _target_size(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """(W, H) with a longer side of at most `max_side` and the same proportions."""
    if max_side is None or max(size) <= max_side:
        return size
    width, height = (max(1, int(side * max_side / max(size) + 0.5)) for side in size)
    return width, height


def _no_finding(source: Source) -> str:
    return ''


def _opened(file: Any, source: Source, image_format: str, limits: Limits) -> Any:
    """The image as Pillow or libheif opens it, within the size limits, not yet decoded."""
    if image_format in ('HEIF', 'AVIF') and source.size > LARGEST_HEIF:
        raise LimitError(
            expected=f'a {image_format} image of at most {LARGEST_HEIF >> 20} MiB', came=f'{source.size >> 20} MiB',
            todo='export it as JPEG or PNG first',
        )  # fmt: skip
    try:
        image = _opened_heif(file, source) if image_format == 'HEIF' else _opened_by_pillow(file, image_format)
    except Image.DecompressionBombError as error:
        raise LimitError(
            expected='an image of a plausible size', came=f'{source.name}: {error}', todo='scale it down first'
        ) from error
    except MissingExtraError:
        raise
    except Exception as error:
        if file.failure is not None:
            raise file.failure from error
        raise _damaged(source, image_format, str(error)) from error
    width, height = image.size
    limits.check('max_pixels', width * height, f'a {width}x{height} image in {source.name}')
    limits.check('max_side', max(width, height), f'the longer side of {source.name}')
    refuse_bomb(source, width * height)
    check_memory(image, source, image_format, limits)
    if image_format == 'TIFF' and (image.tag_v2.get(SUBFILE_TYPE) == 1 or DNG_VERSION in image.tag_v2):
        raise MediaError(
            expected='a photograph',
            came=f"{source.name}, a camera's raw file: all but its preview is not read",
            todo='export it as JPEG or TIFF first',
        )
    return image


def _opened_by_pillow(file: Any, image_format: str) -> Any:
    return Image.open(file, formats=['JPEG', 'MPO'] if image_format == 'JPEG' else [image_format])


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


def _image_count(image: Any, source: Source, image_format: str) -> int:
    try:
        return int(getattr(image, 'n_frames', 1))
    except Exception as error:
        raise _damaged(source, image_format, f'the chain of its images is broken ({error})') from error


def _on_white(image: Any, brightest: float) -> Any:
    """8-bit RGB with transparent parts on white; `brightest` is the white of a grey image of more than 8 bits."""
    if image.mode in {'I;16', 'I;16B', 'I;16L', 'I', 'F'}:
        grey = np.nan_to_num(np.asarray(image), nan=0.0) / np.float32(brightest)
        return Image.fromarray(np.clip(grey * 255, 0, 255).round().astype(np.uint8)).convert('RGB')
    if image.mode in {'RGBA', 'LA', 'PA'} or 'transparency' in image.info:
        rgba = image if image.mode == 'RGBA' else image.convert('RGBA')
        white = Image.new('RGB', rgba.size, (255, 255, 255))
        white.paste(rgba, mask=rgba.getchannel('A'))
        return white
    return image if image.mode == 'RGB' else image.convert('RGB')


def _orientation(image: Any, source: Source, image_format: str) -> int:
    """The remaining Exif orientation, 1 to 8: libraries already rotate a TIFF, and a HEIC with its own rotation."""
    if image_format == 'TIFF' or (image_format == 'HEIF' and states_turn(source)):
        return 1
    try:
        if image_format == 'HEIF':
            exif = Image.Exif()
            exif.load(image.info.get('exif') or b'')
        else:
            exif = image.getexif()
        return int(exif.get(EXIF_ORIENTATION, 1))
    except Exception:
        return 1  # damaged Exif data do not mean a damaged image


def _damaged(source: Source, image_format: str, reason: str) -> MediaError:
    return MediaError(
        expected=f'a whole {image_format} image',
        came=f'{source.name}: {_plain(reason)}',
        todo='copy or export it again',
    )


def _plain(reason: str) -> str:
    """An error message of a library without addresses of objects in memory."""
    return re.sub(r'\s*<[^<>]* object at 0x[0-9a-f]+>', '', reason)[:120]
