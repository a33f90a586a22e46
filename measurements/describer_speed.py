"""How fast a describer answers and learns: clips one by one and several at a time, features cached and made anew.

    python describer_speed.py [--batch 8] [--learnt 16] [--tokens 64] [--rounds 2] [--only answers|training]
                              [--processor NAME]

SmolLM2-135M with drawn projections and adapters, one thread. Answers: prompts of unlike lengths, and whether both ways
say the same. An answer that ends leaves the batch, so that the last steps are taken with fewer clips; beside it stand
the figures where none may end (`none_ends`), with all clips to the last token. Training: steps of the small describer's
form with features from memory, and with the encoders of its sources run for every clip at every step: layers of Whisper
and acoustic readings of read speech, readings of the face in the demo video. Seconds are of the processor; ratios are
of medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from affekt.corpora import Facts, Manifest, Sample
from affekt.description import (
    Adapters,
    Asked,
    Describer,
    DescriberSettings,
    Kind,
    Limits,
    Source,
    Trunk,
    kind_of,
    open_trunk,
    with_adapters,
)
from affekt.features import RECIPES, SampleEncoder, Unable
from affekt.features.recipes import outcomes
from affekt.runs import versions, write_atomically
from affekt.typed_json import json_file
from affekt.weights import model_path

RESULT = Path(__file__).resolve().parent / 'results' / 'describer_speed.json'
SOURCES = (Source('voice', 128, tokens=3, scaled=True), Source('face', 52, tokens=2, scaled=True))
LEARNT = {'voice': 'voice-layers-utt', 'prosody': 'speech-acoustics-utt', 'face': 'faces-utt'}
"""Sources of the small describer to their recipes; of words nothing slow is read."""
WORDS = [
    'I',
    'did',
    'not',
    'think',
    'that',
    'you',
    'would',
    'come',
    'back',
    'after',
    'all',
    'that',
    'happened',
    'here',
    'last',
    'night,',
    'did',
    'you',
]


def clips(describer: Describer, count: int) -> list[Asked]:
    """Some without a face, some with more words than others."""
    generator = torch.Generator().manual_seed(0)
    asked = []
    for number in range(count):
        features = {'voice': torch.randn(4, 128, generator=generator), 'face': torch.randn(8, 52, generator=generator)}
        if number % 3 == 2:
            del features['face']
        words = ' '.join(WORDS[: 2 + 2 * number % len(WORDS)])
        asked.append(
            describer.prompt(features, kind_of(('voice', 'face')), 'How does the person come across?', words=words)
        )
    return asked


def answering_speed(trunk: Trunk, count: int, tokens: int, rounds: int) -> dict[str, Any]:
    """Tokens a processor second, one by one and together: answers that end where they do, and that may not end."""
    describer = Describer(trunk, SOURCES).eval()
    batch = clips(describer, count)
    result = {'trunk': trunk.name, 'batch': count, 'tokens': tokens, 'rounds': rounds}
    result |= pace(describer, batch, tokens, rounds)
    describer.vocabulary = replace(describer.vocabulary, end=NO_TOKEN)
    return {**result, 'none_ends': pace(describer, batch, tokens, rounds)}


NO_TOKEN = -1


def pace(describer: Describer, batch: Sequence[Asked], tokens: int, rounds: int) -> dict[str, Any]:
    """Tokens a processor second, one by one and together."""
    limits = Limits(tokens=tokens, stops=())
    seconds: dict[str, list[float]] = {'alone': [], 'together': []}
    for _ in range(rounds):
        begin = time.process_time()
        alone = [describer.generate([clip], limits)[0] for clip in batch]
        seconds['alone'].append(time.process_time() - begin)
        begin = time.process_time()
        together = describer.generate(batch, limits)
        seconds['together'].append(time.process_time() - begin)
    made = [len(answer.tokens) for answer in together]
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        'tokens_of_answers': made,
        'tokens_per_second': {name: round(sum(made) / value, 2) for name, value in medians.items()},
        'ratio': round(medians['alone'] / medians['together'], 2),
        'same_answers': sum(first == second for first, second in zip(alone, together, strict=True)),
    }


def encoded(names: Sequence[str], manifest: Manifest) -> dict[str, np.ndarray]:
    """Features of the one sample by some recipes, whose encoders are open."""
    made = {}
    for name in names:
        (outcome,) = outcomes(OPENED[name], manifest, list(manifest.samples))
        if isinstance(outcome, Unable):
            raise SystemExit(f'{name}: {outcome.reason}')
        made[name] = outcome.values
    return made


OPENED: dict[str, SampleEncoder] = {}
"""Recipe to its encoder; opening is not counted."""


def training_speed(trunk: Trunk, batch: int, rounds: int) -> dict[str, Any]:
    """Steps a processor second with features cached and made anew, for a voice alone and with a face."""
    clip = Sample('clip', audio=str(model_path('read_speech.wav')), video=str(model_path('carphone.mp4')))
    manifest = Manifest(Facts('clips', root=''), [clip])
    OPENED.update({name: RECIPES[name].open(RECIPES[name]) for name in LEARNT.values()})
    result: dict[str, Any] = {'batch': batch}
    for title, sources in {'voice': ('voice', 'prosody'), 'voice and face': ('voice', 'prosody', 'face')}.items():
        rows = [Source(n, RECIPES[LEARNT[n]].dimension, fusion='mean', scaled=True) for n in sources]
        describer = Describer(trunk, rows, DescriberSettings(family='bare')).train()
        optimiser = torch.optim.AdamW([each for each in describer.parameters() if each.requires_grad], 1e-4, fused=True)
        kind = kind_of(sources, words=False, bare=True)

        def step(features: Sequence[dict[str, np.ndarray]], describer: Describer = describer, kind: Kind = kind,
                 sources: Sequence[str] = sources, optimiser: Any = optimiser) -> None:  # fmt: skip
            asked = [
                describer.prompt({n: torch.tensor(each[LEARNT[n]]) for n in sources}, kind, 'Emotions:', answer=' sad')
                for each in features
            ]
            describer(asked, is_whole=False).loss.backward()
            optimiser.step()
            optimiser.zero_grad()

        recipes = [LEARNT[name] for name in sources]
        cached = [encoded(recipes, manifest)] * batch
        seconds: dict[str, list[float]] = {'cached': [], 'made anew': []}
        step(cached)
        for _ in range(rounds):
            begin = time.process_time()
            step(cached)
            seconds['cached'].append(time.process_time() - begin)
            begin = time.process_time()
            step([encoded(recipes, manifest) for _ in range(batch)])
            seconds['made anew'].append(time.process_time() - begin)
        medians = {name: statistics.median(each) for name, each in seconds.items()}
        result[title] = {
            'seconds_a_step': {name: round(each, 3) for name, each in medians.items()},
            'ratio': round(medians['made anew'] / medians['cached'], 1),
        }
    return result


def step_parts(trunk: Trunk, batch: int, rounds: int) -> dict[str, float]:
    """Processor seconds of what a cached step with a voice alone consists of, and how many tokens it reads.

    Where the products with the frozen weights alone, forward and back, take longer than a ninth of what the encoders
    take, no caching and no shorter step is ten times as fast as one with encoders.
    """
    sources = ('voice', 'prosody')
    rows = [Source(n, RECIPES[LEARNT[n]].dimension, fusion='mean', scaled=True) for n in sources]
    describer = Describer(trunk, rows, DescriberSettings(family='bare')).train()
    optimiser = torch.optim.AdamW([each for each in describer.parameters() if each.requires_grad], 1e-4, fused=True)
    features = {n: torch.randn(1, RECIPES[LEARNT[n]].dimension) for n in sources}
    seconds: dict[str, list[float]] = {}

    def taken(name: str, begin: float) -> float:
        now = time.process_time()
        seconds.setdefault(name, []).append(now - begin)
        return now

    for _ in range(rounds + 1):
        begin = time.process_time()
        kind = kind_of(sources, words=False, bare=True)
        asked = [describer.prompt(features, kind, 'Emotions:', answer=' sad') for _ in range(batch)]
        embedded = describer.embed(asked)
        begin = taken('prompts and soft tokens', begin)
        loss = describer(asked, is_whole=False).loss
        begin = taken('language model forward', begin)
        loss.backward()
        begin = taken('language model back', begin)
        optimiser.step()
        optimiser.zero_grad()
        taken('optimiser', begin)
        begin = time.process_time()
        tokens = int(embedded.keep_mask[:, :-1].sum())  # the end of an answer is predicted, and not read
        least_products(describer.trunk, tokens)
        taken('frozen weights alone', begin)
    parts = {name: round(statistics.median(each[1:]), 3) for name, each in seconds.items()}
    return {**parts, 'tokens': float(tokens)}


def least_products(network: torch.nn.Module, tokens: int) -> None:
    """The products of a step that cannot be left out: tokens by frozen weights, and their gradients back."""
    weights = [
        weight for name, weight in network.named_parameters()
        if weight.ndim == 2 and not weight.requires_grad and 'embed' not in name and 'lm_head' not in name
    ]  # fmt: skip
    rows = {width: torch.randn(tokens, width) for weight in weights for width in weight.shape}
    with torch.no_grad():
        for weight in weights:
            torch.nn.functional.linear(rows[weight.shape[1]], weight)
        for weight in reversed(weights):
            rows[weight.shape[0]] @ weight


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--learnt', type=int, default=16, help='clips in a step of training')
    parser.add_argument('--tokens', type=int, default=64)
    parser.add_argument('--rounds', type=int, default=2)
    parser.add_argument('--only', choices=('answers', 'training'), help='what is measured; the rest stays as it is')
    parser.add_argument('--processor', help='name of another processor, whose figures are noted beside the first')
    options = parser.parse_args()
    torch.set_num_threads(1)
    begin = time.process_time()
    trunk = open_trunk('smollm2-135m-instruct.gguf')
    opened_s = time.process_time() - begin
    result: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    adapted = with_adapters(trunk, Adapters())
    if options.only != 'training':
        answers = answering_speed(adapted, options.batch, options.tokens, options.rounds)
        if options.processor:
            result.setdefault('answers_on_other_processors', {})[options.processor] = answers
        else:
            result |= answers | {'versions': versions(), 'trunk_opened_s': round(opened_s, 2)}
    if options.only != 'answers':
        training = training_speed(adapted, options.learnt, options.rounds)
        training['voice']['parts_of_a_cached_step'] = step_parts(adapted, options.learnt, options.rounds)
        if options.processor:
            result.setdefault('training_on_other_processors', {})[options.processor] = training
        else:
            result['training'] = training
    write_atomically(RESULT, json_file(result))
    print(json.dumps(result, indent=2))


if __name__ == '__main__':
    main()
