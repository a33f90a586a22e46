"""Clips to parsed answers, in batches; with a folder each answer is stored before it is yielded, and a run can resume.

    for description in describe([('a', asked_a), ('b', asked_b)], describer, folder=Path('run')):
        description.answer.labels

Store `reproduction_record` with answers and scores: it lists everything they depend on.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from affekt.description.answering import Generated, Limits
from affekt.description.answers import Answer, read_answer
from affekt.description.clues import GIVEN_BY
from affekt.description.model import Asked, Describer
from affekt.errors import CorpusError, ShapeError, ValueRangeError
from affekt.labels import load_table
from affekt.runs import SETTINGS, Run, versions


@dataclass(frozen=True)
class Description:
    """The answer to one clip."""

    name: str
    answer: Answer
    raw: str
    """The answer as generated."""
    finish: str
    """How the answer ended: `end`, `stop` or `length` as in `Generated`; '' if it failed."""
    failure: str = ''
    """Why there is no answer; '' if there is one."""
    certainty: float | None = None
    """Probability of the first label, in [0, 1]; None if the describer is not calibrated for such a clip."""


def describe(
    clips: Iterable[tuple[str, Asked]],
    describer: Describer,
    limits: Limits | None = None,
    *,
    batch_size: int = 8,
    folder: Path | None = None,
    resume: bool = False,
    table: str = 'affekt',
    gives: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[Description]:
    """Yield the answer to each clip, in order, parsed with regard to the modalities the clip has.

    A clip that cannot be answered (its features have another shape, its prompt is too long) is yielded with its
    failure, does not affect other clips, and is tried again on resuming.

    Args:
        clips: names, each once, and prompts.
        describer: the opened describer.
        limits: when an answer ends; with a temperature the seed of each clip depends on its name.
        batch_size: clips answered together; does not change answers.
        folder: folder of the run; None to store nothing.
        resume: continue in a folder with answers; unchanged clips are not answered again.
        table: name of the word table that defines the labels.
        gives: source to what is perceived through it (names of `SPEAKS_OF`), for sources that `GIVEN_BY` lacks.

    Raises:
        CorpusError: a name occurs twice.
        ValueRangeError: `batch_size` is below 1.
        RunError: the folder holds another run, or this one without `resume`.
    """
    if batch_size < 1:
        raise ValueRangeError(expected='a batch of 1 or more', came=str(batch_size), todo='use for example 8')
    limits = limits or Limits()
    parser = _AnswerParser(table, {**GIVEN_BY, **(gives or {})})
    if folder is None:
        yield from _described(clips, describer, limits, batch_size, None, parser)
        return
    record = reproduction_record(describer, limits, table=table)
    del record['versions']  # the run records them itself, and may resume after an update
    with Run(folder, record, resume=resume) as run:
        yield from _described(clips, describer, limits, batch_size, run, parser)


@dataclass(frozen=True)
class _AnswerParser:
    """How answers are parsed: the table of label words, and what is perceived through each source."""

    table: str
    gives: Mapping[str, Sequence[str]]

    def answer(self, describer: Describer, asked: Asked, generated: Generated) -> Answer:
        """A generated answer, parsed with regard to what can be perceived of the clip."""
        is_cut = generated.finish == 'length'
        return read_answer(generated.text, perceived=self._perceived(describer, asked), is_cut=is_cut, table=self.table)

    def _perceived(self, describer: Describer, asked: Asked) -> Collection[str] | None:
        """What can be perceived of a clip; None if a source of it is unknown."""
        sources = [name for source in asked.pieces.sources for name in describer.table[source].joins or (source,)]
        if any(name not in self.gives for name in sources):
            return None
        words = GIVEN_BY['words'] if asked.pieces.has_words else ()
        return {*words, *(modality for name in sources for modality in self.gives[name])}


def _described(
    clips: Iterable[tuple[str, Asked]],
    describer: Describer,
    limits: Limits,
    batch_size: int,
    run: Run | None,
    parser: _AnswerParser,
) -> Iterator[Description]:
    waiting: list[tuple[str, Asked, Generated | None]] = []
    names: set[str] = set()
    for name, asked in clips:
        if name in names:
            raise CorpusError(expected='each clip once', came=f'{name} twice', todo='rename or leave out one of them')
        names.add(name)
        waiting.append((name, asked, _stored_answer(run, name, asked)))
        if sum(generated is None for *_, generated in waiting) == batch_size:
            yield from _answers(waiting, describer, limits, run, parser)
            waiting = []
    yield from _answers(waiting, describer, limits, run, parser)


def _answers(
    waiting: Sequence[tuple[str, Asked, Generated | None]],
    describer: Describer,
    limits: Limits,
    run: Run | None,
    parser: _AnswerParser,
) -> Iterator[Description]:
    """Yield the answers to some clips, in order; those that are not yet on disk are generated together."""
    unanswered = [(name, asked) for name, asked, generated in waiting if generated is None]
    results = dict(zip((name for name, _ in unanswered), _generated(unanswered, describer, limits), strict=True))
    for name, asked in unanswered:
        generated = results[name]
        if run is not None and isinstance(generated, Generated):
            run.note(
                name, SETTINGS, asked=fingerprint(asked), text=generated.text, tokens=generated.tokens,
                finish=generated.finish,
            )  # fmt: skip
    for name, asked, stored in waiting:
        result = stored or results[name]
        if isinstance(result, str):
            yield Description(name, read_answer(''), '', '', result)
            continue
        yield Description(name, parser.answer(describer, asked, result), result.text, result.finish)


def _generated(clips: Sequence[tuple[str, Asked]], describer: Describer, limits: Limits) -> list[Generated | str]:
    """The answer to each clip, or the reason why there is none; after an error, each clip is tried alone."""
    seeds = [_seed(name, limits.seed) for name, _ in clips]
    try:
        return list(describer.generate([asked for _, asked in clips], limits, seeds=seeds))
    except (ShapeError, ValueRangeError) as error:
        if len(clips) == 1:
            return [str(error)]
        return [result for clip in clips for result in _generated([clip], describer, limits)]


def _seed(name: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f'{seed} {name}'.encode()).digest()[:7], 'big')


def _stored_answer(run: Run | None, name: str, asked: Asked) -> Generated | None:
    entry = run.finished(name) if run is not None else None
    if entry is None or entry.facts.get('asked') != fingerprint(asked):
        return None
    return Generated(entry.facts['text'], tuple(entry.facts['tokens']), entry.facts['finish'])


def fingerprint(asked: Asked) -> str:
    """The sha256 of a prompt and its features."""
    digest = hashlib.sha256(repr(asked.pieces.prompt).encode())
    for name, features in sorted(asked.features.items()):
        _add(digest, name, features)
    return digest.hexdigest()


def weights_sha256(describer: Describer) -> str:
    """The sha256 of all weights of a describer, those of its language model included, whatever the device."""
    digest = hashlib.sha256()
    for name, value in sorted(describer.state_dict().items()):
        _add(digest, name, value)
    return digest.hexdigest()


def _add(digest: Any, name: str, value: torch.Tensor) -> None:
    digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
    digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())


def reproduction_record(describer: Describer, limits: Limits | None = None, *, table: str = 'affekt') -> dict[str, Any]:
    """Everything that answers and scores depend on, as JSON values, to be stored with them.

    Contents: the hash of the weights, the language model, sources, prompt form and stops, limits, device, precision,
    the word table with its hash, and versions.

    Args:
        describer: the answering describer.
        limits: limits of its answers; None for the defaults.
        table: name of the word table that defines the labels.
    """
    weight = next(describer.trunk.parameters())
    limits = limits or Limits()
    limits = replace(limits, stops=describer.family.stops if limits.stops is None else limits.stops)
    return {
        'weights_sha256': weights_sha256(describer),
        'trunk': describer.trunk_name,
        'sources': [asdict(source) for source in describer.table.values()],
        'settings': asdict(describer.settings),
        'prompt': asdict(describer.family),
        'limits': asdict(limits),
        'device': describer.device.type,
        'precision': str(weight.dtype).removeprefix('torch.'),
        'word_table': load_table(table).label,
        'versions': {**versions(), **_package_versions()},
    }


def _package_versions() -> dict[str, str]:
    """Package to version, for packages of describers that are installed."""
    found_versions = {}
    for package in ('peft', 'tokenizers'):
        with contextlib.suppress(PackageNotFoundError):
            found_versions[package] = version(package)
    return found_versions
