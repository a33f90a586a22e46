"""Tiny networks in folders as their makers publish them, and a few samples: what the published program itself can run.

Weights are pickles of plain tensors with the names of their time, tokenizers are vocabularies without a tokenizer.json.
"""

from __future__ import annotations

import base64
import json
import wave
from pathlib import Path

import numpy as np
import tiny_models
import torch
from PIL import Image
from safetensors.torch import load_file
from tokenizers import pre_tokenizers

from affekt.corpora import Facts, Manifest, Sample

SECONDS = {'short': 1.3, 'whole': 10.0, 'tail': 12.7}
SAID = {'one': '我今天真快乐', 'two': '天气不好', 'none': '', 'mixed': '今天 rain 好'}
FACES = {'many': 70, 'few': 9}
KINDS = {
    **dict.fromkeys((*tiny_models.SPEECH, 'whisper'), 'audio'),
    **dict.fromkeys((kind for kind in tiny_models.TEXT if kind != 'falcon'), 'text'),
    **dict.fromkeys(tiny_models.SIGHT, 'video'),
}
"""Architecture to what it reads. The program of the time had no Falcon without a program from its repository."""
OLD_NAMES = {'parametrizations.weight.original0': 'weight_g', 'parametrizations.weight.original1': 'weight_v'}
TOKENIZERS = {'roberta': 'RobertaTokenizer', 'gpt2': 'GPT2Tokenizer', 'opt': 'GPT2Tokenizer'}
PIECES = {
    'xlm-roberta': ('sentencepiece.bpe.model', 'XLMRobertaTokenizer', 'unigram'),
    'xlnet': ('spiece.model', 'XLNetTokenizer', 'unigram'),
    'llama': ('tokenizer.model', 'LlamaTokenizer', 'byte_pairs'),
}
"""Architecture to the file of its SentencePiece model, the class that reads it, and which of the two it is."""


def build(folder: Path, kind: str, pieces: dict[str, str]) -> Path:
    """A folder of one architecture; `pieces` are the SentencePiece models, in base64."""
    if kind in tiny_models.SPEECH:
        tiny_models.speech(folder, kind)
    elif kind == 'whisper':
        tiny_models.whisper(folder)
    elif kind in tiny_models.SIGHT:
        tiny_models.SIGHT[kind](folder)
    else:
        network, config, sizes, marks = tiny_models.TEXT[kind]
        tiny_models.save(folder, network, config, **sizes)
        told = {'tokenizer_class': TOKENIZERS.get(kind, 'BertTokenizer')}
        if marks == 'words':
            tiny_models.word_pieces(folder)
        elif kind in TOKENIZERS:
            names = ['<pad>', '<s>', '</s>', '<unk>', '<mask>', *sorted(pre_tokenizers.ByteLevel.alphabet())]
            (folder / 'vocab.json').write_text(json.dumps({name: at for at, name in enumerate(names)}))
            (folder / 'merges.txt').write_text('#version: 0.2\n')
            told |= {'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>', 'add_bos_token': kind == 'opt'}
        elif kind in PIECES:
            file, told['tokenizer_class'], which = PIECES[kind]
            (folder / file).write_bytes(base64.b64decode(pieces[which]))
        elif kind == 'mpnet':
            tiny_models.word_pieces(folder)
            words = (folder / 'vocab.txt').read_text(encoding='utf-8')
            for new, old in (('[CLS]', '<s>'), ('[SEP]', '</s>'), ('[PAD]', '<pad>'), ('[MASK]', '<mask>')):
                words = words.replace(new, old)
            (folder / 'vocab.txt').write_text(words, encoding='utf-8')
            told['tokenizer_class'] = 'MPNetTokenizer'
        else:  # BLOOM has no other form than this one
            tiny_models.byte_pairs(folder, begin=None)
            held = json.loads((folder / 'tokenizer.json').read_text(encoding='utf-8'))
            held['model'] = {name: held['model'][name] for name in ('type', 'vocab', 'merges', 'unk_token')}
            (folder / 'tokenizer.json').write_text(json.dumps(held))
            told = {'tokenizer_class': 'BloomTokenizerFast'}
        (folder / 'tokenizer_config.json').write_text(json.dumps(told))
        tiny_models.fitted(folder, network, config, sizes)
    held = load_file(folder / 'model.safetensors')
    (folder / 'model.safetensors').unlink()
    for new, old in OLD_NAMES.items():
        held = {name.replace(new, old): value for name, value in held.items()}
    torch.save(held, folder / 'pytorch_model.bin')
    return folder


def samples(folder: Path) -> dict[str, Manifest]:
    """Sounds, texts and faces of a seeded draw, below a folder."""
    rng = np.random.default_rng(2)
    for name, seconds in SECONDS.items():
        size = round(16_000 * seconds)
        held = 4000 * rng.standard_normal(size) * (1.2 + np.sin(np.arange(size) / 7000))
        (folder / 'audio').mkdir(exist_ok=True)
        with wave.open(str(folder / 'audio' / f'{name}.wav'), 'wb') as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(held.clip(-32768, 32767).astype('<i2').tobytes())
    for name, count in FACES.items():
        small = rng.integers(0, 255, (count, 6, 6, 3), dtype=np.uint8)
        (folder / 'faces' / name).mkdir(parents=True)
        large = [np.asarray(Image.fromarray(one).resize((112, 112), Image.Resampling.BICUBIC)) for one in small]
        np.save(folder / 'faces' / name / f'{name}.npy', np.stack(large))
    facts = Facts('toy', root=str(folder))
    return {
        'audio': Manifest(facts, tuple(Sample(name, audio=f'audio/{name}.wav') for name in SECONDS)),
        'text': Manifest(facts, tuple(Sample(name, chinese=text) for name, text in SAID.items())),
        'video': Manifest(facts, tuple(Sample(name, frames=f'faces/{name}') for name in FACES)),
    }
