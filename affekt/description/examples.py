"""Training examples of a describer: clips with cached features, a transcript, a question, and the right answer.

Features come from stores written by `affekt.features.extract`, so that no encoder runs during training. What a clip
lacks is left out of its example; a clip with nothing left is skipped, with a reason.

    coarse = examples_from(manifest, {'voice': Store(folder)}, plain_answer)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from affekt.arrays import Floats32
from affekt.corpora import Manifest, Sample
from affekt.description.questions import answer_of, question_of
from affekt.errors import CorpusError, ShapeError, ValueRangeError, listed
from affekt.features import Store


@dataclass(frozen=True, eq=False)
class Example:
    """A clip with a question and its answer.

    Args:
        name: name of the clip; several examples may share a clip.
        sources: source to its (D,), (T, D) or (T, Q, D) features, for the sources that the clip has.
        transcript: the spoken words; '' if there are none.
        question: text of the question.
        answer: text of the right answer.
        labels: the words for emotions in the answer, lower-case; () if it names none.
        cites: sources that the answer mentions; training never withholds them from this example.

    Raises:
        ValueRangeError: there is nothing to describe, no answer, or an answer that lacks a label or cites an absent
            source.
        ShapeError: features are empty or have more than three axes.
    """

    name: str
    sources: Mapping[str, Floats32]
    transcript: str
    question: str
    answer: str
    labels: tuple[str, ...] = ()
    cites: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        is_lacking = {
            'a source or spoken words': not self.sources and not self.transcript.strip(),
            'a question': not self.question.strip(),
            'an answer': not self.answer.strip(),
        }
        is_lacking |= {f'{label!r} in its answer': label.lower() not in self.answer.lower() for label in self.labels}
        is_lacking |= {
            f'the source {source}, which its answer cites': source not in self.sources for source in self.cites
        }
        if absent := [part for part, is_absent in is_lacking.items() if is_absent]:
            raise ValueRangeError(
                expected=f'an example {self.name!r} with {listed(absent)}', came='an example without',
                todo='complete it, or leave it out',
            )  # fmt: skip
        for source, values in self.sources.items():
            if values.ndim not in (1, 2, 3) or 0 in values.shape:
                raise ShapeError(
                    expected=f'features of {source} of shape (steps, width) for {self.name!r}', came=f'{values.shape}',
                    todo='leave out a source that the clip lacks',
                )  # fmt: skip


@dataclass(frozen=True)
class QuestionAnswer:
    """A question and its answer on one clip.

    Args:
        question: text of the question.
        answer: text of the right answer.
        labels: the words for emotions in the answer.
        cites: sources that the answer mentions.
    """

    question: str
    answer: str
    labels: tuple[str, ...] = ()
    cites: tuple[str, ...] = ()


@dataclass(frozen=True)
class Examples:
    """The examples of a corpus, in the order of its manifest.

    Args:
        examples: examples of all clips that can be described.
        left_out: sample to the reason why it has no example.
    """

    examples: tuple[Example, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.examples)


Asking = Callable[[Sample], Iterable[QuestionAnswer]]
"""From a row of a manifest to its questions and answers; none if it is not annotated."""


def named_label(sample: Sample) -> list[QuestionAnswer]:
    """The category in the published form: *The character's emotional state is angry.*; [] without a category."""
    if not sample.category:
        return []
    word = sample.category.lower()
    return [QuestionAnswer(question_of('one_label'), answer_of('one_label', label=word), (word,))]


def annotated(sample: Sample) -> list[QuestionAnswer]:
    """The description and the labels that a sample has, each with its published question; [] if it has neither.

    Labels count as words of a description only if they occur in it.
    """
    answers = []
    if sample.description:
        text = sample.description
        named_labels = tuple(label for label in sample.labels if label in text.lower())
        answers.append(QuestionAnswer(question_of('description'), text, named_labels))
    if sample.labels:
        text = answer_of('labels', labels=', '.join(sample.labels))
        answers.append(QuestionAnswer(question_of('labels'), text, sample.labels))
    return answers


def examples_from(
    manifest: Manifest, stores: Mapping[str, Store], asking: Asking = named_label, *, words: bool = True
) -> Examples:
    """The examples of a corpus.

    Args:
        manifest: clips with transcripts and annotations; a modality that it marks as missing for a clip is not
            read.
        stores: name of a source to the store of its features.
        asking: makes questions and answers; see `named_label`, `annotated` and `wordings.TemplateAnswers`.
        words: use the transcript, if the manifest has one.

    Returns:
        All examples, and why other clips have none.

    Raises:
        CorpusError: no clip has an example.
    """
    examples: list[Example] = []
    left_out: dict[str, str] = {}
    for sample in manifest.samples:
        withheld = set((sample.missing or '').split(','))
        transcript = (sample.text or '').strip() if words and 'text' not in withheld else ''
        sources = {
            name: store.values(sample.sample)
            for name, store in stores.items()
            if sample.sample in store and store.modality not in withheld
        }
        answers = list(asking(sample))
        fitting = [answer for answer in answers if sources.keys() >= set(answer.cites)]
        if not answers:
            left_out[sample.sample] = 'not annotated'
        elif not sources and not transcript:
            reasons = [store.missing[sample.sample] for store in stores.values() if sample.sample in store.missing]
            left_out[sample.sample] = '; '.join(reasons) or 'no features, and nothing was spoken'
        elif not fitting:
            left_out[sample.sample] = 'its answers cite what it lacks'
        examples += [
            Example(sample.sample, sources, transcript, answer.question, answer.answer, answer.labels, answer.cites)
            for answer in fitting
            if sources or transcript
        ]
    if not examples:
        came = listed(sorted(set(left_out.values())), 3) or 'an empty manifest'
        raise CorpusError(
            expected=f'clips of {manifest.facts.corpus} that can be described', came=came,
            todo='extract features for them, or name a manifest with categories',
        )  # fmt: skip
    return Examples(tuple(examples), left_out)


def digest_of(*parts: Sequence[Example]) -> str:
    """The sha256 of all features, texts and positions of training and validation examples."""
    digest = hashlib.sha256()
    for examples in parts:
        digest.update(f'{len(examples)}'.encode())
        for example in examples:
            digest.update(
                repr(
                    (example.name, example.transcript, example.question, example.answer, example.labels, example.cites)
                ).encode()
            )
            for name, values in sorted(example.sources.items()):
                digest.update(f'{name} {values.shape}'.encode())
                digest.update(np.ascontiguousarray(values, np.float32).tobytes())
    return digest.hexdigest()
