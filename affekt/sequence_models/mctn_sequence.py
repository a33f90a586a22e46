"""MCTN with a prediction for every frame: a chain of translations between modalities, whose joint code is read.

The first modality is translated to the second and back, and the joint code to each of the others in turn; the last
joint code predicts, so that the prediction depends on the first modality only. The others are targets in training; the
decoders run only then. By the definition of the method, a decoder attends to all codes at every step, T² in a window,
and its steps are sequential: of all models here it is by far the slowest to train.

Axes: B batch, T frames, D the largest feature size, H hidden.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.errors import ValueRangeError
from affekt.fusion import Losses, PublishedTranslator, Translator, translation_error
from affekt.nn import NameMap, kept_first
from affekt.sequence_models.form import Kept, SequenceModel, SequenceShape, published_reader
from affekt.sequence_models.recurrence import TwoWayRecurrence, spread_over

CHAIN = ('text', 'video', 'audio')
"""The published order of translation."""


class TranslationSequence(SequenceModel):
    """`mctn_sequence`: translators in a chain, then a bidirectional recurrence over the joint code.

    The published code reads the first axis, the windows of a batch, as time, so that they change each other's
    predictions, and its decoder is given the truth at every step. The corrected form reads time, and its decoders read
    the truth or their own output of a first pass, so that no step depends on the previous one. Its published settings
    are H 256, dropout 0.2, teacher forcing 0.3 and a weight of 0.5. Modalities that are not audio, text or video are
    translated to last, in the order given.

    Args:
        teacher_forcing: share of steps that read the truth in training.
        translation: weight of the errors of all translations.

    Source: Pham et al. 2019, arXiv:1812.07809, section 3, as the entry of Wen et al. to the sixth ABAW competition has
    it.
    """

    fewest_modalities = 2

    def __init__(self, shape: SequenceShape, *, teacher_forcing: float = 0.3, translation: float = 0.5) -> None:
        if not (0 <= teacher_forcing <= 1 and 0 <= translation < math.inf):
            raise ValueRangeError(
                expected='teacher_forcing in [0, 1] and translation of 0 or more',
                came=f'{teacher_forcing}, {translation}', todo='choose others',
            )  # fmt: skip
        super().__init__(shape, width=2 * shape.hidden)
        self.chain = [name for name in CHAIN if name in shape.sizes]
        self.chain += [name for name in shape.sizes if name not in self.chain]
        self.size = max(shape.sizes.values())
        self.weight = translation
        self.translators = nn.ModuleList()
        for number, _ in enumerate(self.chain[1:]):
            source = shape.hidden if number else self.size
            self.translators.append(
                Translator(source, self.size, shape, teacher_forcing, at_once=True)
                if shape.corrected
                else PublishedTranslator(source, self.size, shape)
            )
        self.reader = TwoWayRecurrence(shape.hidden, shape.hidden)

    def read(self, features: dict[str, Tensor], kept: Kept) -> tuple[Tensor, Losses]:
        """The (B, T, 2H) states of both directions; in training, the loss of each translation by modality."""
        masked = self.shape.corrected and not kept.whole
        keep = kept.of
        frames = kept.frames
        if masked:
            # a frame may be missing in one modality and kept in another, so each mask is moved along as a feature
            moved = {
                name: kept_first(torch.cat([value, keep[name].unsqueeze(2)], dim=2), kept.frames)[0]
                for name, value in features.items()
            }
            features = {name: value[..., :-1] for name, value in moved.items()}
            keep = {name: value[..., -1] > 0.5 for name, value in moved.items()}
            frames = kept_first(kept.frames.unsqueeze(2), kept.frames)[1]
        # (B, T, D), zeros beyond a modality's own features
        padded = {name: functional.pad(value, (0, self.size - value.shape[2])) for name, value in features.items()}
        joint, rebuilt = self._translate(padded, frames)
        losses = {}
        for name, translated in rebuilt.items():
            size = self.shape.sizes[name] if self.shape.corrected else None
            losses[name] = self.weight * translation_error(translated, padded[name], keep[name], size)
        if masked:
            joint = spread_over(joint, kept.frames)
        return self.reader(joint, kept.frames if masked else None), losses

    def _translate(self, padded: dict[str, Tensor], keep: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The last (B, T, H) joint code; in training, also modality to its (B, T, D) translation."""
        joint = padded[self.chain[0]]
        rebuilt = {}
        for number, (name, translator) in enumerate(zip(self.chain[1:], self.translators, strict=True)):
            assert isinstance(translator, Translator | PublishedTranslator)
            if not self.training:
                joint = translator.encode(joint, keep)[0]
                continue
            joint, rebuilt[name] = translator(joint, padded[name], keep)
            if number == 0:
                first = self.chain[0]
                rebuilt[first] = translator(rebuilt[name], padded[first], keep)[1]
        return joint, rebuilt

    def published_names(self) -> NameMap:
        """Published state names to ours: each translator is saved three times over, under tied names."""
        names = published_reader('fc_out_0') | {'fc_out_2': 'value_head'}
        for number in range(len(self.chain) - 1):
            ours, letter = f'translators.{number}', str(number + 1)
            names[f'attn{letter}'] = f'{ours}.attention'
            for prefix, end in (('', letter), (f'seq2seq{letter}.', '')):
                names[f'{prefix}encoder{end}.rnn'] = f'{ours}.encoder'
                names[f'{prefix}encoder{end}.fc'] = f'{ours}.start'
                names[f'{prefix}decoder{end}.attention'] = f'{ours}.attention'
                names[f'{prefix}decoder{end}.rnn'] = f'{ours}.decoder'
                names[f'{prefix}decoder{end}.fc_out'] = f'{ours}.output'
        return names
