"""What is asked of a language model, what it answers, and the one interface between the two.

A message is a dict as the chat API of OpenAI has it: `{'role': 'user', 'content': 'text'}`, or with parts,
`{'role': 'user', 'content': [{'type': 'text', 'text': …}, {'type': 'image_url', 'image_url': {'url': 'data:…'}}]}`.
Most servers understand it: vLLM, llama.cpp, `transformers serve`, and hosted ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Request:
    """One question to a language model, wherever that model runs."""

    messages: Sequence[Mapping[str, Any]]
    """Messages in the order of the talk."""
    prompt_version: str
    """Name and number of the prompt, such as `labels-1`: a new wording is a new question."""
    temperature: float = 0.0
    """0 takes the likeliest word each time."""
    seed: int = 0
    """For servers that draw even at temperature 0."""
    max_tokens: int = 512
    """Longest answer."""
    response_format: Mapping[str, Any] | None = None
    """`{'type': 'json_object'}` or a schema, where the server knows it; None leaves it out."""

    def key(self, model: str) -> str:
        """The sha256 by which an answer of that model is remembered; the same on every server."""
        content = {'model': model, 'prompt_version': self.prompt_version, **self.body()}
        return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()

    def body(self) -> dict[str, Any]:
        """What a server is sent, but for the name of the model."""
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
    """One answer of a language model."""

    text: str
    model: str
    """The model as the server names it: it may be more precise than the name that was asked for."""
    finish: str = ''
    """Why the answer ends: `stop`, or `length` where it was cut at `max_tokens`."""
    usage: Mapping[str, Any] = field(default_factory=dict)
    """Tokens, as the server counts them."""
    seconds: float = field(default=0.0, compare=False)
    """How long it took to come, retries and pauses included; 0 where nobody measured."""

    @property
    def is_cut(self) -> bool:
        """Whether the answer was cut at the longest length allowed."""
        return self.finish == 'length'


class Chat(Protocol):
    """A language model that can be asked."""

    @property
    def model(self) -> str:
        """The name of the model."""

    def ask(self, request: Request) -> Reply:
        """The model's answer.

        Raises:
            LLMError: no answer could be had.
        """
