"""Opening a language model from a GGUF file: seconds, and whether its weights and tokens are those of other readers.

    python gguf_open.py [--model FILE.gguf] [--without-transformers]

The file is made into a folder of safetensors once (first start) and opened from there (second start), each in a process
of its own, beside the reader of transformers. Weights are compared number by number with the latter, tokens with it and
with llama.cpp. Seconds are of the processor, imports included; the machine is shared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from affekt.runs import versions, write_atomically
from affekt.typed_json import json_file
from affekt.weights import model_path

RESULT = Path(__file__).resolve().parent / 'results' / 'gguf_open.json'
TEXTS = (
    'The person sounds sad and speaks slowly.', 'In 2024, 1,234.5 people; x²+½ = ٣٤?', 'Ça va? naïve “quoted” — done…',
    '  two  spaces\n\n\tand a tab  \r\n', '日本語のテキスト と 中文', 'emoji 🙂‍↔️ and 👩🏽‍🔬!',
    "I'm sure they'll say we've, can't; DON'T",
    'https://example.org/a_b?c=d&e=%20', '###Human: hi ###Assistant: ', 'a' * 70, '', ' ', '\n',
    '<|im_start|>user\nHi<|im_end|>\n',
)  # fmt: skip
"""What tokenizers are compared on."""
OURS = """
import sys, time
from affekt.llm import opened_gguf
from transformers import AutoModelForCausalLM, AutoTokenizer
folder = opened_gguf(__import__('pathlib').Path(sys.argv[1]))
AutoTokenizer.from_pretrained(folder)
AutoModelForCausalLM.from_pretrained(folder).eval()
print(time.process_time())
"""
THEIRS = """
import sys, time, pathlib
from transformers import AutoModelForCausalLM, AutoTokenizer
path = pathlib.Path(sys.argv[1])
AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name).eval()
print(time.process_time())
"""


def seconds(code: str, path: Path, cache: str) -> float:
    """Of the processor, of a process that opens the model."""
    environment = {**os.environ, 'AFFEKT_CACHE': cache, 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        [sys.executable, '-c', code, str(path)], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def compared(path: Path, folder: Path) -> dict[str, Any]:
    """Weights and tokens beside those that transformers reads from the file itself."""
    from safetensors.numpy import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ours = load_file(folder / 'model.safetensors')
    theirs = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name).state_dict()
    tied = {name for name in theirs if name not in ours}
    same = {name: bool((theirs[name].float().numpy() == value).all()) for name, value in ours.items()}
    largest = max(float(abs(theirs[name].float().numpy() - value).max()) for name, value in ours.items())
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    own = AutoTokenizer.from_pretrained(folder)
    return {
        'tensors': len(ours),
        'numbers': sum(value.size for value in ours.values()),
        'tensors_equal_to_the_bit': sum(same.values()),
        'largest_difference': largest,
        'only_in_theirs': sorted(tied),
        'texts_with_other_tokens': [
            text for text in TEXTS
            if tokenizer.encode(text, add_special_tokens=False) != own.encode(text, add_special_tokens=False)
        ],
    }  # fmt: skip


def beside_llama_cpp(path: Path, folder: Path) -> list[str]:
    """Texts whose tokens are others in llama.cpp."""
    from cyllama.llama import llama_cpp
    from tokenizers import Tokenizer

    parameters = llama_cpp.LlamaModelParams()
    model = llama_cpp.LlamaModel(str(path), parameters)  # its vocabulary lives no longer than it does
    vocabulary = model.get_vocab()
    own = Tokenizer.from_file(str(folder / 'tokenizer.json'))
    return [
        text for text in TEXTS
        if text and list(vocabulary.tokenize(text, add_special=False, parse_special=True)) != own.encode(text).ids
    ]  # fmt: skip


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', type=Path)
    parser.add_argument('--without-transformers', action='store_true', help='leave out its own reading, which is slow')
    options = parser.parse_args()
    path = options.model or model_path('smollm2-135m-instruct.gguf')
    with tempfile.TemporaryDirectory() as cache:
        result: dict[str, Any] = {'model': path.name, 'bytes': path.stat().st_size, 'versions': versions()}
        result['first_start_s'] = seconds(OURS, path, cache)
        result['second_start_s'] = min(seconds(OURS, path, cache) for _ in range(3))
        (folder,) = Path(cache, 'weights', 'opened-gguf').glob(f'{path.stem}-*')
        result['texts'] = len(TEXTS)
        result['texts_with_other_tokens_in_llama_cpp'] = beside_llama_cpp(path, folder)
        if not options.without_transformers:
            result['transformers_start_s'] = seconds(THEIRS, path, cache)
            result |= compared(path, folder)
    write_atomically(RESULT, json_file(result))
    print(json.dumps(result, indent=2))


if __name__ == '__main__':
    main()
