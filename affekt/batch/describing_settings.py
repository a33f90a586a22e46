"""The describer of many clips and its settings, and a check that each chosen setting changes the answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from affekt.batch.default_describer import is_by_measurements
from affekt.errors import ValueRangeError
from affekt.llm import DEFAULT_SERVER

BY_DESCRIBER, BY_SERVER, BY_MEASUREMENTS = (
    'a describer in this process', 'a model on a server', 'a description from measurements',
)  # fmt: skip
USED: Mapping[str, tuple[str, ...]] = {
    BY_DESCRIBER: (
        'model', 'trunk', 'recipes', 'question', 'transcript', 'asr', 'tokens', 'batch_size', 'temperature', 'seed',
        'precision', 'device', 'table',
    ),
    BY_SERVER: (
        'endpoint', 'model', 'server', 'transcript', 'asr', 'tokens', 'at_once', 'timeout_s', 'is_probed', 'table',
        'frames', 'is_sound_sent',
    ),
    BY_MEASUREMENTS: ('transcript', 'asr'),
}  # fmt: skip
"""Kind of describer to the settings that change its answers."""
_OPTIONS = {
    'recipes': '--recipe',
    'batch_size': '--batch-size',
    'at_once': '--at-once',
    'timeout_s': '--timeout',
    'is_probed': '--no-probe',
    'is_sound_sent': '--no-sound',
    **{
        name: f'--{name}'
        for name in (
            'model',
            'trunk',
            'question',
            'transcript',
            'asr',
            'tokens',
            'precision',
            'device',
            'endpoint',
            'server',
            'frames',
        )
    },
}
"""Settings to their options on the command line; the others exist only in `Describing`."""


@dataclass(frozen=True)
class Describing:
    """The describer and its settings.

    Args:
        model: folder or checkpoint of a describer, `small` for the one that comes with affekt, or `plain` for
            sentences from measurements; '' for the small one if it reaches its targets and everything it needs is
            installed, otherwise for measurements.
        trunk: its language model, if its folder does not name it or it was moved.
        recipes: source to recipe of features, if its folder does not say.
        question: question instead of the one it was trained with: a name in `QUESTIONS`, or a text.
        transcript: transcript file of a single clip (SRT, VTT, TextGrid, ELAN or plain text).
        asr: speech recognition if no transcript is known: tiny.en, base, none, or a folder.
        tokens: maximum tokens of an answer; None for the limit of training, or 400 on a server.
        batch_size: clips answered together; does not change answers.
        temperature: temperature of sampling; 0 for the most probable token each time.
        seed: seed of sampling with a temperature.
        precision: number type of the weights; '' for the device's default.
        device: device of the describer.
        table: name of the word table that defines the labels.
        endpoint: address of a server whose model is used instead; `model` is then its name on the server.
        server: name of the server software, one of `affekt.llm.SERVERS`, which determines the form of media.
        at_once: number of concurrent requests.
        timeout_s: maximum seconds to wait for an answer.
        is_probed: whether to check first that the media of the clips reach the model.
        frames: maximum number of frames sent of a clip; 0 for none, and no video.
        is_sound_sent: whether audio is sent.
    """

    model: str = ''
    trunk: str = ''
    recipes: Mapping[str, str] = field(default_factory=dict)
    question: str = ''
    transcript: str = ''
    asr: str = 'tiny.en'
    tokens: int | None = None
    batch_size: int = 8
    temperature: float = 0.0
    seed: int = 0
    precision: str = ''
    device: str = 'cpu'
    table: str = 'affekt'
    endpoint: str = ''
    server: str = DEFAULT_SERVER
    at_once: int = 4
    timeout_s: float = 120.0
    is_probed: bool = True
    frames: int = 8
    is_sound_sent: bool = True

    def __post_init__(self) -> None:
        if self.batch_size < 1 or (self.tokens is not None and self.tokens < 1):
            raise ValueRangeError(
                expected='a batch of 1 clip or more and an answer of 1 token or more',
                came=f'{self.batch_size} and {self.tokens}',
                todo='use for example 8 and 128',
            )  # fmt: skip
        if self.endpoint and not self.model:
            raise ValueRangeError(
                expected='a server and the name of its model', came='no model', todo='name it with --model'
            )
        if self.endpoint:
            self.require_used(BY_SERVER)
        elif is_by_measurements(self.model):
            self.require_used(BY_MEASUREMENTS)
        elif self.model:
            self.require_used(BY_DESCRIBER)
        if self.seed and not self.temperature:
            raise ValueRangeError(
                expected='a temperature beside a seed: without one nothing is drawn',
                came=f'a seed of {self.seed} alone',
                todo='give a temperature, or leave the seed out',
            )  # fmt: skip

    def require_used(self, by: str) -> None:
        """Check that every setting changed from its default affects the answers.

        Args:
            by: kind of describer, a key of `USED`.

        Raises:
            ValueRangeError: a setting belongs to another kind of describer.
        """
        changed = [
            setting.name for setting in dataclasses.fields(self) if getattr(self, setting.name) != _default_of(setting)
        ]
        used = (*(['model'] if by == BY_MEASUREMENTS and self.model else []), *USED[by])
        if unused := [name for name in changed if name not in used]:
            pronoun = 'it' if len(unused) == 1 else 'them'
            another = f', or name a describer that uses {pronoun} with --model, or a server with --endpoint'
            raise ValueRangeError(
                expected=f'options that {by} uses ({", ".join(_OPTIONS[name] for name in used if name in _OPTIONS)})',
                came=', '.join(_OPTIONS.get(name, name) for name in unused),
                todo=f'leave {pronoun} out{another if by == BY_MEASUREMENTS else ""}',
            )  # fmt: skip


def _default_of(setting: dataclasses.Field[Any]) -> Any:
    return setting.default if setting.default_factory is dataclasses.MISSING else setting.default_factory()
