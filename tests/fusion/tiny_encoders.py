"""Folders of tiny encoders with random seeded weights, as `save_pretrained` of transformers writes them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

SIZES = {'hidden_size': 16, 'num_hidden_layers': 2, 'num_attention_heads': 2, 'intermediate_size': 32}
PICTURES = {'image_mean': [0.5, 0.5, 0.5], 'image_std': [0.25, 0.25, 0.25]}


def bert(folder: Path, texts: list[str]) -> Path:
    """Reads the words of these texts."""
    words = sorted({word for text in texts for word in text.split()})
    known = {word: number for number, word in enumerate(['[PAD]', '[UNK]', '[CLS]', '[SEP]', *words])}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token='[UNK]'))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single='[CLS] $A [SEP]', special_tokens=[('[CLS]', known['[CLS]']), ('[SEP]', known['[SEP]'])]
    )
    marks = {'pad_token': '[PAD]', 'unk_token': '[UNK]', 'cls_token': '[CLS]', 'sep_token': '[SEP]'}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks).save_pretrained(folder)
    return _saved(
        transformers.BertModel,
        transformers.BertConfig(vocab_size=len(known), max_position_embeddings=40, **SIZES),
        folder,
    )


def wav2vec2(folder: Path) -> Path:
    """A state for each 320 samples; its first layer is normalised over columns, so padding changes nothing."""
    config = transformers.Wav2Vec2Config(
        **SIZES, conv_dim=(8, 8, 8), conv_kernel=(10, 8, 4), conv_stride=(10, 8, 4), num_feat_extract_layers=3,
        feat_extract_norm='layer', do_stable_layer_norm=True, num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2, vocab_size=8,
    )  # fmt: skip
    return _saved(transformers.Wav2Vec2Model, config, folder, {'do_normalize': True})


def videomae(folder: Path) -> Path:
    """Four pictures of 16 x 16 together."""
    config = transformers.VideoMAEConfig(**SIZES, image_size=16, patch_size=8, num_frames=4, tubelet_size=2)
    return _saved(transformers.VideoMAEModel, config, folder, PICTURES)


def vit(folder: Path) -> Path:
    """Pictures of 16 x 16 one by one."""
    config = transformers.ViTConfig(**SIZES, image_size=16, patch_size=8)
    return _saved(transformers.ViTModel, config, folder, PICTURES)


def clip(folder: Path) -> Path:
    """Pictures of 16 x 16 one by one, beside a tower of text that nobody reads."""
    text = {**SIZES, 'vocab_size': 20, 'max_position_embeddings': 8, 'bos_token_id': 1, 'eos_token_id': 2}
    vision = {**SIZES, 'image_size': 16, 'patch_size': 8, 'projection_dim': 12}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    return _saved(transformers.CLIPModel, config, folder, PICTURES)


def _saved(model_class: type, config: object, folder: Path, preprocessor: dict | None = None) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model_class(config).save_pretrained(folder)
    if preprocessor is not None:
        (folder / 'preprocessor_config.json').write_text(json.dumps(preprocessor))
    return folder
