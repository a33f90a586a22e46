"""MCTN: translation of text to video and back, then of the result to audio; the joint code predicts.

The prediction reads text alone, by design; audio and video are used in training only.

Axes: B batch, T time, D the largest feature size, H hidden, S source feature of a translator. In the paper's symbols, S
being the source modality and T1, T2 its targets:

    padded                  X_S (text), X_T1 (video), X_T2 (audio)
    first, second           the two translators, encoder and decoder: S ⇄ T1, then the joint code to T2
    joint                   E_S⇄T1 of the first, E_(S⇄T1)→T2 of the second
    video, text, audio      X̂_T1, X̂_S translated back, X̂_T2
    translation             λ_t and λ_c in one, of the errors of translation and of the way back
    reader, then a head     the recurrence over the joint code that predicts ŷ
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.fusion.additive_attention import AdditiveAttention
from affekt.fusion.model import FusionModel, FusionShape, Losses, RecurrentEncoder, published_heads
from affekt.nn import Dropout, NameMap, kept_first, last_kept


class Widths(Protocol):
    """Sizes of a model that a translator reads."""

    @property
    def hidden(self) -> int:
        """Hidden width H."""

    @property
    def dropout(self) -> float:
        """Dropout probability."""


class TranslationFusion(FusionModel):
    """`mctn`: two translators, and an LSTM over their joint code.

    The published code passes (B, T, D) to LSTMs that read the first axis as time, so that samples of a batch change
    each other's output; its decoder resets its state at each step and always reads the truth. The corrected form reads
    time, keeps the state, and reads the truth at a share of the steps in training, its own output otherwise. Without
    text the output depends on the number of kept steps alone.

    Args:
        teacher_forcing: share of steps that read the truth in training.
        translation: weight of the errors of the three translations.

    Source: Pham et al. 2019, arXiv:1812.07809, section 3.
    """

    levels = ('frame',)
    aligned = True

    def __init__(self, shape: FusionShape, *, teacher_forcing: float = 0.5, translation: float = 0.5) -> None:
        super().__init__(shape, width=shape.hidden)
        self.size = max(shape.sizes.values())
        self.weight = translation
        if shape.corrected:
            self.first: Translator | PublishedTranslator = Translator(self.size, self.size, shape, teacher_forcing)
            self.second: Translator | PublishedTranslator = Translator(shape.hidden, self.size, shape, teacher_forcing)
        else:
            self.first = PublishedTranslator(self.size, self.size, shape)
            self.second = PublishedTranslator(shape.hidden, self.size, shape)
        self.reader = RecurrentEncoder(shape.hidden, shape.hidden, shape.dropout)

    def fuse(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> tuple[Tensor, Losses]:
        """The (B, H) representation; losses video, text and audio."""
        is_kept = torch.stack(list(keep.values())).any(dim=0)  # (3, B, T), then (B, T)
        if self.shape.corrected:
            moved = {
                # (B, T, features and one mask), so that both are moved alike
                name: kept_first(torch.cat([features[name], keep[name].unsqueeze(2)], 2), is_kept)[0]
                for name in keep
            }
            features = {name: value[..., :-1] for name, value in moved.items()}
            keep = {name: value[..., -1] > 0.5 for name, value in moved.items()}
            is_kept = torch.sort(is_kept.to(torch.int8), dim=1, descending=True, stable=True).values > 0
        # (B, T, D)
        padded = {name: functional.pad(features[name], (0, self.size - features[name].shape[2])) for name in features}
        joint, video = self.first(padded['text'], padded['video'], is_kept)
        _, text = self.first(video, padded['text'], is_kept)
        joint, audio = self.second(joint, padded['audio'], is_kept)
        rebuilt = {'video': video, 'text': text, 'audio': audio}
        losses = {}
        for name, translated in rebuilt.items():
            size = self.shape.sizes[name] if self.shape.corrected else None
            losses[name] = self.weight * translation_error(translated, padded[name], keep[name], size)
        return self.reader(joint, is_kept if self.shape.corrected else None), losses

    def published_names(self) -> NameMap:
        """Published state names to ours: each translator is saved three times over, under tied names."""
        names = published_heads() | {'fc_out_0.rnn': 'reader.recurrence', 'fc_out_0.linear_1': 'reader.linear'}
        for number, ours in (('1', 'first'), ('2', 'second')):
            names[f'attn{number}'] = f'{ours}.attention'
            for prefix in ('', f'seq2seq{number}.'):
                encoder, decoder = (
                    f'{prefix}encoder{"" if prefix else number}',
                    f'{prefix}decoder{"" if prefix else number}',
                )
                names |= {f'{encoder}.rnn': f'{ours}.encoder', f'{encoder}.fc': f'{ours}.start'}
                names |= {f'{decoder}.attention': f'{ours}.attention', f'{decoder}.rnn': f'{ours}.decoder'}
                names |= {f'{decoder}.fc_out': f'{ours}.output'}
        return names


def translation_error(rebuilt: Tensor, truth: Tensor, keep: Tensor, size: int | None) -> Tensor:
    """Mean squared error over kept steps and unpadded features.

    Args:
        rebuilt: (B, T, D).
        truth: (B, T, D).
        keep: (B, T) bool.
        size: number of unpadded features; None for the published error, over all steps and features.
    """
    if size is None:
        return functional.mse_loss(rebuilt, truth)
    error = (rebuilt[..., :size] - truth[..., :size]).square().mean(dim=2)  # (B, T)
    return (error * keep).sum() / keep.sum().clamp(min=1)


class PublishedTranslator(nn.Module):
    """The published translator, which reads the first axis, that of the samples, as time.

    Args:
        source: feature size of the source.
        target: feature size D of the target.
        shape: `hidden` and `dropout` are read.
    """

    def __init__(self, source: int, target: int, shape: Widths) -> None:
        super().__init__()
        hidden = shape.hidden
        self.encoder = nn.LSTM(source, hidden, bidirectional=True)
        self.start = nn.Linear(hidden, hidden, bias=False)
        self.attention = AdditiveAttention(hidden)
        self.decoder = nn.LSTM(target + hidden, hidden, bidirectional=True)
        self.output = nn.Linear(2 * hidden, target)
        self.dropout = Dropout(shape.dropout)

    def encode(self, source: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, H) joint code, and the (T, H) initial state of the decoder: time is in place of the batch."""
        directions, (last, _) = self.encoder(source)  # (B, T, 2H) of two directions, (2, T, H)
        # (B, T, 2H) to (2, B, T, H), then (B, T, H), the sum of both directions
        joint = self.dropout(torch.stack(directions.chunk(2, dim=2)).sum(dim=0))
        return joint, torch.tanh(self.start(last[-1] + last[-2]))

    def forward(self, source: Tensor, target: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, H) joint code and (B, T, D) translation, whose first sample is zeros."""
        joint, state = self.encode(source, keep)
        codes = joint.transpose(0, 1)  # (T, B, H)
        projected = self.attention.project(codes)
        translated = [torch.zeros_like(target[0])]
        for previous in target[:-1]:
            context = self.attention(state.unsqueeze(1), codes, projected).squeeze(1)  # (T, H)
            directions, (last, _) = self.decoder(
                torch.cat([previous, context], dim=1).unsqueeze(0)
            )  # from (1, T, D + H)
            out = torch.stack(directions.squeeze(0).chunk(2, dim=1)).sum(dim=0)  # (1, T, 2H), then (T, H)
            state = last[-1] + last[-2]
            translated.append(self.output(torch.cat([out, context], dim=1)))  # (T, D), from (T, 2H)
        return joint, torch.stack(translated)  # (B, T, D)


class Translator(nn.Module):
    """(B, T, S) to its (B, T, H) joint code and a (B, T, D) translation, over time.

    Args:
        source: S.
        target: D.
        shape: `hidden` and `dropout` are read.
        teacher_forcing: share of steps that read the truth in training.
        at_once: in training the other steps read outputs of a first pass, so that there is no loop over steps
            (parallel scheduled sampling, Duckworth et al. 2019, arXiv:1906.04331).
    """

    def __init__(
        self, source: int, target: int, shape: Widths, teacher_forcing: float, *, at_once: bool = False
    ) -> None:
        super().__init__()
        hidden = shape.hidden
        self.teacher_forcing, self.at_once = teacher_forcing, at_once
        self.onward = nn.LSTM(source, hidden, batch_first=True)
        self.onward_reversed = nn.LSTM(source, hidden, batch_first=True)
        self.start = nn.Linear(hidden, hidden, bias=False)
        self.attention = AdditiveAttention(hidden)
        self.decoder = nn.LSTMCell(target + hidden, hidden)
        self.output = nn.Linear(2 * hidden, target)
        self.dropout = Dropout(shape.dropout)

    def encode(self, source: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, H) joint code, and the (B, H) initial state of the decoder; kept steps must come first."""
        order = _reversed_order(keep).unsqueeze(2)  # (B, T, 1)
        forward_states = self.onward(source)[0]  # (B, T, H)
        reversed_source = torch.take_along_dim(source, order, dim=1)  # (B, T, S), the last kept step first
        # (B, T, H), in the original order: with three kept steps, states c b a of the reversed source become a b c
        backward_states = torch.take_along_dim(self.onward_reversed(reversed_source)[0], order, dim=1)
        joint = self.dropout(forward_states + backward_states) * keep.unsqueeze(2)  # (B, T, H), the mask as (B, T, 1)
        return joint, torch.tanh(self.start(last_kept(forward_states, keep) + backward_states[:, 0]))

    def forward(self, source: Tensor, target: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, H) joint code and (B, T, D) translation; kept steps must come first."""
        joint, state = self.encode(source, keep)
        forced = None
        if self.training:
            draws = torch.rand(target.shape[1], len(target), 1, device=target.device)
            forced = (draws < self.teacher_forcing).transpose(0, 1)  # (T, B, 1) to (B, T, 1)
            if self.at_once:
                return joint, self._in_two_passes(joint, state, target, forced, keep)
        return joint, self._in_turn(joint, state, target, forced, keep)

    def _in_turn(self, joint: Tensor, state: Tensor, target: Tensor, forced: Tensor | None, keep: Tensor) -> Tensor:
        """(B, T, D) outputs, each of which reads the previous one, or the truth where `forced`, (B, T, 1), is true."""
        projected = self.attention.project(joint)
        carried, previous = torch.zeros_like(state), torch.zeros_like(target[:, 0])
        translated = []
        for step, truth in enumerate(target.unbind(dim=1)):  # T of (B, D)
            context = self.attention(state.unsqueeze(1), joint, projected, keep).squeeze(1)  # (B, H)
            state, carried = self.decoder(torch.cat([previous, context], dim=1), (state, carried))  # from (B, D + H)
            out = self.output(torch.cat([state, context], dim=1))  # (B, D), from (B, 2H)
            translated.append(out)
            previous = out if forced is None else torch.where(forced[:, step], truth, out)  # (B, D)
        return torch.stack(translated, dim=1)

    def _in_two_passes(self, joint: Tensor, start: Tensor, target: Tensor, forced: Tensor, keep: Tensor) -> Tensor:
        """(B, T, D) outputs of all steps at once.

        The first pass reads the truth, and the context to which the initial state attends. The second reads the outputs
        of the first where it is not forced, and the contexts to which its states attend; the gradient is that of the
        second pass.
        """
        projected = self.attention.project(joint)
        with torch.no_grad():
            context = self.attention(start.unsqueeze(1), joint, projected, keep).expand_as(joint)  # from (B, 1, H)
            states = self._states(target, context, start)
            first = self.output(torch.cat([states, context], dim=2))
        before = torch.cat([start.unsqueeze(1), states[:, :-1]], dim=1)  # (B, T, H) state before each step
        contexts = self.attention(before, joint, projected, keep)
        states = self._states(torch.where(forced, target, first), contexts, start)
        translated: Tensor = self.output(torch.cat([states, contexts], dim=2))  # (B, T, D), from (B, T, 2H)
        return translated

    def _states(self, outputs: Tensor, contexts: Tensor, start: Tensor) -> Tensor:
        """(B, T, H) states, where each step reads its context and the previous output."""
        previous = functional.pad(outputs, (0, 0, 1, 0))[:, :-1]  # (B, T, D), zeros first
        cell, initial = self.decoder, start.unsqueeze(0)  # (1, B, H)
        weights = [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]
        inputs = torch.cat([previous, contexts], dim=2), (initial, torch.zeros_like(initial))
        states: Tensor = torch.lstm(*inputs, weights, True, 1, 0.0, self.training, False, True)[0]
        return states


def _reversed_order(keep: Tensor) -> Tensor:
    """(B, T) indices that reverse the kept steps, which come first, and leave the rest.

    Of five steps of which three are kept:

        a b c - -    becomes    c b a - -    by the indices    2 1 0 3 4
    """
    step = torch.arange(keep.shape[1], device=keep.device)
    count = keep.sum(dim=1, keepdim=True)
    return torch.where(step < count, count - 1 - step, step)
