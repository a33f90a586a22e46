"""Formats in which each server takes images, audio and video, chosen by the server's name, never guessed.

OpenAI-compatible servers agree on text and images, and on little else. `SERVERS` lists what each takes; anything else
is refused before it is sent, because some servers silently drop unknown parts, and their model then answers about a
clip that it never received. Audio is always a separate part: only some servers, in some versions, read the audio track
of a video.

    server        image      audio                    video
    vllm          image_url  input_audio, audio_url   video_url
    transformers  image_url  input_audio, audio_url   video_url; silently drops what its model does not take
    llama.cpp     image_url  input_audio              none: frames as images
    openai        image_url  input_audio              none: frames as images

Source: vLLM, `openai_chat_completion_client_for_multimodal.py`; transformers 5.24, `cli/serving/utils.py`; llama.cpp,
pull request 13714; OpenAI, Chat Completions.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from affekt.errors import LLMError, UnknownNameError, did_you_mean
from affekt.llm.chat import Request

Part = dict[str, Any]
MEDIA = ('image', 'audio', 'video')
DEFAULT_SERVER = 'openai'
"""Images and audio in the format that all servers read."""


@dataclass(frozen=True)
class MediaForm:
    """The part types that one server takes; the first of each is written."""

    server: str
    image: tuple[str, ...] = ('image_url',)
    audio: tuple[str, ...] = ('input_audio',)
    video: tuple[str, ...] = ()
    """Empty if a server takes none: a clip is then sampled as images."""

    def takes(self, medium: str) -> bool:
        """Whether there is a part for that medium, one of `MEDIA`."""
        return bool(getattr(self, medium))

    def part(self, medium: str, content: bytes) -> Part:
        """Bytes as a message part: an image as JPEG, audio as WAV, video as MP4.

        Raises:
            LLMError: the server does not take that medium.
        """
        if not self.takes(medium):
            raise LLMError(
                expected=f'a medium that {self.server} takes ({", ".join(name for name in MEDIA if self.takes(name))})',
                came=medium,
                todo='send frames as images, or name another --server',
            )
        return _WRITERS[getattr(self, medium)[0]](base64.b64encode(content).decode('ascii'))

    def require(self, request: Request) -> None:
        """Check that the server has a format for each part of a question.

        Raises:
            LLMError: it would refuse or drop a part.
        """
        accepted = {'text', *self.image, *self.audio, *self.video}
        refused = sorted({str(part.get('type')) for part in parts_of(request)} - accepted)
        if refused:
            raise LLMError(
                expected=f'parts that {self.server} takes ({", ".join(sorted(accepted))})',
                came=', '.join(refused),
                todo='name the server that runs there with --server',
            )


def form_of(server: str) -> MediaForm:
    """The media form of a server by its name.

    Raises:
        UnknownNameError: unknown server.
    """
    if server not in SERVERS:
        raise UnknownNameError(
            expected=f'a server among {", ".join(SERVERS)}', came=repr(server), todo=did_you_mean(server, SERVERS)
        )
    return SERVERS[server]


def parts_of(request: Request) -> list[Mapping[str, Any]]:
    """All parts of messages whose content is a list of parts."""
    contents = [message['content'] for message in request.messages]
    return [part for content in contents if not isinstance(content, str) for part in content]


def medium_of(part: Mapping[str, Any]) -> str | None:
    """The medium of a part, one of `MEDIA`; None for text."""
    return _MEDIUM_OF.get(str(part.get('type')))


def media_of(request: Request) -> frozenset[str]:
    """The media in a question, of `MEDIA`."""
    return frozenset(medium for part in parts_of(request) if (medium := medium_of(part)) is not None)


def without_media(request: Request, medium: str) -> Request:
    """The same question without its parts of one medium: the answer then cannot depend on them.

    A question without such parts is returned unchanged.
    """
    messages = tuple({**message, 'content': _without(message['content'], medium)} for message in request.messages)
    return request if messages == tuple(request.messages) else replace(request, messages=messages)


def _without(content: str | Sequence[Mapping[str, Any]], medium: str) -> str | list[Mapping[str, Any]]:
    return content if isinstance(content, str) else [part for part in content if medium_of(part) != medium]


def _image(data: str) -> Part:
    return {'type': 'image_url', 'image_url': {'url': f'data:image/jpeg;base64,{data}'}}


def _audio(data: str) -> Part:
    return {'type': 'input_audio', 'input_audio': {'data': data, 'format': 'wav'}}


def _audio_by_address(data: str) -> Part:
    return {'type': 'audio_url', 'audio_url': {'url': f'data:audio/wav;base64,{data}'}}


def _video(data: str) -> Part:
    return {'type': 'video_url', 'video_url': {'url': f'data:video/mp4;base64,{data}'}}


_WRITERS = {'image_url': _image, 'input_audio': _audio, 'audio_url': _audio_by_address, 'video_url': _video}
_MEDIUM_OF = {'image_url': 'image', 'input_audio': 'audio', 'audio_url': 'audio', 'video_url': 'video'}
SERVERS: dict[str, MediaForm] = {
    form.server: form
    for form in (
        MediaForm('openai'),
        MediaForm('vllm', audio=('input_audio', 'audio_url'), video=('video_url',)),
        MediaForm('transformers', audio=('input_audio', 'audio_url'), video=('video_url',)),
        MediaForm('llama.cpp'),
    )
}
