"""The place of a step's model: the address of a server, or a folder or file opened in this process.

    place_of('http://localhost:8000/v1')                 # the one model that the server serves
    place_of('http://localhost:8000/v1#qwen2-audio')     # this one
    place_of('smollm2.gguf')                             # in this process; reads text only
    place_of('runs/fine')                                # a describer in this process; perceives audio or video

Places can be pickled, so that workers on other machines open them; keys come from the environment of the opening
process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from affekt.captioning.describing_model import FORM, DescribingModel, describer_at, describer_name
from affekt.errors import LLMError, listed
from affekt.llm import DEFAULT_SERVER, Chat, Endpoint, LocalModel, MediaForm, form_of
from affekt.weights import is_small_describer

KEY = 'AFFEKT_LLM_KEY'
"""Environment variable with the key of endpoints."""


@dataclass(frozen=True)
class Place:
    """Address or path of a model."""

    where: str
    """An http or https address, or a path."""
    model: str
    """The model's name on the server, under which its answers are cached."""
    server: str = DEFAULT_SERVER
    """Name of the server's media form, one of `affekt.llm.SERVERS`."""
    timeout_s: float = 120.0
    attempts: int = 6
    pause_s: float = 1.0
    trunk: str = ''
    """The language model of a describer, if its folder does not say."""
    recipes: tuple[tuple[str, str], ...] = ()
    """Source and recipe of a describer's features, if its folder does not say."""

    @property
    def is_describer(self) -> bool:
        """Whether it is a describer opened in this process."""
        return self.is_local and describer_at(self.where) is not None

    @property
    def is_local(self) -> bool:
        """Whether it is a file or folder."""
        return not is_address(self.where)

    def absolute(self) -> Place:
        """The place with absolute paths, for a process that starts in another folder."""
        if not self.is_local:
            return self
        parts = [(source, *recipe.partition('@')) for source, recipe in self.recipes]
        recipes = tuple((source, name + at + absolute_path(weights)) for source, name, at, weights in parts)
        where = self.where if is_small_describer(self.where) else absolute_path(self.where)
        return replace(self, where=where, trunk=absolute_path(self.trunk), recipes=recipes)

    @property
    def form(self) -> MediaForm:
        """The form in which its server accepts images, audio and video."""
        return FORM if self.is_describer else form_of(self.server)

    def open(self, servers: contextlib.ExitStack) -> Chat:
        """Open the model.

        Args:
            servers: closes the model on exit.

        Raises:
            LLMError: the file is missing, or the address is invalid.
        """
        if self.is_describer:
            return DescribingModel(self.where, self.model, self.trunk, self.recipes)
        if self.is_local:
            return LocalModel(Path(self.where), self.model)
        return servers.enter_context(
            Endpoint(
                self.where, self.model, server=self.server, api_key=os.environ.get(KEY) or None,
                timeout_s=self.timeout_s, attempts=self.attempts, pause_s=self.pause_s,
            )
        )  # fmt: skip


def absolute_path(text: str) -> str:
    """The absolute form of a path that exists, with symbolic links kept; any other text is returned unchanged."""
    return str(Path(text).absolute()) if text and Path(text).exists() else text


def is_address(text: str) -> bool:
    """Whether a text is an address of a server.

    >>> is_address('HTTP://localhost:8000/v1'), is_address('runs/fine')
    (True, False)
    """
    return text.lower().startswith(('http://', 'https://'))


def place_of(
    text: str, *, server: str = DEFAULT_SERVER, timeout_s: float = 120.0, attempts: int = 6, pause_s: float = 1.0,
    trunk: str = '', recipes: Sequence[tuple[str, str]] = (),
) -> Place:  # fmt: skip
    """The place named by a text.

    Args:
        text: an address, with `#NAME` of the model if the server serves several; or a path.
        server: name of the server software, one of `affekt.llm.SERVERS`.
        timeout_s, attempts, pause_s: as for `Endpoint`.
        trunk, recipes: language model and recipes of a describer, if its folder does not say.

    Raises:
        LLMError: the path is missing, the server does not list its models, or it serves several and none is named.
        UnknownNameError: unknown server software.
    """
    form_of(server)
    if not is_address(text) and describer_at(text) is not None:
        name = describer_name(text, trunk, recipes)
        return Place(text, name, server, timeout_s, attempts, pause_s, trunk, tuple(recipes))
    if not is_address(text):
        if not Path(text).exists():
            raise LLMError(
                expected='the address of a server, or a folder or file with a model', came=repr(text),
                todo='check the path, or begin an address with http://',
            )  # fmt: skip
        return Place(text, Path(text).name, server, timeout_s, attempts, pause_s)
    url, _, model = text.partition('#')
    if not model:
        with Endpoint(url, '', server=server, api_key=os.environ.get(KEY) or None, timeout_s=timeout_s) as endpoint:
            served = endpoint.models()
        if len(served) != 1:
            raise LLMError(
                expected=f'one model at {url}, or its name after a #',
                came=listed(served) if served else 'a server that does not say what it serves',
                todo=f'write {url}#NAME',
            )
        model = served[0]
    return Place(url, model, server, timeout_s, attempts, pause_s)
