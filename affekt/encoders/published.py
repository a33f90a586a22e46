"""The encoders of MERBench and the MER challenges that run in Hugging Face transformers.

A name is that of the official feature folder without its level: `chinese-hubert-large` for `chinese-hubert-large-UTT`.
Weights are not part of affekt; `hub` states where their authors publish them.

Two names are misleading. The tables of MERBench call *MacBERT-base* what is in the folder chinese-macbert-**large**, as
a comment of a later year admits. Text folders of MER2023 have a suffix `-4` (`chinese-macbert-large-4-UTT`) for the sum
of the last four layers, which every later folder contains without the suffix; its audio folders without a suffix
contain the last layer alone.

Source: arXiv:2401.03429; github.com/zeroQiaoba/MERTools, feature_extraction/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from affekt.encoders.encoder import Modality
from affekt.encoders.families import FAMILIES


@dataclass(frozen=True)
class PublishedModel:
    """A model whose features were published."""

    name: str
    """Name of the official folder, without -UTT or -FRA."""
    family: str
    """One of `FAMILIES`; for a model of your own, a family that is read in the same way."""
    hub: str
    """Repository of the weights on huggingface.co; '' if none can be run unchanged."""
    dimension: int | None
    """Number of features; None if unknown."""
    layers: int | None
    pictures: int | None = None
    """Number of evenly spaced frames per clip; None for all."""
    tokenizer: str = 'AutoTokenizer'
    """Class of transformers that loads the tokenizer."""
    is_large: bool = False
    """Whether it is a language model that was run in half precision on a GPU."""
    own_program: bool = False
    """Whether its repository requires running its own Python program, which affekt does not do."""
    has_published_form: bool = True
    """Whether the published program runs it; False where that program fails."""

    @property
    def modality(self) -> Modality:
        """Modality that a sample must have."""
        return FAMILIES[self.family].modality


def _speech() -> tuple[PublishedModel, ...]:
    rows = (
        ('chinese-hubert-base', 'TencentGameMate', 768, 12),
        ('chinese-hubert-large', 'TencentGameMate', 1024, 24),
        ('chinese-wav2vec2-base', 'TencentGameMate', 768, 12),
        ('chinese-wav2vec2-large', 'TencentGameMate', 1024, 24),
        ('wav2vec2-base-960h', 'facebook', 768, 12),
        ('wav2vec2-large-960h', 'facebook', 1024, 24),
        ('wavlm-base', 'microsoft', 768, 12),
        ('wavlm-large', 'microsoft', 1024, 24),
        ('data2vec-audio-base-960h', 'facebook', 768, 12),
        ('data2vec-audio-large', 'facebook', 1024, 24),
    )
    return (
        *(PublishedModel(name, 'speech', f'{owner}/{name}', size, layers) for name, owner, size, layers in rows),
        PublishedModel('whisper-base', 'whisper', 'openai/whisper-base', 512, 6),
        PublishedModel('whisper-large-v2', 'whisper', 'openai/whisper-large-v2', 1280, 32),
    )


def _text() -> tuple[PublishedModel, ...]:
    plain = (
        ('bert-base-chinese', 'google-bert/bert-base-chinese', 768, 12),
        ('chinese-roberta-wwm-ext', 'hfl/chinese-roberta-wwm-ext', 768, 12),
        ('chinese-roberta-wwm-ext-large', 'hfl/chinese-roberta-wwm-ext-large', 1024, 24),
        ('chinese-electra-180g-small', 'hfl/chinese-electra-180g-small-discriminator', 256, 12),
        ('chinese-electra-180g-base', 'hfl/chinese-electra-180g-base-discriminator', 768, 12),
        ('chinese-electra-180g-large', 'hfl/chinese-electra-180g-large-discriminator', 1024, 24),
        ('chinese-xlnet-base', 'hfl/chinese-xlnet-base', 768, 12),
        ('chinese-macbert-base', 'hfl/chinese-macbert-base', 768, 12),
        ('chinese-macbert-large', 'hfl/chinese-macbert-large', 1024, 24),
        ('chinese-pert-base', 'hfl/chinese-pert-base', 768, 12),
        ('chinese-pert-large', 'hfl/chinese-pert-large', 1024, 24),
        ('chinese-lert-small', 'hfl/chinese-lert-small', 256, 12),
        ('chinese-lert-base', 'hfl/chinese-lert-base', 768, 12),
        ('chinese-lert-large', 'hfl/chinese-lert-large', 1024, 24),
        ('gpt2-chinese-cluecorpussmall', 'uer/gpt2-chinese-cluecorpussmall', 768, 12),
        ('taiyi-clip-roberta-chinese', 'IDEA-CCNL/Taiyi-CLIP-Roberta-102M-Chinese', 768, 12),
        ('wenzhong2-gpt2-chinese', 'IDEA-CCNL/Wenzhong2.0-GPT2-3.5B-chinese', 3072, 30),
        ('simbert-base-chinese', 'WangZeJun/simbert-base-chinese', 768, 12),
        (
            'paraphrase-multilingual-mpnet-base-v2', 'sentence-transformers/paraphrase-multilingual-mpnet-base-v2',
            768, 12,
        ),
        ('bert-base-cased', 'google-bert/bert-base-cased', 768, 12),
        ('bert-large-cased', 'google-bert/bert-large-cased', 1024, 24),
        ('bert-base-uncased', 'google-bert/bert-base-uncased', 768, 12),
        ('bert-large-uncased', 'google-bert/bert-large-uncased', 1024, 24),
        ('albert-base-v2', 'albert/albert-base-v2', 768, 12),
        ('albert-large-v2', 'albert/albert-large-v2', 1024, 24),
        ('albert-xxlarge-v2', 'albert/albert-xxlarge-v2', 4096, 12),
        ('roberta-base', 'FacebookAI/roberta-base', 768, 12),
        ('roberta-large', 'FacebookAI/roberta-large', 1024, 24),
        ('electra-base-discriminator', 'google/electra-base-discriminator', 768, 12),
        ('electra-large-discriminator', 'google/electra-large-discriminator', 1024, 24),
        ('xlnet-base-cased', 'xlnet/xlnet-base-cased', 768, 12),
        ('xlnet-large-cased', 'xlnet/xlnet-large-cased', 1024, 24),
        ('deberta-base', 'microsoft/deberta-base', 768, 12),
        ('deberta-large', 'microsoft/deberta-large', 1024, 24),
        ('deberta-v2-xlarge', 'microsoft/deberta-v2-xlarge', 1536, 24),
        ('deberta-v2-xxlarge', 'microsoft/deberta-v2-xxlarge', 1536, 48),
    )  # fmt: skip
    with_bert_tokenizer = (
        ('deberta-chinese-large', 'WENGSYX/Deberta-Chinese-Large', None, None),
        ('albert_chinese_tiny', 'clue/albert_chinese_tiny', 312, 4),
        ('albert_chinese_small', 'clue/albert_chinese_small', 384, 6),
    )
    return (
        *(PublishedModel(name, 'text', hub, size, layers) for name, hub, size, layers in plain),
        *(
            PublishedModel(name, 'text', hub, size, layers, tokenizer='BertTokenizer')
            for name, hub, size, layers in with_bert_tokenizer
        ),
    )


def _text_of_generators() -> tuple[PublishedModel, ...]:
    encoders = (('t5-base', 'google-t5/t5-base', 768, 12), ('t5-large', 'google-t5/t5-large', 1024, 24))
    large = (
        ('llama-7b-hf', 'decapoda-research/llama-7b-hf', 4096, 32),
        ('llama-13b-hf', 'decapoda-research/llama-13b-hf', 5120, 40),
        ('llama-2-7b', 'meta-llama/Llama-2-7b-hf', 4096, 32),
        ('Llama-2-13b-hf', 'NousResearch/Llama-2-13b-hf', 5120, 40),
        ('vicuna-7b-v0', '', 4096, 32),  # published as differences from LLaMA
        ('stable-vicuna-13b', '', 5120, 40),  # likewise
        ('chinese-alpaca-2-13b', 'ziqingyang/chinese-alpaca-2-13b', 5120, 40),
        ('bloom-7b1', 'bigscience/bloom-7b1', 4096, 30),
        ('falcon-7b', 'tiiuae/falcon-7b', 4544, 32),
        ('opt-13b', 'facebook/opt-13b', 5120, 40),
    )
    with_own_program = (
        ('moss-base-7b', 'fnlp/moss-base-7b', None, None),
        ('stablelm-base-alpha-7b-v2', 'stabilityai/stablelm-base-alpha-7b-v2', 4096, 32),
        ('chatglm2-6b', 'THUDM/chatglm2-6b', 4096, 28),
        ('Baichuan-7B', 'baichuan-inc/Baichuan-7B', 4096, 32),
        ('Baichuan-13B-Base', 'baichuan-inc/Baichuan-13B-Base', 5120, 40),
        ('Baichuan2-7B-Base', 'baichuan-inc/Baichuan2-7B-Base', 4096, 32),
        ('Baichuan2-13B-Base', 'baichuan-inc/Baichuan2-13B-Base', 5120, 40),
    )
    return (
        *(
            PublishedModel(name, 't5', hub, size, layers, has_published_form=False)
            for name, hub, size, layers in encoders
        ),
        *(PublishedModel(name, 'text', hub, size, layers, is_large=True) for name, hub, size, layers in large),
        *(
            PublishedModel(name, 'text', hub, size, layers, is_large=True, own_program=True)
            for name, hub, size, layers in with_own_program
        ),
    )


def _video() -> tuple[PublishedModel, ...]:
    return (
        PublishedModel('clip-vit-base-patch32', 'clip', 'openai/clip-vit-base-patch32', 512, 12),
        PublishedModel('clip-vit-large-patch14', 'clip', 'openai/clip-vit-large-patch14', 768, 24),
        PublishedModel('data2vec-vision-base-ft1k', 'picture', 'facebook/data2vec-vision-base-ft1k', 768, 12),
        PublishedModel('dinov2-large', 'picture', 'facebook/dinov2-large', 1024, 24, pictures=64),
        PublishedModel('dinov2-giant', 'picture', 'facebook/dinov2-giant', 1536, 40, pictures=64),
        PublishedModel('videomae-base', 'videomae', 'MCG-NJU/videomae-base', 768, 12, pictures=16),
        PublishedModel('videomae-large', 'videomae', 'MCG-NJU/videomae-large', 1024, 24, pictures=16),
    )


OWN: Mapping[str, PublishedModel] = {
    model.name: model
    for model in (
        PublishedModel('own-audio', 'speech', '', None, None),
        PublishedModel('own-text', 'text', '', None, None),
        PublishedModel('own-video', 'picture', '', None, None),
    )
}
"""Any folder of a known architecture, run like the published models: for example fine-tuned on emotion, or newer."""

PUBLISHED: Mapping[str, PublishedModel] = {
    model.name: model for model in (*_speech(), *_text(), *_text_of_generators(), *_video())
}
"""Name of an encoder, without its level, to its entry."""
