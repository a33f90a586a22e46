"""Evaluation of a describer by its generated labels: answers to the questions of examples, and their scores."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from affekt.description.answering import Generated, Limits
from affekt.description.batches import length_of, tensors_of
from affekt.description.examples import Example
from affekt.description.model import Describer
from affekt.description.questions import Kind, kind_of
from affekt.errors import ValueRangeError
from affekt.labels import read_labels


def generated_answers(
    describer: Describer,
    examples: Sequence[Example],
    kind: Kind | str | None = None,
    limits: Limits | None = None,
    *,
    batch_size: int = 16,
) -> list[Generated]:
    """Generated answers to the questions of examples, in order; the examples' own answers are not used.

    Args:
        describer: the describer, in the precision and on the device it has.
        examples: examples of any clips.
        kind: see `train_describer`.
        limits: limits of answers; None for the defaults.
        batch_size: prompts per batch; answers do not depend on it.
    """
    kind = kind or kind_of(tuple(describer.table))
    tokens = {name: source.tokens for name, source in describer.table.items()}
    asked = [
        describer.prompt(tensors_of(example), kind, example.question, words=example.transcript) for example in examples
    ]
    order = sorted(range(len(asked)), key=lambda index: length_of(asked[index].pieces, tokens))
    answers: dict[int, Generated] = {}
    for begin in range(0, len(order), batch_size):
        indices = order[begin : begin + batch_size]
        answers |= zip(indices, describer.generate([asked[index] for index in indices], limits), strict=True)
    return [answers[index] for index in range(len(asked))]


def beginning_logits(
    describer: Describer, examples: Sequence[Example], beginnings: Sequence[str], kind: Kind | str | None = None, *,
    batch_size: int = 64,
) -> npt.NDArray[np.float32]:  # fmt: skip
    """(N, K) logits of beginnings of the answer to each example; see `Describer.beginning_logits`.

    Args:
        describer: the describer, in the precision and on the device it has.
        examples: examples of any clips.
        beginnings: K texts whose first tokens differ.
        kind: see `train_describer`.
        batch_size: prompts per batch; logits do not depend on it.

    Returns:
        float32 (N, K).
    """
    kind = kind or kind_of(tuple(describer.table))
    rows = []
    for begin in range(0, len(examples), batch_size):
        asked = [
            describer.prompt(tensors_of(example), kind, example.question, words=example.transcript)
            for example in examples[begin : begin + batch_size]
        ]
        rows.append(describer.beginning_logits(asked, beginnings).cpu().numpy())
    return np.concatenate(rows) if rows else np.zeros((0, len(beginnings)), np.float32)


def label_scores(examples: Sequence[Example], answers: Sequence[Generated], known: Collection[str]) -> dict[str, float]:
    """Agreement of the labels in generated answers with the truth.

        uar      mean over labels of the share of clips with that label whose answer names it
        f        mean over clips of 2 |named and true| / (|named| + |true|)
        valid    share of answers that end by themselves and name a label

    For `uar`, at most as many labels of an answer count as the clip has, so that naming all does not help.

    Args:
        examples: N examples with labels.
        answers: the N answers to them.
        known: labels recognised in prose.

    Returns:
        `uar`, `f` and `valid`, each in [0, 1].

    Raises:
        ValueRangeError: an example has no labels, or there are no examples.
    """
    if not examples or not all(example.labels for example in examples):
        raise ValueRangeError(expected='examples with labels', came='none, or some without', todo='leave those out')
    known = frozenset(known)
    recalls: dict[str, list[bool]] = {}
    overlaps, valid = [], []
    for example, answer in zip(examples, answers, strict=True):
        answer_labels = read_labels(answer.text, known).labels
        true_labels = tuple(label.lower() for label in example.labels)
        for label in true_labels:
            recalls.setdefault(label, []).append(label in answer_labels[: len(true_labels)])
        overlaps.append(2 * len({*answer_labels} & {*true_labels}) / (len({*answer_labels}) + len({*true_labels})))
        valid.append(answer.finish != 'length' and bool({*answer_labels} & known))
    return {
        'uar': float(np.mean([np.mean(hits) for hits in recalls.values()])),
        'f': float(np.mean(overlaps)),
        'valid': float(np.mean(valid)),
    }
