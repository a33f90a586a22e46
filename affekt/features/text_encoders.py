"""Networks that read words (BERT and its kin, T5, language models): a transcript to one row a token.

Published: the text is run once and whole; which tokens at both ends are not words is found by encoding one Chinese
sentence and looking where it comes back, so that a tokenizer without Chinese stops the program. Nothing understood is a
row of zeros. A text above the positions of the model stops the program as well; here it is named as missing.

Corrected: the tokenizer itself says which tokens it added; a text without words, or with none that the tokenizer knows,
has no features; what is too long is read in windows that follow each other.

T tokens, D columns.

Source: arXiv:2401.03429; github.com/zeroQiaoba/MERTools, MERBench/feature_extraction/text/extract_text_huggingface.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affekt.corpora import Manifest, Sample
from affekt.encoders.folders import open_network, open_reader
from affekt.encoders.known_words import all_unknown, require_words
from affekt.errors import WeightsError
from affekt.features.recipes import Encoder, Features, Floats, Recipe, Unable
from affekt.features.speech_encoders import last_four

PROBE = '今天天气真好'
"""The sentence by which the published program finds the ends."""
POSITIONS = re.compile(r'(^|\.)(position_embeddings?|embed_positions|wpe)$')
"""Names of vectors for each position; RoBERTa and its kin begin to count behind the padding token, OPT behind two."""
WINDOW = 512
"""Tokens of a window where the model says nothing of length."""


def open_text(path: Path, device: str, recipe: Recipe) -> Encoder:
    """An encoder of transcripts.

    Raises:
        WeightsError: the folder cannot be opened, the network does more than read, or the published probe fails on its
            tokenizer.
    """
    is_published, is_row = recipe.facts['form'] == 'published', recipe.facts['level'] == 'UTT'
    loader = 'T5EncoderModel' if recipe.facts['family'] == 't5' else 'AutoModel'
    torch, network = open_network(path, loader, device, recipe.facts['precision'])
    if network.config.is_encoder_decoder and loader == 'AutoModel':
        raise WeightsError(
            expected='a network that reads, or T5',
            came=f'{network.config.model_type} in {path}, which reads and writes',
            todo='use another model',
        )
    tokenizer = _tokenizer(path, recipe)
    require_words(tokenizer, int(network.get_input_embeddings().num_embeddings), path)
    ends = _ends(tokenizer, path) if is_published else (0, None)
    limit = _positions(network)
    window = limit or _rated(network.config)

    def run(tokens: Mapping[str, Any]) -> Any:
        """(B, T, D) of B sequences of one length."""
        with torch.inference_mode():
            given = {name: torch.tensor(held, device=network.device) for name, held in tokens.items()}
            found = network(**given, output_hidden_states=True)
        return last_four(found.hidden_states, found.last_hidden_state).float().cpu().numpy()

    def published(sample: str, text: str) -> Floats | Unable:
        tokens = tokenizer([text])
        size = len(tokens['input_ids'][0])
        if limit is not None and size > limit:
            return Unable(sample, f'{size} tokens, above the {limit} of the model: the published program stops')
        rows = run(tokens)[0, slice(*ends)] if text and size else ()
        return np.asarray(rows) if len(rows) else np.zeros((1, recipe.dimension), np.float32)

    def corrected(texts: Mapping[str, str]) -> dict[str, Floats | Unable]:
        """(T, D) of each sample's text; T is 0 where it has no words. Windows of one length are run together."""
        windows = [_windows(tokenizer, text, window) for text in texts.values()]
        places: dict[int, list[tuple[int, int]]] = {}
        for at, held in enumerate(windows):
            for number, (tokens, _) in enumerate(held):
                places.setdefault(len(tokens['input_ids']), []).append((at, number))
        rows: dict[tuple[int, int], Floats] = {}
        for some in places.values():
            together = [windows[at][number] for at, number in some]
            names = list(together[0][0])
            states = run({name: [tokens[name] for tokens, _ in together] for name in names})
            rows |= {place: held[words] for place, held, (_, words) in zip(some, states, together, strict=True)}
        none = np.zeros((0, recipe.dimension), np.float32)
        answers: dict[str, Floats | Unable] = {}
        for at, (sample, pieces) in enumerate(zip(texts, windows, strict=True)):
            if all_unknown((np.asarray(tokens['input_ids'])[words] for tokens, words in pieces), tokenizer):
                answers[sample] = Unable(sample, 'no word that the tokenizer knows')
            else:
                answers[sample] = np.concatenate([none, *(rows[at, number] for number in range(len(pieces)))])
        return answers

    def encoder(manifest: Manifest, samples: Sequence[Sample]) -> list[Features | Unable]:
        said = {row.sample: getattr(row, recipe.facts['column']) for row in samples}
        known = {name: text for name, text in said.items() if text is not None}
        found: dict[str, Floats | Unable]
        found = {name: published(name, text) for name, text in known.items()} if is_published else corrected(known)
        return [_features(recipe, name, found.get(name), is_row) for name in said]

    return encoder


def _features(recipe: Recipe, sample: str, rows: Floats | Unable | None, is_row: bool) -> Features | Unable:
    if isinstance(rows, Unable):
        return rows
    if rows is None or not len(rows):
        return Unable(sample, 'no transcript' if rows is None else 'nothing was said')
    return recipe.features(sample, rows.mean(axis=0) if is_row else rows)


def _tokenizer(path: Path, recipe: Recipe) -> Any:
    """What turns words into tokens, as it did when features were published.

    Newer releases of transformers forget two things: that XLNet's last mark is of a segment of its own, and that the
    SentencePiece model of LLaMA puts a mark in front where no file says otherwise.
    """
    how = {}
    told = path / 'tokenizer_config.json'
    is_bare = (path / 'tokenizer.model').is_file() and not (path / 'tokenizer.json').is_file()
    if recipe.facts['architecture'] == 'llama' and is_bare:
        how = {} if told.is_file() and 'add_bos_token' in told.read_text(encoding='utf-8') else {'add_bos_token': True}
    held = open_reader(path, recipe.facts['tokenizer'], **how)
    if recipe.facts['architecture'] == 'xlnet':
        held.model_input_names = ['input_ids', 'token_type_ids', 'attention_mask']
    return held


def _ends(tokenizer: Any, path: Path) -> tuple[int, int | None]:
    """Where the words of a token sequence begin and end, as the published program looks for it.

    Raises:
        WeightsError: the probe does not come back.
    """
    tokens = tokenizer(PROBE)['input_ids']

    def shown(begin: int, end: int | None) -> str:
        return str(tokenizer.decode(tokens[begin:end])).replace(' ', '')

    begin = next((at for at in range(3) if shown(at, None).startswith(PROBE)), 2)
    if shown(begin, None) == PROBE:
        return begin, None
    end = next((at for at in (-1, -2) if shown(begin, at) == PROBE), None)
    if end is None:
        raise WeightsError(
            expected=f'a tokenizer that gives {PROBE} back, as the published program asks',
            came=f'{shown(begin, -1)!r} from {path}',
            todo='use the recipe without merbench-, which asks the tokenizer instead',
        )
    return begin, end


def _positions(network: Any) -> int | None:
    """The most tokens that the network takes at once, one for each vector of a position; None where it has none."""
    for name, module in network.named_modules():
        if POSITIONS.search(name) and hasattr(module, 'num_embeddings'):
            skipped = getattr(module, 'offset', None) or (0 if module.padding_idx is None else module.padding_idx + 1)
            return int(module.num_embeddings) - int(skipped)
    return None


def _rated(config: Any) -> int:
    """How many tokens a network without a fixed end was made for."""
    return max(int(getattr(config, 'max_position_embeddings', 0) or 0), 0) or WINDOW


def _windows(tokenizer: Any, text: str, longest: int) -> list[tuple[dict[str, list[int]], Any]]:
    """Token sequences of at most that length that follow each other, and (T,) True where a token is a word's."""
    told = tokenizer(text, truncation=True, max_length=longest, return_overflowing_tokens=True,
                     return_special_tokens_mask=True)  # fmt: skip
    added = told.pop('special_tokens_mask')
    told.pop('overflow_to_sample_mapping', None)
    names = [name for name in told if name in tokenizer.model_input_names]
    if not added or not isinstance(added[0], list):  # a tokenizer that cuts off what is too long
        if told.get('num_truncated_tokens', 0) > 0:
            return _cut(tokenizer, text, longest)
        return [({name: told[name] for name in names}, ~np.array(added, dtype=bool))]
    return [
        ({name: told[name][at] for name in names}, ~np.array(held, dtype=bool))
        for at, held in enumerate(added)
        if not all(held)
    ]


def _cut(tokenizer: Any, text: str, longest: int) -> list[tuple[dict[str, list[int]], Any]]:
    """The same where the tokenizer makes no windows itself."""
    numbers = tokenizer(text, add_special_tokens=False)['input_ids']
    size = longest - tokenizer.num_special_tokens_to_add()
    found = []
    for begin in range(0, len(numbers), size):
        piece = numbers[begin : begin + size]
        whole = tokenizer.build_inputs_with_special_tokens(piece)
        first = next(at for at in range(len(whole)) if whole[at : at + len(piece)] == piece)
        place = np.arange(len(whole))
        held = {'input_ids': whole, 'attention_mask': [1] * len(whole), 'token_type_ids': [0] * len(whole)}
        tokens = {name: held[name] for name in held if name in tokenizer.model_input_names}
        found.append((tokens, (place >= first) & (place < first + len(piece))))
    return found
