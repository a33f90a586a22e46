"""AffectGPT as published: its sizes as functions, and its checkpoints by name.

| here | published |
|---|---|
| sources `voice`, `face`, `frame`, `image` | audio, face, frame, image |
| `multi`, `multi_frame` | multi of face and audio, of frame and audio: one set of weights |
| `readers.face` | `affectgpt_proj`, `video_*`: faces and frames go through the same weights |
| `fuse.score` | `*_attention_mlp`; for `multi`, `attention_mlp` is `mix` and `fc_att` is `score` |
| `trunk` | `llama_model` |

A published file contains the adapters and the weights that make soft tokens; the language model must be supplied.

Source: Lian et al. 2025, arXiv:2501.16566 (one stage); Lian et al. 2024, arXiv:2407.07653 (two stages); Lian et al.
2023, arXiv:2306.15401 (EMER); github.com/zeroQiaoba/AffectGPT and MERTools.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from affekt.checkpoints import Inspection, inspected
from affekt.description.model import Describer, DescriberSettings
from affekt.description.sources import Queries, Source
from affekt.description.trunk import Adapters, Trunk, Vocabulary, with_adapters
from affekt.errors import WeightsError
from affekt.nn import Coverage, NameMap, load_published, qformer_names

AS_PUBLISHED = DescriberSettings(
    family='vicuna-hash', longest_prompt=800, truncation='front', end_is_read=False, begins_answering=False,
    keep_empty_words=True,
)  # fmt: skip
"""The published code with its faults; training cut prompts at 1,024, answering at 2,000 - 1,200 tokens."""
CORRECTED = DescriberSettings(family='vicuna-hash')
"""The published prompt, with its faults corrected."""


@dataclass(frozen=True)
class Stage:
    """One stage of training.

    Args:
        name: `coarse`, `fine` or `single`.
        corpus: name of its training corpus.
        samples: number of samples of the corpus.
    """

    name: str
    corpus: str
    samples: int


@dataclass(frozen=True)
class Published:
    """A published model.

    Args:
        sources: the table of sources.
        settings: prompt form and limits.
        adapters: sizes of the trunk's adapters; None for a frozen trunk.
        trunk: published name of the language model.
        kind: kind of input.
        stages: stages of its training, in order.
        optimisation: hyperparameters of its training.
    """

    sources: tuple[Source, ...]
    settings: DescriberSettings
    adapters: Adapters | None
    trunk: str
    kind: str
    stages: tuple[Stage, ...]
    optimisation: Mapping[str, Any] = field(default_factory=dict)


def published_sources(
    visual: int,
    sound: int,
    *,
    video_fusion: str = 'published',
    audio_fusion: str = 'published',
    multi_fusion: str = 'published',
    image_fusion: str = 'mean',
    tokens: Mapping[str, int] | None = None,
    embedded: int = 0,
    queries: Queries | None = None,
) -> tuple[Source, ...]:
    """The six sources of AffectGPT.

    Args:
        visual: feature width per step of faces, frames and images.
        sound: feature width per step of audio.
        video_fusion, audio_fusion, multi_fusion, image_fusion: names in `FUSIONS`.
        tokens: `video`, `audio`, `multi`, `image` to the number of soft tokens; 1 if absent.
        embedded: width to which face and voice are projected before they are merged; 0 for the larger of the two.
        queries: sizes of the Q-Formers, apart from their positions.
    """
    counts = {'video': 1, 'audio': 1, 'multi': 1, 'image': 1, **(tokens or {})}
    sizes = queries or Queries()
    video, voice, both = (replace(sizes, positions=count) for count in (32, 8, 264))
    face = Source('face', visual, counts['video'], video_fusion, queries=video)
    multi = Source(
        'multi', embedded or max(visual, sound), counts['multi'], multi_fusion, joins=('face', 'voice'), queries=both
    )
    return (
        Source('voice', sound, counts['audio'], audio_fusion, queries=voice),
        face,
        replace(face, name='frame', shares='face'),
        multi,
        replace(multi, name='multi_frame', shares='multi', joins=('frame', 'voice')),
        Source('image', visual, counts['image'], image_fusion),
    )


def affectgpt_2025() -> Published:
    """2501.16566: CLIP ViT-L/14 and chinese-hubert-large before Qwen2.5-7B, one stage; 57,168,644 trained weights."""
    return Published(
        published_sources(768, 1024),
        CORRECTED,
        Adapters(rank=16, alpha=32, dropout=0.05),
        'Qwen/Qwen2.5-7B-Instruct',
        'multiface_audio_face_text',
        (Stage('single', 'MER-Caption+', 31_327),),
        {
            'learning_rate': 1e-5, 'warmup_steps': 5000, 'warmup_from': 1e-6, 'weight_decay': 0.05, 'batch_size': 3,
            'epochs': 60, 'steps_an_epoch': 5000, 'seed': 42, 'precision': 'float16',
        },
    )  # fmt: skip


def affectgpt_2023() -> Published:
    """EMER's model: EVA-CLIP-G with BLIP-2's queries and ImageBind, through Q-Formers into a frozen Vicuna-7B.

    Steps of frames hold the 32 vectors of BLIP-2's Q-Former each, and an image is a video of one frame. Nothing is
    merged before the language model.
    """
    all_sources = published_sources(
        768, 1024, video_fusion='qformer', audio_fusion='qformer', tokens={'video': 32, 'audio': 8}
    )
    return Published(
        tuple(source for source in all_sources if source.name in ('voice', 'face', 'frame')),
        CORRECTED,
        None,
        'lmsys/vicuna-7b-v0',
        'frame',
        (Stage('single', 'EMER (100), MiniGPT-4, LLaVA and VideoChat instructions, drawn evenly', 0),),
        {
            'learning_rate': 3e-5, 'learning_rate_at_end': 1e-5, 'warmup_steps': 1000, 'warmup_from': 1e-6,
            'weight_decay': 0.05, 'batch_size': 2, 'epochs': 100, 'steps_an_epoch': 1000, 'longest': 512,
        },
    )  # fmt: skip


def affectgpt_two_stage() -> Published:
    """2407.07653: the form of 2023, first on EMER-Coarse, then on EMER-Fine."""
    stages = (Stage('coarse', 'EMER-Coarse', 115_595), Stage('fine', 'EMER-Fine', 332))
    return replace(affectgpt_2023(), stages=stages)


PUBLISHED = {
    'affectgpt-2025': affectgpt_2025,
    'affectgpt-2023': affectgpt_2023,
    'affectgpt-two-stage': affectgpt_two_stage,
}
"""Name to the settings of a published model."""


def name_map(sources: Iterable[Source]) -> NameMap:
    """Published prefixes of tensors to those of `Describer`, for sources of `published_sources`."""
    table = {source.name: source for source in sources}
    names: dict[str, str | None] = {
        'llama_model': 'trunk',
        'image_llama_proj': 'readers.image.project',
        'affectgpt_proj': 'readers.face.project',
        'audio_llama_proj': 'readers.voice.project',
        'multi_llama_proj': 'readers.multi.project',
        'multi_video_embs': 'readers.multi.fuse.embed.0',
        'multi_audio_embs': 'readers.multi.fuse.embed.1',
        'attention_mlp': 'readers.multi.fuse.mix',
        'fc_att': 'readers.multi.fuse.score',
        'video_attention_mlp': 'readers.face.fuse.score',
        'audio_attention_mlp': 'readers.voice.fuse.score',
    }
    for theirs, ours, positions in (
        ('video', 'face', 'video_frame_position_embedding'),
        ('audio', 'voice', 'audio_position_embedding'),
        ('multi', 'multi', 'multi_position_embedding'),
    ):
        if ours not in table:
            continue
        reader = f'readers.{ours}.fuse{".reader" if table[ours].joins else ""}'
        queries = table[ours].queries
        names |= {f'{theirs}_query_tokens': f'{reader}.queries', positions: f'{reader}.positions'}
        names |= qformer_names(f'{theirs}_Qformer.bert', reader, queries.layers if queries else 0)
    return names


@dataclass(frozen=True)
class Official:
    """A published checkpoint, as described by its names, shapes and notes.

    Args:
        inspection: inspection of the file.
        sources: the sources, with their fusions and soft tokens.
        adapters: sizes of the trunk's adapters; None for a frozen trunk.
        trunk_width: H.
        trunk_layers: number of layers with adapters.
        kind: kind of input that it was trained on; '' if the file does not note it.
    """

    inspection: Inspection
    sources: tuple[Source, ...]
    adapters: Adapters | None
    trunk_width: int
    trunk_layers: int
    kind: str


def inspect_official(
    path: str | os.PathLike[str], *, heads: int | None = None, tokens: Mapping[str, int] | None = None
) -> Official:
    """Fusions, inputs and adapters of a published checkpoint; nothing in it is executed.

    Args:
        path: the file as published.
        heads: attention heads of the Q-Formers, which cannot be inferred from shapes; None for one per 64 units of
            their width.
        tokens: source without queries to its number of soft tokens, if it is not 1 and the file does not note it.

    Raises:
        WeightsError: it is not a complete checkpoint of AffectGPT; the message names missing and unknown tensors.
    """
    inspection = inspected(path)
    recognition = inspection.recognition
    if recognition is None or recognition.family != 'affectgpt':
        raise WeightsError(
            expected='a checkpoint of AffectGPT', came=f'{inspection.checkpoint.path.name}, {recognition or "unknown"}',
            todo='look at it with `affekt checkpoint inspect`',
        )  # fmt: skip
    if inspection.faults:
        raise WeightsError(
            expected=f'a complete checkpoint of {recognition}', came=f'{inspection.checkpoint.path.name} with '
            f'{"; ".join(inspection.faults)}',
            todo='get the file again; a tensor must have its published name',
        )  # fmt: skip
    shapes = inspection.checkpoint.shapes
    projection = next(name for name in PROJECTIONS.values() if f'{name}.weight' in shapes)
    layers = {name.split('.layers.')[1].split('.')[0] for name in shapes if '.lora_A.' in name}
    return Official(
        inspection, sources_of(inspection, heads=heads, tokens=tokens), adapters_of(inspection),
        shapes[f'{projection}.weight'][0], len(layers), str(_noted(inspection, 'face_or_frame') or ''),
    )  # fmt: skip


def load_official(
    path: str | os.PathLike[str],
    trunk: Trunk,
    *,
    settings: DescriberSettings = CORRECTED,
    heads: int | None = None,
    tokens: Mapping[str, int] | None = None,
) -> tuple[Describer, Coverage]:
    """A published checkpoint as a describer on a trunk, with a table that maps each tensor.

    Args:
        path: the file as published; nothing in it is executed.
        trunk: the language model that it was trained on, without adapters; those of the file are added.
        settings: prompt form and limits; `AS_PUBLISHED` keeps the faults of the published code.
        heads: see `inspect_official`.
        tokens: see `inspect_official`.

    Raises:
        WeightsError: it is not a complete checkpoint of AffectGPT (the message names missing and unknown tensors), or
            belongs to another trunk.
    """
    official = inspect_official(path, heads=heads, tokens=tokens)
    layers = int(getattr(trunk.network.config, 'num_hidden_layers', 0))
    if official.trunk_width != trunk.width or (official.adapters and official.trunk_layers != layers):
        raise WeightsError(
            expected=f'a language model of width {official.trunk_width:,} with {official.trunk_layers} layers, as the '
            'checkpoint was trained on',
            came=f'{trunk.name} of width {trunk.width:,} with {layers}', todo='open the one that the checkpoint names',
        )  # fmt: skip
    trunk = replace(trunk, vocabulary=published_tokens(trunk.vocabulary))
    adapted = with_adapters(trunk, official.adapters) if official.adapters else trunk
    describer = Describer(adapted, official.sources, settings)
    state = official.inspection.checkpoint.state()
    coverage = load_published(describer, state, name_map(official.sources), part=set(describer.learnt()))
    return describer.eval(), coverage


def published_tokens(vocabulary: Vocabulary) -> Vocabulary:
    """The vocabulary with the published model's first and end token, if the trunk uses ChatML as Qwen's do.

    Qwen's own settings have no first token, or another one.
    """
    first, end = (vocabulary.tokenizer.token_to_id(mark) for mark in ('<|im_start|>', '<|im_end|>'))
    return vocabulary if first is None or end is None else replace(vocabulary, first=first, end=end)


def adapters_of(inspection: Inspection) -> Adapters | None:
    """The adapters in a published file; None for a frozen trunk. Alpha is 32 at every rank."""
    names = [name for name in inspection.checkpoint.shapes if '.lora_A.' in name]
    if not names:
        return None
    noted_sizes = _noted(inspection, 'lora_r'), _noted(inspection, 'lora_alpha')
    rank = inspection.checkpoint.shapes[names[0]][0]
    maps = tuple(dict.fromkeys(name.split('.lora_A.')[0].rpartition('.')[2] for name in names))
    return Adapters(rank=rank, alpha=noted_sizes[1] or 32, maps=maps)


def sources_of(
    inspection: Inspection, *, heads: int | None = None, tokens: Mapping[str, int] | None = None
) -> tuple[Source, ...]:
    """The sources of a published file: widths, fusions and queries from its shapes, tokens from its notes.

    Args:
        inspection: inspection of the file.
        heads: see `load_official`.
        tokens: see `load_official`.
    """
    shapes = inspection.checkpoint.shapes
    fusions = {name: _fusion(shapes, name) for name in ('video', 'audio', 'multi')}
    counts = {name: _noted(inspection, f'num_{name}_query_token') or 1 for name in (*fusions, 'image')}
    counts |= {name: shapes[f'{name}_query_tokens'][1] for name, fusion in fusions.items() if fusion == 'qformer'}
    sizes = None
    for name in fusions:
        if f'{name}_query_tokens' in shapes:
            width = shapes[f'{name}_query_tokens'][2]
            layer_prefix = f'{name}_Qformer.bert.encoder.layer'
            hidden_width = shapes[f'{layer_prefix}.0.intermediate_query.dense.weight'][0]
            layers = sum(f'{layer_prefix}.{layer}.intermediate_query.dense.bias' in shapes for layer in range(100))
            sizes = Queries(width, heads or max(1, width // 64), hidden_width, layers)
    visual, audio = (_width(shapes, name, fusions[name]) for name in ('video', 'audio'))
    embedded = shapes.get('multi_audio_embs.weight', (0,))[0]
    image = 'steps' if _noted(inspection, 'image_fusion_type') == 'token' else 'mean'
    all_sources = published_sources(
        visual or shapes.get('image_llama_proj.weight', (0, 1))[1], audio or 1, video_fusion=fusions['video'],
        audio_fusion=fusions['audio'], multi_fusion=fusions['multi'], image_fusion=image,
        tokens={**counts, **(tokens or {})}, embedded=embedded, queries=sizes,
    )  # fmt: skip
    present = {name for name, projection in PROJECTIONS.items() if f'{projection}.weight' in shapes}
    return tuple(source for source in all_sources if (source.shares or source.name) in present)


PROJECTIONS = {
    'face': 'affectgpt_proj',
    'voice': 'audio_llama_proj',
    'multi': 'multi_llama_proj',
    'image': 'image_llama_proj',
}
"""Source to the published name of its projection into the language model."""


def _width(shapes: Mapping[str, tuple[int, ...]], name: str, fusion: str) -> int:
    """Feature width of a step of faces (`video`) or of audio; 0 if the file has no such source."""
    embedding = f'multi_{name}_embs.weight'
    if embedding in shapes:
        return shapes[embedding][1]
    if fusion == 'qformer':
        return shapes[f'{name}_Qformer.bert.encoder.layer.0.crossattention.self.key.weight'][1]
    return shapes.get(f'{PROJECTIONS["face" if name == "video" else "voice"]}.weight', (0, 0))[1]


def _fusion(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    """Name of the fusion of `video`, `audio` or `multi`, as its tensors tell."""
    if f'{name}_query_tokens' in shapes:
        return 'qformer'
    return 'published' if ('fc_att.weight' if name == 'multi' else f'{name}_attention_mlp.weight') in shapes else 'mean'


def _noted(inspection: Inspection, name: str) -> Any:
    """A setting in the notes of a file, at any depth of nesting; None if it is not noted."""
    unread: list[Any] = [inspection.checkpoint.notes]
    while unread:
        notes = unread.pop(0)
        if name in notes:
            return notes[name]
        unread += [value for value in notes.values() if isinstance(value, dict)]
    return None
