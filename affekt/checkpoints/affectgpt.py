"""States of AffectGPT: the adapters (LoRA) of a language model, and the projections of its inputs.

Published files lack frozen parameters (the language model, the encoders), but may have buffers. The names of
tensors show the fusion of each input: attention has a scoring layer, a Q-Former its query tokens, a mean nothing.
Source: github.com/zeroQiaoba/AffectGPT; arXiv:2501.16566.
"""

from __future__ import annotations

import re

from affekt.checkpoints.families import Family, Recognised, State, depth
from affekt.checkpoints.listings import Shapes, below, linear, norm

LAYERS = 'llama_model.base_model.model.model.layers'
PROJECTIONS = {
    'image_llama_proj': 'image',
    'affectgpt_proj': 'face and frame',
    'audio_llama_proj': 'audio',
    'multi_llama_proj': 'multi',
}
"""Names of projections to their input of the language model."""
FUSED = {'video': 'affectgpt_proj', 'audio': 'audio_llama_proj', 'multi': 'multi_llama_proj'}
"""Fused input to the name of its projection."""
SCORED = {
    'video': ('video_attention_mlp.',),
    'audio': ('audio_attention_mlp.',),
    'multi': ('attention_mlp.', 'fc_att.'),
}
"""Fused input to the names that its attention alone has."""
LANGUAGE_MODELS = {
    (3584, 28): 'Qwen2.5 7B',
    (2048, 36): 'Qwen2.5 3B',
    (896, 24): 'Qwen2.5 0.5B',
    (4096, 32): 'Llama or Vicuna 7B or 8B',
    (5120, 40): 'Llama or Vicuna 13B',
}
"""Width and number of layers to the usual model."""
POSITIONS = {'video': 'video_frame_position_embedding', 'audio': 'audio_position_embedding'}
"""Fused input to the name of its learned positions."""
MEANING = {
    'llama_model.': 'adapters of the language model (LoRA)',
    'image_llama_proj.': 'image to the language model',
    'affectgpt_proj.': 'face and frame to the language model',
    'audio_llama_proj.': 'audio to the language model',
    'multi_llama_proj.': 'face and audio together to it',
    'video_': 'fusion of face or frames over time',
    'audio_': 'fusion of audio over time',
    'multi_': 'fusion of face and audio',
    'attention_mlp.': 'fusion of face and audio',
    'fc_att.': 'fusion of face and audio',
}
"""Beginning of a name to the meaning of the tensor."""
_ADAPTER = re.compile(re.escape(LAYERS) + r'\.(\d{1,4})\.(\w+\.\w+)\.lora_([AB])\.default\.weight')


def fusion_of(state: State, source: str) -> str:
    """Fusion of an input over time (video, audio), or of face with audio (multi): attention, qformer, mean or none."""
    if any(name.startswith((f'{source}_Qformer.', f'{source}_query_tokens')) for name in state):
        return 'qformer'
    if any(name.startswith(SCORED[source]) for name in state):
        return 'attention'
    return 'mean' if any(name.startswith(f'{FUSED[source]}.') for name in state) else 'none'


def adapters(state: State) -> Shapes:
    """Names and shapes of the adapters of a complete state: those found in any layer, in every layer."""
    matches = [match for name in state if (match := _ADAPTER.match(name))]
    shapes = {(match[2], match[3]): state[match[0]] for match in reversed(matches)}
    layers = depth(state, LAYERS)
    return {
        f'{LAYERS}.{layer}.{module}.lora_{side}.default.weight': shape
        for layer in range(layers)
        for (module, side), shape in shapes.items()
    }


def query_former(width: int, context: int, intermediate: int, layers: int) -> Shapes:
    """Names and shapes of a Q-Former: queries that attend to a context in every layer, without the part for words.

    Args:
        width: width of the queries.
        context: width of the tokens that they attend to.
        intermediate: hidden width of the feed-forward part.
        layers: number of layers.
    """
    shapes: Shapes = below('embeddings.LayerNorm.', norm(width))
    for layer in range(layers):
        layer_shapes: Shapes = {}
        for attention, inputs in (('attention', width), ('crossattention', context)):
            layer_shapes |= below(f'{attention}.self.query.', linear(width, width))
            layer_shapes |= below(f'{attention}.self.key.', linear(inputs, width))
            layer_shapes |= below(f'{attention}.self.value.', linear(inputs, width))
            layer_shapes |= below(f'{attention}.output.dense.', linear(width, width))
            layer_shapes |= below(f'{attention}.output.LayerNorm.', norm(width))
        layer_shapes |= below('intermediate_query.dense.', linear(width, intermediate))
        layer_shapes |= below('output_query.dense.', linear(intermediate, width))
        layer_shapes |= below('output_query.LayerNorm.', norm(width))
        shapes |= below(f'encoder.layer.{layer}.', layer_shapes)
    return shapes


def _fused(state: State, source: str, language_width: int) -> Shapes:
    """Names and shapes of the fusion of an input and of its projection to the language model."""
    projection = FUSED[source]
    width = _fused_width(state, source)
    shapes = below(f'{projection}.', linear(width, language_width))
    fusion = fusion_of(state, source)
    if source == 'multi':
        embedding_width = _side(state, 'multi_audio_embs.weight', 0, 'multi_video_embs.weight')
        shapes |= below('multi_audio_embs.', linear(_side(state, 'multi_audio_embs.weight', 1), embedding_width))
        shapes |= below('multi_video_embs.', linear(_side(state, 'multi_video_embs.weight', 1), embedding_width))
    if fusion == 'attention' and source == 'multi':
        shapes |= below('attention_mlp.', linear(2 * embedding_width, embedding_width)) | below(
            'fc_att.', linear(embedding_width, 2)
        )
    elif fusion == 'attention':
        shapes |= below(f'{source}_attention_mlp.', linear(width, 1))
    elif fusion == 'qformer':
        top = f'{source}_Qformer.bert.'
        context = _side(state, f'{top}encoder.layer.0.crossattention.self.key.weight', 1)
        intermediate = _side(state, f'{top}encoder.layer.0.intermediate_query.dense.weight', 0)
        shapes |= below(top, query_former(width, context, intermediate, depth(state, f'{top}encoder.layer')))
        shapes[f'{source}_query_tokens'] = (1, _side(state, f'{source}_query_tokens', 1), width)
        positions = POSITIONS.get(source, 'multi_position_embedding')
        shapes[f'{positions}.weight'] = (_side(state, f'{positions}.weight', 0), context)
    return shapes


def _fused_width(state: State, source: str) -> int:
    """Width of an input's projection, or of what is projected if the file lacks the projection's weight."""
    scored = 'fc_att.weight' if source == 'multi' else f'{source}_attention_mlp.weight'
    for name, axis in ((f'{FUSED[source]}.weight', 1), (scored, 1), (f'{source}_query_tokens', 2)):
        if name in state:
            return _side(state, name, axis)
    return 1


def _side(state: State, name: str, axis: int, other: str = '') -> int:
    """Size of an axis of a tensor, or of the other one if it is absent; 1 without either."""
    shape = state.get(name, state.get(other, ()))
    return shape[axis] if axis < len(shape) else 1


def recognise(state: State) -> Recognised | None:
    """The identity of a state that has AffectGPT's projections, with or without adapters; None for another state."""
    projections = [name for name in PROJECTIONS if any(tensor.startswith(f'{name}.') for tensor in state)]
    inputs = [PROJECTIONS[name] for name in projections]
    has_adapters = any(_ADAPTER.match(name) for name in state)
    if not inputs or not (has_adapters or 'affectgpt_proj' in projections):
        return None
    lora = adapters(state)
    layers = depth(state, LAYERS)
    lora_shape = next((shape for name, shape in lora.items() if name.endswith('lora_A.default.weight')), (0, 0))
    shapes = [state.get(f'{name}.{part}', ()) for name in projections for part in ('weight', 'bias')]
    language_width = next((shape[0] for shape in shapes if shape), 1)
    fusions = {source: fusion_of(state, source) for source in FUSED}
    query_counts = {s: _side(state, f'{s}_query_tokens', 1) for s, fusion in fusions.items() if fusion == 'qformer'}
    modules = sorted({match[2].split('.')[1] for name in lora if (match := _ADAPTER.match(name))})
    expected = dict(lora)
    for source, projection in FUSED.items():
        if projection in projections or fusions[source] != 'none':
            expected |= _fused(state, source, language_width)
    if 'image' in inputs:
        expected |= below('image_llama_proj.', linear(_side(state, 'image_llama_proj.weight', 1), language_width))
    model = LANGUAGE_MODELS.get((language_width, layers), 'unknown')
    sizes = {
        'language model': f'{model} (width {language_width}, {layers} layers)',
        'adapters': f'rank {lora_shape[0]} on {", ".join(modules)}' if lora else 'none',
        'inputs': ', '.join(inputs),
        'fusion': ', '.join(f'{source} {fusion}' for source, fusion in fusions.items()),
    }  # fmt: skip
    if query_counts:
        sizes['query tokens'] = ', '.join(f'{source} {count}' for source, count in query_counts.items())
    size = LANGUAGE_MODELS.get((language_width, layers), 'custom')
    return Recognised('affectgpt', 'AffectGPT', 'adapters and projections', size, expected, sizes, meaning=MEANING)


AFFECTGPT = Family('AffectGPT', 'github.com/zeroQiaoba/AffectGPT', recognise)
