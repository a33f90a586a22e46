"""A server of a model that hears and sees, on the loopback: it answers by what it was sent, counts tokens, and may
time out, fail, lie and die as a script says.

What it answers is a function of the question alone, as that of a model at temperature 0: so are its lies. How it fails
on the way is drawn by the number of the attempt, and passes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
import threading
import wave
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

FEELINGS = ('happy', 'sad', 'angry', 'worried', 'surprised', 'calm', 'disappointed', 'proud', 'ashamed', 'relieved')
IMAGE_TOKENS, SOUND_TOKENS_A_SECOND = 64, 25
PROBES = ('Which colour', 'Listen: is', 'This clip shows one', 'Answer with the one word yes')
MANNERS = ('rises slowly', 'falls at the end', 'stays level', 'breaks for a moment', 'turns away', 'grows tense')
REFUSAL = 'I am sorry, but I cannot judge how this person feels.'


@dataclass(frozen=True)
class Faults:
    """Shares of questions that meet each fault."""

    hang: float = 0.0
    fail: float = 0.0
    cut: float = 0.0
    close: float = 0.0
    empty: float = 0.0
    refuse: float = 0.0
    nonsense: float = 0.0
    data: float = 0.0
    """Answers in JSON where prose is wanted, and prose where JSON is."""
    drop: float = 0.0
    """Questions whose media are dropped without a word."""
    forbid: float = 0.0
    """Questions that are refused for good, as HTTP 400."""


class ClipServer:
    """Serves one model, `clip-1`.

    Args:
        faults: see there.
        seed: of faults.
        dies_after: questions; then the port is closed until `revive`.
    """

    def __init__(self, faults: Faults | None = None, *, seed: int = 0, dies_after: int | None = None) -> None:
        self.faults, self.seed, self.dies_after = faults or Faults(), seed, dies_after
        self.questions: list[dict[str, Any]] = []
        self.models = ('clip-1',)
        self.released = threading.Event()
        self._tries: dict[str, int] = {}
        self._guard = threading.Lock()
        self.is_dead = False
        self._start(0)

    def _start(self, port: int) -> None:
        self._server = ThreadingHTTPServer(('127.0.0.1', port), _handler(self))
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.port}/v1'

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def die(self) -> None:
        """Close the port; called from a thread of its own, as serving ends with it."""
        self.is_dead = True
        threading.Thread(target=self.close, daemon=True).start()

    def revive(self) -> None:
        """Serve at the same port again."""
        self._thread.join()
        self.is_dead, self.dies_after = False, None
        self.released.clear()
        self._start(self.port)

    def fault_on_the_way(self, question: dict[str, Any]) -> str:
        """What becomes of this attempt at a question; '' for nothing."""
        key = _key(question)
        with self._guard:
            self.questions.append(question)
            attempt = self._tries[key] = self._tries.get(key, 0) + 1
            if self.dies_after is not None and len(self.questions) >= self.dies_after and not self.is_dead:
                self.die()
                return 'close'
        if _drawn(f'{self.seed} {key} rule', self.faults, ('forbid',)) and not _sent(question)[0].startswith(PROBES):
            return 'forbid'
        if attempt > 3:
            return ''
        return _drawn(f'{self.seed} {key} {attempt}', self.faults, ('hang', 'fail', 'cut', 'close'))

    def answer(self, question: dict[str, Any]) -> tuple[str, int]:
        """The answer to a question, and the tokens of the question."""
        key = _key(question)
        words, pictures, sounds = _sent(question)
        lie = _drawn(f'{self.seed} {key} lie', self.faults, ('empty', 'refuse', 'nonsense', 'data', 'drop'))
        is_probe = words.startswith(PROBES)
        if lie == 'drop' and not is_probe:
            pictures, sounds = [], []
        tokens = len(words) // 4 + IMAGE_TOKENS * len(pictures)
        tokens += sum(round(SOUND_TOKENS_A_SECOND * len(sound) / 16_000) for sound in sounds)
        if is_probe:
            return _probed(words, pictures, sounds), tokens
        draws = random.Random(hashlib.sha256(_without_seed(question).encode()).hexdigest())
        feelings = ', '.join(draws.sample(FEELINGS, draws.choice((1, 2, 2, 3))))
        is_list = '"labels"' in words
        if lie == 'empty':
            return '', tokens
        if lie == 'refuse':
            return REFUSAL, tokens
        if lie == 'nonsense':
            return 'xx zz ' * 12, tokens
        if lie == 'data':
            return ('They feel something.' if is_list else '{"error": {"code": [1'), tokens
        if is_list:
            return json.dumps({'labels': feelings.split(', ')}), tokens
        more = ' '.join(
            f'The {draws.choice(("voice", "gaze", "pause", "hand"))} {draws.choice(MANNERS)} after {at} seconds.'
            for at in range(draws.randrange(3, 9))
        )
        return f'The person seems {feelings}. {more}', tokens


def _drawn(key: str, faults: Faults, names: tuple[str, ...]) -> str:
    """The fault that a hash of the key draws, by the shares of each; '' for none."""
    at = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32
    for name in names:
        if at < (share := getattr(faults, name)):
            return name
        at -= share
    return ''


def _key(question: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()


def _without_seed(question: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in question.items() if name != 'seed'}, sort_keys=True)


def _sent(question: dict[str, Any]) -> tuple[str, list[Any], list[Any]]:
    """The words of a question, its pictures, and its sounds."""
    words, pictures, sounds = [], [], []
    for message in question['messages']:
        content = message['content']
        for part in [{'type': 'text', 'text': content}] if isinstance(content, str) else content:
            if part['type'] == 'text':
                words.append(part['text'])
            elif part['type'] == 'image_url':
                data = base64.b64decode(part['image_url']['url'].partition(',')[2])
                pictures.append(np.asarray(Image.open(io.BytesIO(data)).convert('RGB')))
            elif part['type'] == 'input_audio':
                with wave.open(io.BytesIO(base64.b64decode(part['input_audio']['data']))) as file:
                    sounds.append(np.frombuffer(file.readframes(file.getnframes()), '<i2'))
    return '\n'.join(words), pictures, sounds


def _probed(words: str, pictures: list[Any], sounds: list[Any]) -> str:
    """The right answer to a question that finds out whether media come through."""
    colours = {'red': (220, 30, 30), 'green': (30, 170, 60), 'blue': (30, 60, 220), 'yellow': (245, 220, 40)}

    def colour(picture: Any) -> str:
        mean = picture.reshape(-1, 3).mean(axis=0)
        return min(colours, key=lambda name: float(np.abs(mean - colours[name]).sum()))

    if 'colour' in words and pictures:
        return ' '.join(colour(picture) for picture in pictures)
    if 'tone' in words and sounds:
        return 'short' if (np.abs(sounds[0].astype(float)) < 50).mean() > 0.3 else 'long'
    return 'yes' if 'yes' in words else 'silent' if 'tone' in words else 'green'


def _handler(server: ClipServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self._send(json.dumps({'data': [{'id': name} for name in server.models]}).encode())

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
            self.close_connection = True
            fault = server.fault_on_the_way(question)
            if fault == 'hang':
                server.released.wait(10)
                return
            if fault == 'close':
                return
            if fault == 'fail':
                self._send(b'{"error": {"message": "busy"}}', state=503)
                return
            if fault == 'forbid':
                self._send(b'{"error": {"message": "against our rules"}}', state=400)
                return
            text, tokens = server.answer(question)
            choice = {'index': 0, 'message': {'role': 'assistant', 'content': text}, 'finish_reason': 'stop'}
            usage = {'prompt_tokens': tokens, 'completion_tokens': len(text) // 4}
            body = json.dumps({'model': 'clip-1', 'choices': [choice], 'usage': usage}).encode()
            self._send(body[:-7] if fault == 'cut' else body, length=len(body))

        def _send(self, body: bytes, state: int = 200, length: int | None = None) -> None:
            self.send_response(state)
            self.send_header('Content-Length', str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

    return Handler
