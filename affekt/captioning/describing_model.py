"""A describer in this process as the model for audio or video, behind the same interface as a server's model.

The media of a question (audio, or a silent video) are written to files, encoded by the describer's own recipes,
and described. The describer uses its own question, the one it was trained with; the text of the question asked is the
clip's spoken words. Torch is imported when the first clip is described.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import LLMError, QuestionRefusedError, missing_extra
from affekt.llm import MediaForm, Part, Reply, Request, medium_of, parts_of
from affekt.runs import file_sha256
from affekt.weights import PACKAGED, is_small_describer

FORM = MediaForm('a describer in this process', video=('video_url',))
"""Video as one silent part, audio as another: a describer receives what a server would receive."""
SETTINGS, CHECKPOINT = 'describer.json', '.pth'
NEEDED = {'audio': ('audio', 'hears'), 'visual': ('video', 'sees')}
"""Step to the modality that its recipes need, and the verb of an error."""
_IMAGES_HZ = 4.0
"""Frames per second of the video that is made of several images."""


def describer_at(where: str) -> Path | None:
    """The folder or checkpoint of a describer named by a text; None if it names none.

    A describer is a folder with `describer.json`, the folder of the run that trained it, a `.pth` of AffectGPT, or
    `small` (a folder of that name is `./small`).
    """
    if is_small_describer(where):
        return PACKAGED / 'describer'
    path = Path(where)
    if path.is_file():
        return path if path.suffix.lower() == CHECKPOINT else None
    return next((folder for folder in (path, path / 'describer') if (folder / SETTINGS).is_file()), None)


def describer_name(where: str, trunk: str = '', recipes: Sequence[tuple[str, str]] = ()) -> str:
    """Name of a describer in the cache of answers: its own name, and a hash that distinguishes it from others.

    Args:
        where: a describer, as `describer_at` takes it.
        trunk, recipes: language model and recipes with which it is opened; its answers depend on both.
    """
    path = describer_at(where)
    assert path is not None
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    parts = [*((file.name, file_sha256(file)) for file in files), Path(trunk).name, *recipes]
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()
    name = path.parent.name if path.name == 'describer' and not is_small_describer(where) else Path(where).name
    return f'{name} {digest[:12]}'


class DescribingModel:
    """A describer with the interface of a language model.

    Args:
        where: a folder, a checkpoint, or `small`.
        model: name of the describer, under which answers are cached.
        trunk: language model of the describer, if its folder does not say.
        recipes: source and recipe of features, if its folder does not say.
    """

    def __init__(self, where: str, model: str, trunk: str = '', recipes: Sequence[tuple[str, str]] = ()) -> None:
        self.model = model
        self._opening = (where, trunk, tuple(recipes))
        self._guard = threading.Lock()

    def ask(self, request: Request) -> Reply:
        """The description of the media of a question.

        Raises:
            QuestionRefusedError: the clip has no media that the describer perceives; the message gives the reason.
            WeightsError, LLMError: the describer cannot be opened.
            MissingExtraError: torch or transformers is not installed.
        """
        parts = parts_of(request)
        words = ''.join(str(part['text']) for part in parts if part.get('type') == 'text')
        with self._guard, tempfile.TemporaryDirectory(prefix='affekt-') as folder:
            media = _write_media([part for part in parts if medium_of(part)], Path(folder))
            row = Sample('clip', text=words, video=media.get('video'), audio=media.get('audio'))
            ((_, description),) = _opened(*self._opening).describe(Manifest(Facts('asked', root=''), [row]), [row])
        if description.failure:
            raise QuestionRefusedError(
                expected='a clip that the describer perceives', came=description.failure, todo='leave it out'
            )
        text = description.answer.text or description.raw
        return Reply(text, self.model, 'length' if description.finish == 'length' else 'stop')

    def require(self, step: str) -> None:
        """Require that the describer perceives the media of a step.

        Raises:
            LLMError: it does not perceive them.
        """
        modality, verb = NEEDED[step]
        recipes: Mapping[str, Any] = _opened(*self._opening).reader.form.recipes
        if not any(recipe.modality == modality for recipe in recipes.values()):
            raise LLMError(
                expected=f'a describer that {verb}, for the {step} clue',
                came=f'{self._opening[0]}, whose sources are {", ".join(recipes) or "words alone"}',
                todo='give another describer, or the address of a server',
            )  # fmt: skip


@lru_cache(maxsize=2)
def _opened(where: str, trunk: str, recipes: tuple[tuple[str, str], ...]) -> Any:
    """The describer, opened once for all steps and clips."""
    try:
        from affekt.description import open_clip_describer
    except ImportError as error:
        raise missing_extra('torch and transformers, which describers need', 'torch,llm', came=str(error)) from error
    return open_clip_describer(where, trunk=trunk or None, recipes=dict(recipes), asr='none')


def _write_media(parts: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, str]:
    """Write the media of a question to files; returns column of a manifest to path."""
    columns: dict[str, str] = {}
    images = [part for part in parts if medium_of(part) == 'image']
    for part in parts:
        if (medium := medium_of(part)) == 'audio':
            columns['audio'] = _write_file(folder / 'clip.wav', _content(part))
        elif medium == 'video':
            columns['video'] = _write_file(folder / 'clip.mp4', _content(part))
    if len(images) == 1:
        columns['video'] = _write_file(folder / 'clip.jpg', _content(images[0]))
    elif images:
        columns['video'] = str(_video_of(images, folder / 'clip.mp4'))
    return columns


def _write_file(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def _content(part: Mapping[str, Any]) -> bytes:
    """The bytes of a medium in a part from `affekt.llm.forms`."""
    medium = part[str(part['type'])]
    text = medium['data'] if 'data' in medium else str(medium['url']).partition(',')[2]
    return base64.b64decode(text)


def _video_of(parts: Sequence[Part | Mapping[str, Any]], path: Path) -> Path:
    from PIL import Image

    from affekt.media import write_video

    images = [np.asarray(Image.open(io.BytesIO(_content(part))).convert('RGB')) for part in parts]
    height, width = (min(image.shape[axis] for image in images) // 2 * 2 for axis in (0, 1))
    return write_video(path, [image[:height, :width] for image in images], _IMAGES_HZ)
