"""Photographs: one upright RGB picture, read by Pillow.

Limits hold on the declared size before any pixel is decoded. A truncated or damaged photograph raises; an animated one
yields its first picture and says so.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from affekt.errors import MediaError
from affekt.media.limits import Limits
from affekt.media.probe import VideoStream
from affekt.media.source import Source

TURNS = {3: 180, 4: 180, 5: 270, 6: 270, 7: 90, 8: 90}
"""Exif orientation to the counter-clockwise turn that makes the picture upright."""
EXIF_ORIENTATION = 0x0112


def describe_still(source: Source, kind: str, limits: Limits) -> tuple[VideoStream, tuple[str, ...]]:
    """The picture's declared size and remarks, without decoding it.

    Raises:
        MediaError: the header is damaged.
        LimitError: more pixels declared than allowed.
    """
    with source.open(limits.max_stall_s) as file:
        image = _opened(file, source, kind)
        width, height = image.size
        limits.check('max_pixels', width * height, f'a {width}x{height} picture in {source.name}')
        frames = int(getattr(image, 'n_frames', 1))
        turn = TURNS.get(_exif_orientation(image), 0)
        mode = str(image.mode)
    upright = (height, width) if turn in (90, 270) else (width, height)
    remarks = (f'animated: only the first of {frames} pictures is read',) if frames > 1 else ()
    stream = VideoStream(
        width=upright[0], height=upright[1], rate_hz=None, rotation_deg=turn, codec=kind.lower(),
        coded_width=width, coded_height=height, pixel_format=mode,
    )  # fmt: skip
    return stream, remarks


def read_still(source: Source, kind: str, limits: Limits, max_side: int | None = None) -> npt.NDArray[np.uint8]:
    """(H, W, 3) RGB, upright; transparent parts lie on white.

    Raises:
        MediaError: damaged or cut short.
        LimitError: more pixels than allowed.
    """
    with source.open(limits.max_stall_s) as file:
        image = _opened(file, source, kind)
        limits.check('max_pixels', image.width * image.height, f'a picture in {source.name}')
        try:
            if max_side is not None:
                image.draft('RGB', (max_side, max_side))
            image.load()
            upright = ImageOps.exif_transpose(image)
            picture = _on_white(upright)
        except Exception as error:
            if file.failure is not None:
                raise file.failure from error
            raise _damaged(source, kind, error) from error
        if max_side is not None and max(picture.size) > max_side:
            picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        return np.array(picture, np.uint8)


def _opened(file: Any, source: Source, kind: str) -> Any:
    try:
        with warnings.catch_warnings():
            # Pillow's own ceiling is a warning; ours is Limits.max_pixels, checked by the caller
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            return Image.open(file, formats=[kind])
    except Image.DecompressionBombError as error:
        from affekt.errors import LimitError

        raise LimitError(
            expected='a picture of a sane size', came=f'{source.name}: {error}', todo='scale it down first'
        ) from error
    except Exception as error:
        raise _damaged(source, kind, error) from error


def _on_white(image: Any) -> Any:
    if image.mode in {'I;16', 'I;16B', 'I;16L', 'I', 'F'}:
        deep = np.asarray(image, np.float64)
        top = 255.0 if image.mode == 'F' and deep.max(initial=0) <= 255 else 65535.0
        return Image.fromarray(np.clip(deep / top * 255, 0, 255).round().astype(np.uint8)).convert('RGB')
    if image.mode in {'RGBA', 'LA', 'PA'} or 'transparency' in image.info:
        seen = image.convert('RGBA')
        white = Image.new('RGBA', seen.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, seen).convert('RGB')
    return image.convert('RGB')


def _exif_orientation(image: Any) -> int:
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:
        return 1  # damaged Exif data says nothing about the picture


def _damaged(source: Source, kind: str, error: Exception) -> MediaError:
    return MediaError(
        expected=f'a whole {kind} picture', came=f'{source.name}: {str(error)[:120]}', todo='copy or export it again'
    )
