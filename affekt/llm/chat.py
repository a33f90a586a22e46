"""Requests to and replies of language models, and the interface between them.

A message is a dict in the format of OpenAI's chat API: `{'role': 'user', 'content': 'text'}`, or with parts,
`{'role': 'user', 'content': [{'type': 'text', 'text': …}, {'type': 'image_url', 'image_url': {'url': 'data:…'}}]}`.
Most servers accept it: vLLM, llama.cpp, `transformers serve`, and hosted ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Request:
    """One request to a language model, independent of where the model runs."""

    messages: Sequence[Mapping[str, Any]]
    """Messages of the conversation, in order."""
    prompt_version: str
    """Name and version of the prompt, such as `labels-1`; a new wording needs a new version."""
    temperature: float = 0.0
    """Sampling temperature; 0 takes the most probable token each time."""
    seed: int = 0
    """Seed of sampling, for servers that sample even at temperature 0."""
    max_tokens: int = 512
    """Maximum number of tokens in the answer."""
    response_format: Mapping[str, Any] | None = None
    """`{'type': 'json_object'}` or a schema, if the server supports it; None to leave it out."""

    def key(self, model: str) -> str:
        """SHA-256 under which an answer of that model is cached; the same for every server."""
        content = {'model': model, 'prompt_version': self.prompt_version, **self.body()}
        return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()

    def body(self) -> dict[str, Any]:
        """The body of the request without the name of the model."""
        body: dict[str, Any] = {
            'messages': [dict(message) for message in self.messages],
            'temperature': self.temperature,
            'seed': self.seed,
            'max_tokens': self.max_tokens,
        }
        if self.response_format is not None:
            body['response_format'] = dict(self.response_format)
        return body


@dataclass(frozen=True)
class Reply:
    """One reply of a language model."""

    text: str
    model: str
    """Name of the model as the server gives it, possibly more precise than the requested one."""
    finish: str = ''
    """Why the answer ended: `stop`, or `length` if it was cut at `max_tokens`."""
    usage: Mapping[str, Any] = field(default_factory=dict)
    """Token counts by the server."""
    seconds: float = field(default=0.0, compare=False)
    """Time to the answer in seconds, retries and pauses included; 0 if it was not measured."""

    @property
    def is_cut(self) -> bool:
        """Whether the answer was cut at `max_tokens`."""
        return self.finish == 'length'


class Chat(Protocol):
    """A language model that answers requests."""

    @property
    def model(self) -> str:
        """Name of the model."""

    def ask(self, request: Request) -> Reply:
        """The model's answer.

        Raises:
            LLMError: there is no answer.
        """
