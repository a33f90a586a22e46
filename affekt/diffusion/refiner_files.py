"""A personal refiner in a folder: its weights, and a card with its portrait and its gains.

    refiner.safetensors    the weights; absent if it did not help
    card.json              the portrait's hash, the video, settings, scores on held-out frames before and after
    portrait.png           the first frame of the video, the only portrait that it corrects

A folder whose card says that it did not help is refused.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from affekt.diffusion.refiner import Refinement, Refiner, RefinerSettings
from affekt.errors import WeightsError
from affekt.files import file_sha256
from affekt.metrics import Interval
from affekt.nn import built, read_tensors, save_tensors
from affekt.runs import read_regular_file, versions, write_atomically
from affekt.typed_json import typed

WEIGHTS, CARD, PORTRAIT_FILE = 'refiner.safetensors', 'card.json', 'portrait.png'
REFINER_FILES = (WEIGHTS, CARD, PORTRAIT_FILE)
"""Names of the files of a refiner."""
FORM = 1
"""Format version of a card."""


@dataclass(frozen=True)
class RefinerCard:
    """The record of a refiner.

    Attributes:
        portrait_sha256: SHA-256 of the file of the portrait that it corrects.
        video: name and SHA-256 of its training video.
        size: side of the square that it reads, in pixels.
        depth: nearest and farthest depth of its maps, in pixels of that square.
        settings: settings of training and evaluation.
        judged: number of held-out frames, scores `before` and `after` on them, and gains with intervals.
        is_kept: whether both scores rise there, with intervals above 0.
        weights_sha256: SHA-256 of the file of weights; '' if there is none.
    """

    portrait_sha256: str
    video: tuple[str, str]
    size: int
    depth: tuple[float, float]
    settings: RefinerSettings
    judged: Mapping[str, Any]
    is_kept: bool
    weights_sha256: str


def judged_in_numbers(refinement: Refinement) -> dict[str, Any]:
    """The gains of a refiner, as a card stores them."""
    names = ('psnr_db', 'ssim')
    return {
        'frames': refinement.frames,
        'before': dict(zip(names, refinement.before, strict=True)),
        'after': dict(zip(names, refinement.after, strict=True)),
        'psnr_gain_db': _interval(refinement.psnr_gain_db),
        'ssim_gain': _interval(refinement.ssim_gain),
    }


def _interval(interval: Interval) -> dict[str, float | None]:
    """Value and bounds of an interval; None if they are not finite, as with too few blocks."""
    numbers = {'value': interval.value, 'low': interval.low, 'high': interval.high}
    return {name: number if math.isfinite(number) else None for name, number in numbers.items()}


def save_refiner(
    folder: str | os.PathLike[str], refinement: Refinement, *, video: Path, size: int, depth: tuple[float, float],
    settings: RefinerSettings,
) -> RefinerCard:  # fmt: skip
    """Write the card of a refiner beside its portrait, and its weights if it helps.

    Older weights are removed.

    Args:
        folder: a folder with the portrait in it.
        refinement: the refiner and its gains.
        video: its training video.
        size: see `RefinerCard`.
        depth: see `RefinerCard`.
        settings: see `RefinerCard`.

    Raises:
        StorageError: it cannot be written.
    """
    root = Path(folder)
    (root / CARD).unlink(missing_ok=True)  # a card must never be beside weights of another refiner
    (root / WEIGHTS).unlink(missing_ok=True)
    if refinement.is_kept:
        save_tensors(root / WEIGHTS, refinement.refiner.state_dict())
    card = RefinerCard(
        file_sha256(root / PORTRAIT_FILE), (video.name, file_sha256(video)), size, depth, settings,
        judged_in_numbers(refinement), refinement.is_kept,
        file_sha256(root / WEIGHTS) if refinement.is_kept else '',
    )  # fmt: skip
    content = {'form': FORM, **asdict(card), 'versions': versions()}
    write_atomically(root / CARD, (json.dumps(content, indent=2, allow_nan=False) + '\n').encode())
    return card


def read_refiner_card(folder: str | os.PathLike[str]) -> RefinerCard:
    """The card of a refiner that helps.

    Raises:
        WeightsError: there is no card, it is damaged, it says that the refiner did not help, or the weights are missing
            or different.
    """
    root = Path(folder)
    try:
        content: Any = json.loads(read_regular_file(root / CARD))
        if content['form'] != FORM:
            raise ValueError(f'form {content["form"]}')
        name, digest = content['video']
        near, far = map(float, content['depth'])
        card = RefinerCard(
            str(content['portrait_sha256']), (str(name), str(digest)), int(content['size']),
            (near, far), typed(RefinerSettings, content['settings']), dict(content['judged']),
            content['is_kept'] is True, str(content['weights_sha256']),
        )  # fmt: skip
        if card.size < 1 or not math.isfinite(far - near):
            raise ValueError(f'a square of {card.size} pixels, depth from {near} to {far}')
    except (OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(
            expected='a folder that `affekt reenact train-refiner` wrote', came=f'{root}: {str(error)[:200]}',
            todo='give that folder',
        ) from error  # fmt: skip
    if not card.is_kept:
        raise WeightsError(
            expected='a refiner that helps on frames that it did not learn from',
            came=f'{root}, whose card says that it does not', todo='draw without it, or train one on another video',
        )  # fmt: skip
    if not (root / WEIGHTS).is_file() or file_sha256(root / WEIGHTS) != card.weights_sha256:
        raise WeightsError(
            expected=f'{WEIGHTS} as the card of {root} has it', came='another one, or none', todo='copy it again'
        )
    return card


def read_refiner(folder: str | os.PathLike[str]) -> tuple[Refiner, RefinerCard]:
    """A refiner that helps, and its card.

    Raises:
        WeightsError: see `read_refiner_card`; or a tensor is absent, unknown, or of another shape.
    """
    card = read_refiner_card(folder)
    state = read_tensors(Path(folder) / WEIGHTS)[0]
    try:
        refiner, _ = built(lambda: Refiner(card.settings.width), state, {})
    except (RuntimeError, TypeError) as error:  # more numbers than torch can count
        raise WeightsError(
            expected=f'{WEIGHTS} as the card of {folder} has it', came=f'a width of {card.settings.width}',
            todo='copy both files again',
        ) from error  # fmt: skip
    return refiner.eval().requires_grad_(requires_grad=False), card
