"""Answers of a model to many clips, each stored before the next is requested; and labels extracted from them.

A run folder has `journal.jsonl` with every answer. An answer is reused as long as the model, its question and the
content read from the clip are the same; a clip without an answer is tried again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from affekt.corpora import Manifest, Sample
from affekt.describers.models import Answering, ClipAnswer
from affekt.errors import UnknownNameError
from affekt.llm import Extraction, LabelExtractor, in_order
from affekt.progress import Progress
from affekt.runs import SETTINGS, Run


def answered(
    model: Answering,
    manifest: Manifest,
    folder: Path,
    *,
    resume: bool = True,
    progress: Progress | None = None,
) -> Iterator[ClipAnswer]:
    """Yield a model's answer to every sample, in order.

    Args:
        model: the model to be asked.
        manifest: the samples.
        folder: folder of the run.
        resume: whether to continue in a folder with answers.
        progress: called with 'ask', clips done, total clips.

    Raises:
        RunError: the folder holds the answers of another model, or these without `resume`.
        LLMError: a server is down; answers are kept.
    """
    record = {name: value for name, value in model.record().items() if name != 'versions'}
    with Run(folder, {'record': record}, resume=resume) as run:
        for begin in range(0, len(manifest), model.batch):
            samples = manifest.samples[begin : begin + model.batch]
            yield from _batch(model, manifest, samples, run)
            if progress:
                progress('ask', begin + len(samples), len(manifest))


def _batch(model: Answering, manifest: Manifest, samples: Sequence[Sample], run: Run) -> list[ClipAnswer]:
    """The answers to some samples, in order; those that are not on disk are requested together."""
    digests = {sample.sample: model.digest(manifest, sample) for sample in samples}
    answers: dict[str, ClipAnswer] = {}
    for name, digest in digests.items():
        entry = run.finished(name)
        if entry is not None and entry.facts.get('digest') == digest:
            answers[name] = ClipAnswer(name, str(entry.facts['text']))
    unanswered = [sample for sample in samples if sample.sample not in answers]
    for answer in model.answers(manifest, unanswered) if unanswered else ():
        answers[answer.name] = answer
        if not answer.failure:
            run.note(answer.name, SETTINGS, digest=digests[answer.name], text=answer.text)
    return [answers[name] for name in digests]


def labels_of(
    answers: Sequence[ClipAnswer], extractor: LabelExtractor, *, at_once: int = 1, progress: Progress | None = None
) -> list[Extraction]:
    """The labels in every answer, in order; no labels for an empty answer.

    Args:
        answers: answers of a model.
        extractor: extracts the labels of one answer; a language model's answers should be cached.
        at_once: answers processed concurrently.
        progress: called with 'read', answers done, total answers.
    """
    extracted = []
    for extraction in in_order(extractor.extract, [answer.text for answer in answers], at_once, 'read'):
        extracted.append(extraction)
        if progress:
            progress('read', len(extracted), len(answers))
    return extracted


def restricted(manifest: Manifest, names: Sequence[str]) -> Manifest:
    """The samples with these names, in order; a name without a row becomes an empty sample.

    Raises:
        UnknownNameError: the manifest has none of them.
    """
    rows = {row.sample: row for row in manifest.samples}
    if not any(name in rows for name in names):
        raise UnknownNameError(
            expected=f'samples with the names of the labels, such as {names[0]!r}',
            came=f'{manifest.names[0]!r} and others in {manifest.facts.corpus}',
            todo='name the manifest of the same set and split',
        )
    return Manifest(manifest.facts, [rows.get(name) or Sample(name) for name in names])
