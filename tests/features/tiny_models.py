"""Networks of every architecture, a few hundred numbers each, drawn at random and saved as published folders are."""

from __future__ import annotations

import contextlib
import json
import zlib
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers.utils import logging

WORDS = (
    *'今天气真好我不快乐',
    *('i', 'am', 'so', 'glad', 'that', 'you', 'came', 'back', 'today', 'and', 'the', 'rain', 'has', 'gone', 'why'),
)
WIDTH = 16


@contextlib.contextmanager
def quiet():
    """Nothing of transformers on the screen."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()


def save(folder: Path, network_class: str, config_class: str, **sizes) -> Path:
    """A network whose weights are drawn by their names, so that no release of torch draws others."""
    with quiet():
        config = getattr(transformers, config_class)(**sizes)
        network = getattr(transformers, network_class)(config)
        with torch.no_grad():
            for name, value in network.named_parameters():
                rng = np.random.default_rng(zlib.crc32(name.encode()))
                is_scale = value.ndim == 1 and name.endswith('weight')
                value.copy_(torch.from_numpy(np.asarray(is_scale + 0.2 * rng.standard_normal(tuple(value.shape)))))
        network.save_pretrained(folder)
    return folder


# Sound

SPEECH = {
    'hubert': ('HubertModel', 'HubertConfig', {'do_stable_layer_norm': True, 'feat_extract_norm': 'layer'}),
    'wav2vec2': ('Wav2Vec2Model', 'Wav2Vec2Config', {}),
    'wavlm': ('WavLMModel', 'WavLMConfig', {'do_stable_layer_norm': True, 'feat_extract_norm': 'layer'}),
    'data2vec-audio': ('Data2VecAudioModel', 'Data2VecAudioConfig', {'num_conv_pos_embeddings': 2}),
}


_SPEECH = {
    'hidden_size': WIDTH, 'num_hidden_layers': 5, 'num_attention_heads': 2, 'intermediate_size': 24,
    'conv_dim': [8] * 7, 'num_conv_pos_embeddings': 8, 'num_conv_pos_embedding_groups': 2, 'num_buckets': 16,
}  # fmt: skip


def speech(folder: Path, kind: str) -> Path:
    network, config, more = SPEECH[kind]
    return waveforms_of(folder, network, config, **more)


def waveforms_of(folder: Path, network: str, config: str, **more) -> Path:
    """Any network that hears samples of sound."""
    save(folder, network, config, **(_SPEECH | more))
    reader = {'feature_extractor_type': 'Wav2Vec2FeatureExtractor', 'do_normalize': True, 'sampling_rate': 16000,
              'feature_size': 1, 'padding_value': 0, 'return_attention_mask': True}  # fmt: skip
    (folder / 'preprocessor_config.json').write_text(json.dumps(reader))
    return folder


def whisper(folder: Path) -> Path:
    save(
        folder, 'WhisperModel', 'WhisperConfig', d_model=WIDTH, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, vocab_size=64,
        num_mel_bins=8, decoder_start_token_id=5, pad_token_id=1, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    with quiet():
        transformers.WhisperFeatureExtractor(feature_size=8).save_pretrained(folder)
    return folder


# Words


def word_pieces(folder: Path) -> Path:
    """A vocabulary as BERT has it: whole words, Chinese characters, single letters."""
    letters = [mark for letter in ascii_lowercase for mark in (letter, f'##{letter}')]
    vocabulary = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *dict.fromkeys(WORDS), *letters]
    (folder / 'vocab.txt').write_text('\n'.join(dict.fromkeys(vocabulary)) + '\n', encoding='utf-8')
    told = {'tokenizer_class': 'BertTokenizer', 'do_lower_case': True}
    (folder / 'tokenizer_config.json').write_text(json.dumps(told))
    return folder


def byte_pairs(folder: Path, *, begin: str | None, end: str | None = None) -> Path:
    """Bytes without merges, between two marks or behind one."""
    marks = ['<pad>', '<s>', '</s>', '<unk>', '<mask>']
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    held = Tokenizer(models.BPE({name: at for at, name in enumerate([*marks, *alphabet])}, [], unk_token='<unk>'))
    held.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    held.decoder = decoders.ByteLevel()
    held.add_special_tokens(marks)
    if begin or end:
        template = ' '.join(part for part in (begin, '$A', end) if part)
        used = [(mark, held.token_to_id(mark)) for mark in (begin, end) if mark]
        held.post_processor = processors.TemplateProcessing(template, special_tokens=used)
    with quiet():
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=held, pad_token='<pad>', bos_token='<s>', eos_token='</s>', unk_token='<unk>'
        ).save_pretrained(folder)
    return folder


def pieces(folder: Path, *, end: tuple[str, ...]) -> Path:
    """Unigram pieces as SentencePiece makes them, with marks behind the words."""
    marks = ['<unk>', '<s>', '</s>', '<sep>', '<cls>', '<pad>']
    names = [*marks, '▁', *(f'▁{word}' for word in dict.fromkeys(WORDS)), *'今天气真好我不快乐', *ascii_lowercase]
    held = Tokenizer(models.Unigram([(name, -float(at)) for at, name in enumerate(names)], unk_id=0))
    held.normalizer = normalizers.NFKC()
    held.pre_tokenizer = pre_tokenizers.Metaspace()
    held.decoder = decoders.Metaspace()
    held.add_special_tokens(marks)
    template = ' '.join(['$A', *end])
    held.post_processor = processors.TemplateProcessing(
        template, special_tokens=[(mark, held.token_to_id(mark)) for mark in end]
    )
    with quiet():
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=held, pad_token='<pad>', unk_token='<unk>', eos_token='</s>', sep_token='<sep>',
            cls_token='<cls>',
        ).save_pretrained(folder)  # fmt: skip
    return folder


_BERT = {'vocab_size': 120, 'hidden_size': WIDTH, 'num_hidden_layers': 5, 'num_attention_heads': 2,
         'intermediate_size': 24, 'max_position_embeddings': 32}  # fmt: skip
_BYTES = {'vocab_size': 300, 'bos_token_id': 1, 'eos_token_id': 2, 'pad_token_id': 0, 'max_position_embeddings': 64}
TEXT = {
    'bert': ('BertModel', 'BertConfig', _BERT, 'words'),
    'electra': ('ElectraModel', 'ElectraConfig', _BERT | {'embedding_size': 8}, 'words'),
    'albert': ('AlbertModel', 'AlbertConfig', _BERT | {'embedding_size': 8}, 'words'),
    'deberta': ('DebertaModel', 'DebertaConfig', _BERT | {'relative_attention': True, 'pos_att_type': ['c2p', 'p2c'],
                                                          'position_biased_input': False}, 'words'),
    'deberta-v2': ('DebertaV2Model', 'DebertaV2Config', _BERT, 'words'),
    'roberta': ('RobertaModel', 'RobertaConfig', _BERT | _BYTES, 'between'),
    'xlm-roberta': ('XLMRobertaModel', 'XLMRobertaConfig', _BERT | _BYTES, 'between'),
    'mpnet': ('MPNetModel', 'MPNetConfig', _BERT | _BYTES, 'between'),
    'xlnet': ('XLNetModel', 'XLNetConfig', {'vocab_size': 120, 'd_model': WIDTH, 'n_layer': 5, 'n_head': 2,
                                            'd_inner': 24}, 'behind'),
    'gpt2': ('GPT2Model', 'GPT2Config', _BYTES | {'n_embd': WIDTH, 'n_layer': 5, 'n_head': 2, 'n_positions': 64},
             'bare'),
    'llama': ('LlamaModel', 'LlamaConfig', _BERT | _BYTES | {'num_key_value_heads': 2}, 'begun'),
    'bloom': ('BloomModel', 'BloomConfig', _BYTES | {'hidden_size': WIDTH, 'n_layer': 5, 'n_head': 2}, 'bare'),
    'falcon': ('FalconModel', 'FalconConfig', _BYTES | {'hidden_size': WIDTH, 'num_hidden_layers': 5,
                                                        'num_attention_heads': 2}, 'bare'),
    'opt': ('OPTModel', 'OPTConfig', _BYTES | {'hidden_size': WIDTH, 'word_embed_proj_dim': WIDTH, 'ffn_dim': 24,
                                               'num_hidden_layers': 5, 'num_attention_heads': 2,
                                               'max_position_embeddings': 64}, 'begun'),
}  # fmt: skip
"""Architecture to network, config, sizes and the marks of its tokenizer."""


def text(folder: Path, kind: str) -> Path:
    network, config, sizes, marks = TEXT[kind]
    save(folder, network, config, **sizes)
    with_tokenizer(folder, marks)
    return fitted(folder, network, config, sizes)


def fitted(folder: Path, network: str, config: str, sizes: dict) -> Path:
    """The network again, with a vector for each token of its tokenizer and no more; the first ones stay as drawn."""
    with quiet():
        known = len(transformers.AutoTokenizer.from_pretrained(folder))
    return save(folder, network, config, **(sizes | {'vocab_size': known}))


def with_tokenizer(folder: Path, marks: str) -> Path:
    if marks == 'words':
        return word_pieces(folder)
    if marks == 'behind':
        return pieces(folder, end=('<sep>', '<cls>'))
    if marks == 'ended':
        return pieces(folder, end=('</s>',))
    return byte_pairs(
        folder, begin='<s>' if marks in ('between', 'begun') else None, end='</s>' if marks == 'between' else None
    )


_T5 = {'vocab_size': 120, 'd_model': WIDTH, 'd_kv': 8, 'd_ff': 24, 'num_layers': 5, 'num_decoder_layers': 2,
       'num_heads': 2}  # fmt: skip


def t5(folder: Path) -> Path:
    save(folder, 'T5Model', 'T5Config', **_T5)
    with_tokenizer(folder, 'ended')
    return fitted(folder, 'T5Model', 'T5Config', _T5)


def with_head(folder: Path, network: str, kind: str) -> Path:
    """The weights of a network that was made for one task, as most published files are."""
    if kind == 't5':
        return save(folder, network, 'T5Config', **_T5)
    if kind in SPEECH:
        return save(folder, network, SPEECH[kind][1], **(_SPEECH | SPEECH[kind][2]))
    return save(folder, network, TEXT[kind][1], **TEXT[kind][2])


# Pictures

_SIGHT = {'hidden_size': WIDTH, 'num_hidden_layers': 3, 'num_attention_heads': 2, 'intermediate_size': 24,
          'image_size': 32, 'patch_size': 8}  # fmt: skip


def clip(folder: Path) -> Path:
    small = {'hidden_size': 12, 'num_hidden_layers': 1, 'num_attention_heads': 2, 'intermediate_size': 12}
    save(
        folder, 'CLIPModel', 'CLIPConfig', projection_dim=10, vision_config=_SIGHT,
        text_config=small | {'vocab_size': 40, 'max_position_embeddings': 8},
    )  # fmt: skip
    return _pictures(folder, {
        'feature_extractor_type': 'CLIPFeatureExtractor', 'do_resize': True, 'size': 32, 'resample': 3,
        'do_center_crop': True, 'crop_size': 32, 'do_normalize': True,
        'image_mean': [0.48145466, 0.4578275, 0.40821073], 'image_std': [0.26862954, 0.26130258, 0.27577711],
    })  # fmt: skip


def data2vec_vision(folder: Path) -> Path:
    save(folder, 'Data2VecVisionModel', 'Data2VecVisionConfig', use_mean_pooling=True, **_SIGHT)
    return _pictures(folder, {
        'feature_extractor_type': 'BeitFeatureExtractor', 'do_resize': True, 'size': 32, 'resample': 3,
        'do_center_crop': False, 'crop_size': 32, 'do_normalize': True, 'image_mean': [0.5] * 3, 'image_std': [0.5] * 3,
    })  # fmt: skip


def dinov2(folder: Path) -> Path:
    save(folder, 'Dinov2Model', 'Dinov2Config', **_SIGHT)
    return _pictures(folder, {
        'image_processor_type': 'BitImageProcessor', 'do_resize': True, 'size': {'shortest_edge': 36}, 'resample': 3,
        'do_center_crop': True, 'crop_size': {'height': 32, 'width': 32}, 'do_rescale': True,
        'rescale_factor': 1 / 255, 'do_normalize': True, 'do_convert_rgb': True,
        'image_mean': [0.485, 0.456, 0.406], 'image_std': [0.229, 0.224, 0.225],
    })  # fmt: skip


def videomae(folder: Path) -> Path:
    save(folder, 'VideoMAEModel', 'VideoMAEConfig', num_frames=16, tubelet_size=2, use_mean_pooling=False, **_SIGHT)
    return _pictures(folder, {
        'feature_extractor_type': 'VideoMAEFeatureExtractor', 'do_resize': True, 'size': 32, 'resample': 2,
        'do_center_crop': True, 'crop_size': 32, 'do_normalize': True,
        'image_mean': [0.485, 0.456, 0.406], 'image_std': [0.229, 0.224, 0.225],
    })  # fmt: skip


def pictures_of(folder: Path, network: str, config: str) -> Path:
    """Any network that sees pictures one by one."""
    save(folder, network, config, **_SIGHT)
    return _pictures(folder, {
        'image_processor_type': 'ViTImageProcessor', 'do_resize': True, 'size': {'height': 32, 'width': 32},
        'resample': 2, 'do_normalize': True, 'image_mean': [0.5] * 3, 'image_std': [0.5] * 3,
    })  # fmt: skip


SIGHT = {'clip': clip, 'data2vec-vision': data2vec_vision, 'dinov2': dinov2, 'videomae': videomae}


def _pictures(folder: Path, facts: dict) -> Path:
    (folder / 'preprocessor_config.json').write_text(json.dumps(facts))
    return folder
