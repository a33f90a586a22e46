"""Tokens per second of a describer that answers clips one by one and several at a time, and whether both say the same.

    python describer_speed.py [--batch 8] [--tokens 64] [--rounds 2]

SmolLM2-135M with drawn projections and adapters, prompts of unlike lengths, one thread; no answer ends early. Seconds
are of the processor; the ratio is of medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from affekt.description import Adapters, Asked, Describer, Limits, Source, kind_of, open_trunk, with_adapters
from affekt.runs import versions, write_atomically

RESULT = Path(__file__).resolve().parent / 'results' / 'describer_speed.json'
SOURCES = (Source('voice', 128, tokens=3, scaled=True), Source('face', 52, tokens=2, scaled=True))
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
        asked.append(describer.prompt(features, kind_of(('voice', 'face')), 'What does the person feel?', words=words))
    return asked


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--tokens', type=int, default=64)
    parser.add_argument('--rounds', type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    begin = time.process_time()
    trunk = open_trunk('smollm2-135m-instruct.gguf')
    opened_s = time.process_time() - begin
    describer = Describer(with_adapters(trunk, Adapters()), SOURCES).eval()
    batch, limits = clips(describer, options.batch), Limits(tokens=options.tokens, stops=())
    seconds: dict[str, list[float]] = {'alone': [], 'together': []}
    for _ in range(options.rounds):
        begin = time.process_time()
        alone = [describer.generate([clip], limits)[0] for clip in batch]
        seconds['alone'].append(time.process_time() - begin)
        begin = time.process_time()
        together = describer.generate(batch, limits)
        seconds['together'].append(time.process_time() - begin)
    made = sum(len(answer.tokens) for answer in together)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    result = {
        'trunk': trunk.name, 'batch': options.batch, 'tokens': options.tokens, 'rounds': options.rounds,
        'versions': versions(), 'trunk_opened_s': round(opened_s, 2),
        'tokens_per_second': {name: round(made / value, 2) for name, value in medians.items()},
        'ratio': round(medians['alone'] / medians['together'], 2),
        'same_answers': sum(first == second for first, second in zip(alone, together, strict=True)),
    }  # fmt: skip
    write_atomically(RESULT, (json.dumps(result, indent=2) + '\n').encode())
    print(json.dumps(result, indent=2))


if __name__ == '__main__':
    main()
