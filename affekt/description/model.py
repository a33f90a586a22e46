"""The describer: a language model whose prompt contains soft tokens of a clip.

    embed             pieces and features of a batch to (B, L, H), padded right for training and left for answering
    forward           loss of the answers, and logits
    generate          answers, greedy unless a temperature is given; independent of the batch
    beginning_logits  logits of given words as the beginning or continuation of an answer

Positions are counted explicitly, so that padding changes nothing, and each clip has its own soft tokens, so that its
neighbours in a batch change nothing either.

Axes: B batch, L positions, H width of the trunk, V vocabulary.

Source: Lian et al. 2025, arXiv:2501.16566; what differs from the published code by default is in `DescriberSettings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.description.answering import Generated, Limits, answered
from affekt.description.questions import Kind, Pieces, family_named, tokenized, written
from affekt.description.sources import Source, SourceReader, present, source_table, steps_of, together
from affekt.description.trunk import Trunk, Vocabulary
from affekt.errors import ShapeError, UnknownNameError, ValueRangeError, did_you_mean, listed
from affekt.nn import load_published, seeded

NO_LABEL = -100
"""Label of positions ignored by the loss."""


@dataclass(frozen=True)
class DescriberSettings:
    """Prompt form and limits of a describer. The defaults of the last four fields differ from the published code.

    Args:
        family: prompt form, one of `FAMILIES`.
        longest_prompt: maximum tokens of a prompt, soft ones included; the transcript is shortened to it.
        truncation: `words` shortens the transcript; `front` cuts the beginning of a prompt, where the soft tokens
            are, in generation.
        end_is_read: whether attention sees the token that ends an answer; the published code takes it for
            padding, since the two are one token.
        begins_answering: put the trunk's first token before a prompt in generation too.
        keep_empty_words: keep the sentence on the subtitle if there is no transcript.
    """

    family: str = 'chatml'
    longest_prompt: int = 1024
    truncation: Literal['words', 'front'] = 'words'
    end_is_read: bool = True
    begins_answering: bool = True
    keep_empty_words: bool = False


@dataclass(frozen=True)
class Asked:
    """A clip with its question.

    Args:
        pieces: the prompt, and in training the answer.
        features: source to its (T, D), (T, Q, D) or (D,) features; sources that join others have none.
    """

    pieces: Pieces
    features: Mapping[str, Tensor] = field(default_factory=dict)


class Embedded(NamedTuple):
    """A batch as input of the trunk."""

    embeddings: Tensor
    """(B, L, H)"""
    keep_mask: Tensor
    """bool (B, L), False where there is padding"""
    positions: Tensor
    """(B, L) position of each token in its own clip"""
    labels: Tensor
    """(B, L) token ids of the answer; `NO_LABEL` elsewhere"""
    weights: Tensor
    """(B, L) weight of each label in the loss"""


class Answered(NamedTuple):
    """Outputs of `forward`."""

    loss: Tensor
    """Weighted mean cross-entropy of the answers' tokens; nan if there are none."""
    logits: Tensor
    """(B, L, V); (B, K, V) of the K positions before tokens of an answer where only those are computed"""
    embedded: Embedded


class Describer(nn.Module):
    """A trunk that perceives clips through sources.

    Args:
        trunk: the language model; its weights are frozen except for adapters.
        sources: the table of sources.
        settings: prompt form and limits.
        seed: seed of the initial weights of the source readers.

    Raises:
        UnknownNameError: unknown source or family.
        ValueRangeError: two sources have the same name.
    """

    def __init__(
        self, trunk: Trunk, sources: Iterable[Source], settings: DescriberSettings | None = None, *, seed: int = 0
    ) -> None:
        super().__init__()
        self.settings = settings or DescriberSettings()
        self.family = family_named(self.settings.family)
        self.table = source_table(sources)
        self.vocabulary: Vocabulary = trunk.vocabulary
        self.trunk_name, self.trunk_width, self.adapters = trunk.name, trunk.width, trunk.adapters
        self.trunk = trunk.network
        for name, parameter in self.trunk.named_parameters():
            parameter.requires_grad_('.lora_' in name)
        with seeded(seed):
            self.readers = nn.ModuleDict(
                {
                    source.name: SourceReader(source, self._widths(source), trunk.width)
                    for source in self.table.values()
                    if not source.shares
                }
            )
        self._scale_readers(trunk)

    def _widths(self, source: Source) -> list[int]:
        return [self.table[name].width for name in source.joins or (source.name,)]

    def _scale_readers(self, trunk: Trunk) -> None:
        """Give scaled readers the root mean square of the trunk's own embeddings."""
        scaled = [reader for reader in self._all_readers() if reader.source.scaled]
        if scaled and not trunk.embeddings.weight.is_meta:
            size = trunk.embeddings.weight.detach().float().square().mean().sqrt()
            for reader in scaled:
                reader.size.copy_(size)

    def _all_readers(self) -> list[SourceReader]:
        return [reader for reader in self.readers.values() if isinstance(reader, SourceReader)]

    def reader(self, name: str) -> SourceReader:
        """The module that encodes a source.

        Raises:
            UnknownNameError: unknown source.
        """
        if name not in self.table:
            raise UnknownNameError(
                expected=f'a source among {", ".join(self.table)}', came=repr(name), todo=did_you_mean(name, self.table)
            )
        reader = self.readers[self.table[name].shares or name]
        assert isinstance(reader, SourceReader)
        return reader

    @property
    def device(self) -> torch.device:
        """The device of the trunk."""
        return next(self.trunk.parameters()).device

    def learnt(self) -> dict[str, Tensor]:
        """The tensors of a checkpoint, by name: all except the frozen weights of the trunk."""
        frozen = {f'trunk.{name}' for name, _ in self.trunk.named_parameters() if '.lora_' not in name}
        frozen |= {f'trunk.{name}' for name, _ in self.trunk.named_buffers()}
        tied = 'lm_head.weight'
        return {
            name: value
            for name, value in self.state_dict().items()
            if name not in frozen and not (name.startswith('trunk.') and name.endswith(tied))
        }

    def fill(self, state: Mapping[str, Tensor]) -> None:
        """Load weights returned by `learnt`, in any precision.

        Raises:
            WeightsError: a name is unknown or missing, or a shape differs.
        """
        load_published(self, state, {}, part=set(self.learnt()))

    def prompt(
        self,
        features: Mapping[str, Tensor],
        kind: Kind | str,
        question: str,
        *,
        words: str = '',
        answer: str | None = None,
    ) -> Asked:
        """A clip and its question, tokenized; sources that it lacks are not in the prompt.

        Args:
            features: source to its features, for the sources that the clip has.
            kind: the sources in order, or the name of a published kind.
            question: text of the question, such as `question_of` gives.
            words: the transcript; '' for none.
            answer: the right answer, for training; None for generation.

        Raises:
            UnknownNameError: unknown kind, or features of an unknown source.
            ShapeError: features of another shape than the source takes.
            ValueRangeError: nothing is left to describe, the prompt or the answer is too long, or features are not
                finite.
        """
        for name, values in features.items():
            self.reader(name)
            steps_of(self.table[name], values)
        text = written(
            kind, question, self.family, present=present(self.table, features), words=words,
            keep_empty_words=self.settings.keep_empty_words,
        )  # fmt: skip
        is_front = self.settings.truncation == 'front' and answer is None
        pieces = tokenized(
            text, self.vocabulary, {name: source.tokens for name, source in self.table.items()}, answer=answer,
            longest=1 << 30 if is_front else self.settings.longest_prompt,
            begins=answer is not None or self.settings.begins_answering,
        )  # fmt: skip
        return Asked(pieces, features)

    # Embedding

    def soft_tokens(self, batch: Sequence[Asked]) -> list[dict[str, Tensor]]:
        """For each clip, source to its (K, H) soft tokens (K differs by source), for the sources of its prompt.

        Raises:
            ShapeError, ValueRangeError: features are missing, of another shape, or not finite.
        """
        tokens: list[dict[str, Tensor]] = [{} for _ in batch]
        names = dict.fromkeys(name for asked in batch for name in asked.pieces.sources)
        for name in names:
            reader, indices = (
                self.reader(name),
                [index for index, asked in enumerate(batch) if name in asked.pieces.sources],
            )
            for index, soft_tokens in zip(
                indices, reader(*self._features(name, [batch[index] for index in indices])), strict=True
            ):
                tokens[index][name] = soft_tokens
        return tokens

    def _features(self, name: str, batch: Sequence[Asked]) -> tuple[list[Tensor], list[Tensor | None]]:
        """Padded features and keep masks of a source, or of each that it joins, over clips that have it."""
        features, masks = [], []
        for source in self.table[name].joins or (name,):
            if any(source not in asked.features for asked in batch):
                raise ShapeError(
                    expected=f'features of {source}, which the prompt asks for', came='none',
                    todo='give them, or make the prompt without it',
                )  # fmt: skip
            steps, mask = together(self.table[source], [asked.features[source].to(self.device) for asked in batch])
            features.append(steps)
            masks.append(None if bool(mask.all()) else mask)
        return features, masks

    def embed(self, batch: Sequence[Asked], side: Literal['right', 'left'] = 'right') -> Embedded:
        """The batch as input of the trunk.

        Args:
            batch: clips, each with its prompt.
            side: side of the padding.
        """
        embeddings = self.trunk.get_input_embeddings()  # type: ignore[operator]
        soft = self.soft_tokens(batch)
        rows = []
        for asked, tokens in zip(batch, soft, strict=True):
            parts = []
            for piece in (*asked.pieces.prompt, asked.pieces.answer):
                if isinstance(piece, str):
                    parts.append(tokens[piece].to(embeddings.weight.dtype))
                elif piece:
                    parts.append(embeddings(torch.tensor(piece, device=self.device)))
            row = torch.cat(parts)  # (l, H)
            if side == 'left' and self.settings.truncation == 'front':
                row = row[-self.settings.longest_prompt :]
            rows.append(row)
        return self._padded(batch, rows, side)

    def _padded(self, batch: Sequence[Asked], rows: Sequence[Tensor], side: str) -> Embedded:
        longest = max(map(len, rows))
        embeddings = rows[0].new_zeros((len(rows), longest, rows[0].shape[1]))
        keep_mask = torch.zeros(len(rows), longest, dtype=torch.bool, device=self.device)
        labels = torch.full((len(rows), longest), NO_LABEL, device=self.device)
        weights = torch.zeros(len(rows), longest, device=self.device)
        for row_index, (asked, row) in enumerate(zip(batch, rows, strict=True)):
            span = slice(longest - len(row), longest) if side == 'left' else slice(0, len(row))
            embeddings[row_index, span], keep_mask[row_index, span] = row, True
            if answer := asked.pieces.answer:
                answer_span = slice(span.stop - len(answer), span.stop)
                labels[row_index, answer_span] = torch.tensor(answer, device=self.device)
                weights[row_index, answer_span] = torch.tensor(
                    asked.pieces.weights or [1.0] * len(answer), device=self.device
                )
                if not self.settings.end_is_read and answer[-1] == self.vocabulary.end:
                    keep_mask[row_index, span.stop - 1] = False
        # positions count from the first kept token of a clip; padding on the left gets 0
        #   keep_mask   F F T T T     T T T F F
        #   positions   0 0 0 1 2     0 1 2 3 4
        start = (~keep_mask).int().argmin(dim=1, keepdim=True)
        positions = (torch.arange(longest, device=self.device) - start).clamp(min=0)  # (B, L)
        return Embedded(embeddings, keep_mask, positions, labels, weights)

    # Loss

    def forward(self, batch: Sequence[Asked], *, is_whole: bool = True) -> Answered:
        """The loss of the answers, and logits.

        Args:
            batch: clips, each with its prompt and its answer.
            is_whole: compute the logits of all positions; False for those that the loss needs, which is cheaper where
                the vocabulary is large.
        """
        embedded = self.embed(batch)
        # (K,) positions before a label of any clip; no loss needs what comes after the last
        before = (embedded.labels[:, 1:] != NO_LABEL).any(dim=0).nonzero().flatten()
        end = embedded.labels.shape[1] if is_whole or not len(before) else int(before[-1]) + 1
        output = self.trunk(
            inputs_embeds=embedded.embeddings[:, :end], attention_mask=embedded.keep_mask[:, :end].long(),
            position_ids=embedded.positions[:, :end], use_cache=False, logits_to_keep=0 if is_whole else before,
        )  # fmt: skip
        if is_whole:
            loss = answer_loss(output.logits, embedded.labels, embedded.weights)
        else:
            loss = _weighted_loss(output.logits, embedded.labels[:, before + 1], embedded.weights[:, before + 1])
        return Answered(loss, output.logits, embedded)

    # Answers

    @torch.inference_mode()
    def generate(
        self, batch: Sequence[Asked], limits: Limits | None = None, *, seeds: Sequence[int] | None = None
    ) -> list[Generated]:
        """An answer to each prompt, independent of the batch; answers in the pieces are ignored.

        Args:
            batch: clips, each with its prompt.
            limits: when an answer ends, and how tokens are chosen.
            seeds: seed of sampling for each clip, if the limits have a temperature; None for the limits' seed.

        Raises:
            ValueRangeError: a prompt and its answer together are longer than the trunk allows.
        """
        if not batch:
            return []
        limits = limits or Limits()
        prompts = [Asked(Pieces(asked.pieces.prompt), asked.features) for asked in batch]
        was_training = self.training
        self.eval()
        try:
            embeddings, keep_mask, positions, *_ = self.embed(prompts, 'left')
            stops = self.family.stops if limits.stops is None else limits.stops
            return answered(self.trunk, embeddings, keep_mask, positions, self.vocabulary, limits, stops, seeds)
        finally:
            self.train(was_training)

    @torch.inference_mode()
    def beginning_logits(
        self, batch: Sequence[Asked], beginnings: Sequence[str], after: Sequence[str] | None = None
    ) -> Tensor:
        """(N, K) logits of beginnings or continuations of an answer; their softmax is the confidence in a label.

        Args:
            batch: N clips, each with its prompt.
            beginnings: K texts as in answers, with the space before a word; their first tokens differ. An empty
                one is the end of the answer.
            after: N texts with which the answers have begun; None for none.

        Raises:
            ValueRangeError: two beginnings have the same first token.
        """
        token_ids = [
            self.vocabulary.numbers(beginning)[0] if beginning else self.vocabulary.end for beginning in beginnings
        ]
        if len({*token_ids}) < len(token_ids):
            raise ValueRangeError(
                expected='beginnings that differ in their first token', came=listed(beginnings, 5),
                todo='leave out one of two',
            )  # fmt: skip
        answer_ids = [self.vocabulary.numbers(text) for text in after or [''] * len(batch)]
        was_training = self.training
        self.eval()
        try:
            prompts = [
                Asked(Pieces(asked.pieces.prompt, answer), asked.features)
                for asked, answer in zip(batch, answer_ids, strict=True)
            ]
            embeddings, keep_mask, positions, *_ = self.embed(prompts, 'left')
            output = self.trunk(
                inputs_embeds=embeddings, attention_mask=keep_mask.long(), position_ids=positions, use_cache=False,
                logits_to_keep=1,
            )  # fmt: skip
            # (N, 1, V) to (N, K)
            return output.logits[:, -1, token_ids].float()  # type: ignore[no-any-return]
        finally:
            self.train(was_training)


def answer_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean cross-entropy of each label given the logits of the position before it.

    Args:
        logits: (B, L, V) logits.
        labels: (B, L) token ids, `NO_LABEL` for none.
        weights: (B, L) weight of each label.

    Returns:
        A scalar; nan if no label has a weight.
    """
    return _weighted_loss(logits[:, :-1], labels[:, 1:], weights[:, 1:])


def _weighted_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean cross-entropy of (B, K) labels, from the logits (B, K, V) of the positions before them."""
    # (B, K, V) to (B K, V) and (B, K) to (B K,), then (B K,)
    token_losses = functional.cross_entropy(
        logits.float().flatten(0, 1), labels.flatten(), ignore_index=NO_LABEL, reduction='none'
    )
    weights = weights.flatten()  # (B K,)
    return (token_losses * weights).sum() / weights.sum()
