"""Language networks (BERT and similar, T5, language models): text to one state per token.

Published: a text without words is a row of zeros; a text longer than the model's positions stops the program and
is reported as missing here. Corrected: a text without words, or with none that the tokenizer knows, has no features;
longer texts are read in windows.

Axes: B batch, T tokens, D size of a state.

Source: arXiv:2401.03429; github.com/zeroQiaoba/MERTools, MERBench/feature_extraction/text/extract_text_huggingface.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from affekt.arrays import Floats32, Ints
from affekt.encoders.backbones import Backbone, as_array
from affekt.encoders.encoder import Encoded, EncoderSettings, Layers
from affekt.encoders.families import Family
from affekt.encoders.folders import open_network
from affekt.encoders.known_words import all_unknown, require_words
from affekt.encoders.tokens import Window, ends_of_words, most_tokens, open_tokenizer, rated_tokens, windows
from affekt.errors import WeightsError


class TextBackbone(Backbone):
    """Word pieces of a text; special tokens at the ends are read but masked.

    Args:
        network: network of transformers.
        tokenizer: its tokenizer.
        layers: see `Backbone`.
        longest: number of word pieces after which `prepare` cuts a text, at most the network's limit; None for that
            limit.
    """

    modality = 'text'
    special: Tensor

    def __init__(self, network: Any, tokenizer: Any, layers: Layers = 'last', longest: int | None = 128) -> None:
        super().__init__(network, layers)
        self._tokenizer = tokenizer
        self._limit = most_tokens(network)
        """Maximum number of tokens at once; None if the network has no limit."""
        requested = longest or self._limit or rated_tokens(network.config)
        self._longest = min(requested, self._limit or requested, tokenizer.model_max_length)
        special_ids = sorted(set(tokenizer.all_special_ids) - {tokenizer.unk_token_id})
        self._filler = tokenizer.pad_token_id or 0
        self.register_buffer('special', torch.tensor(special_ids, dtype=torch.int64), persistent=False)

    @classmethod
    def open(cls, path: Path, settings: EncoderSettings, family: Family) -> TextBackbone:
        """The network and the tokenizer of a folder.

        Raises:
            WeightsError: network or tokenizer cannot be opened, they do not belong together, or the network also
                generates.
        """
        _, network = open_network(path, family.loader, settings.device, settings.precision)
        architecture = network.config.model_type
        if network.config.is_encoder_decoder and family.loader == 'AutoModel':
            raise WeightsError(
                expected='a network that reads, or T5', came=f'{architecture} in {path}, which reads and writes',
                todo='use another model',
            )  # fmt: skip
        tokenizer = open_tokenizer(path, architecture, settings.tokenizer)
        require_words(tokenizer, int(network.get_input_embeddings().num_embeddings), path)
        return cls(network, tokenizer, settings.layers, settings.longest).eval()

    def prepare(self, sample: str) -> Ints:
        """(T, 1) token numbers of a text; an empty text has its special tokens, or one filler token."""
        pieces = self._tokenizer(sample, truncation=True, max_length=self._longest)['input_ids']
        return np.array(pieces or [self._filler], dtype=np.int64)[:, None]

    def forward(self, rows: Tensor, keep_mask: Tensor) -> tuple[Tensor, Tensor]:
        """One state per word piece."""
        pieces = torch.where(keep_mask, rows[..., 0], self._filler)  # (B, T)
        is_word = keep_mask & ~torch.isin(pieces, self.special)
        states = self.states(input_ids=pieces, attention_mask=keep_mask.long())
        return states, torch.where(is_word.any(dim=1, keepdim=True), is_word, keep_mask)

    def encode(self, samples: Sequence[str], *, is_published: bool = False) -> list[Encoded | str]:
        """(T, D) features of each text; corrected, windows of equal length are run together, across texts."""
        return [self._published(text) for text in samples] if is_published else self._corrected(samples)

    @cached_property
    def _ends(self) -> tuple[int, int | None]:
        return ends_of_words(self._tokenizer, self.network.config.name_or_path)

    def _run(self, tokens: Mapping[str, Any]) -> Floats32:
        """(B, T, D) states of B sequences of one length."""
        with torch.inference_mode():
            inputs = {name: torch.tensor(token_ids, device=self.network.device) for name, token_ids in tokens.items()}
            return as_array(self.states(**inputs))

    def _published(self, text: str) -> Encoded | str:
        begin, end = self._ends
        tokens = self._tokenizer([text])
        size = len(tokens['input_ids'][0])
        if self._limit is not None and size > self._limit:
            return f'{size} tokens, above the {self._limit} of the model: the published program stops'
        rows = self._run(tokens)[0, begin:end] if text and size else np.zeros((0, self.size), np.float32)
        return Encoded(rows if len(rows) else np.zeros((1, self.size), np.float32))

    def _corrected(self, texts: Sequence[str]) -> list[Encoded | str]:
        longest = self._limit or rated_tokens(self.network.config)
        sequences = [windows(self._tokenizer, text, longest) for text in texts]
        rows = self._rows_of_words(sequences)
        results: list[Encoded | str] = []
        for text_index, text_windows in enumerate(sequences):
            words = [rows[text_index, window_index] for window_index in range(len(text_windows))]
            if all_unknown(
                (np.asarray(tokens['input_ids'])[is_word] for tokens, is_word in text_windows), self._tokenizer
            ):
                results.append('no word that the tokenizer knows')
            elif not sum(map(len, words)):
                results.append('nothing was said')
            else:
                results.append(Encoded(np.concatenate(words)))
        return results

    def _rows_of_words(self, sequences: Sequence[Sequence[Window]]) -> dict[tuple[int, int], Floats32]:
        """Index of a text and of its window to the (words, D) states of the tokens that are words."""
        keys_by_length: dict[int, list[tuple[int, int]]] = {}
        """Length to the indices (text, window) of the windows of this length."""
        for text_index, text_windows in enumerate(sequences):
            for window_index, (tokens, _) in enumerate(text_windows):
                keys_by_length.setdefault(len(tokens['input_ids']), []).append((text_index, window_index))
        rows: dict[tuple[int, int], Floats32] = {}
        for keys in keys_by_length.values():
            batch = [sequences[text_index][window_index] for text_index, window_index in keys]
            states = self._run({name: [tokens[name] for tokens, _ in batch] for name in batch[0][0]})
            rows |= {
                key: window_states[is_word]
                for key, window_states, (_, is_word) in zip(keys, states, batch, strict=True)
            }
        return rows
