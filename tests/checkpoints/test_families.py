"""Published states are recognised by names and shapes alone, and every one of their tensors has its place."""

from __future__ import annotations

import dataclasses
import json

import pytest
from published_files import published_shapes, unread

from affekt.checkpoints import inspected, recognised, require_whole
from affekt.checkpoints.hicmae import listing
from affekt.errors import WeightsError

HICMAE = [(size, form) for size in ('tiny', 'small', 'base') for form in ('pretrain', 'finetune')]
SVFAP = [
    ('small', 'pretrain'),
    ('base', 'pretrain'),
    ('base768repo', 'pretrain'),
    ('small', 'finetune'),
    ('base', 'finetune'),
]


@pytest.mark.parametrize(('size', 'form'), HICMAE)
def test_states_of_hicmae_are_whole(shared_data, size, form):
    shapes = published_shapes(shared_data, f'hicmae_{size}_{form}')
    known = recognised(shapes)
    assert (known.family, known.size, known.form) == ('hicmae', size, form)
    assert dict(known.expected) == shapes


@pytest.mark.parametrize(('size', 'form'), SVFAP)
def test_states_of_svfap_are_whole(shared_data, size, form):
    shapes = published_shapes(shared_data, f'svfap_{size}_{form}')
    known = recognised(shapes)
    assert (known.family, known.form) == ('svfap', form)
    assert known.size == ('base of width 768' if size == 'base768repo' else size)
    assert dict(known.expected) == shapes


def test_what_fine_tuning_keeps_of_hicmae_is_both_encoders_and_the_fusion(shared_data):
    before = published_shapes(shared_data, 'hicmae_base_pretrain')
    after = published_shapes(shared_data, 'hicmae_base_finetune')
    known = recognised(before)
    assert set(known.kept) == {
        name for name in before if name.split('.')[0] in ('encoder', 'encoder_audio', 'encoder_fusion')
    }
    assert all(name == new and before[name] == after[new] for name, new in known.kept.items())
    assert set(known.new) == set(after) - set(known.kept.values())
    assert {name.split('.')[0] for name in known.new} == {
        'video_layer_weights',
        'audio_layer_weights',
        'fc_norm',
        'head',
    }


@pytest.mark.parametrize('size', ['small', 'base'])
def test_what_fine_tuning_keeps_of_svfap_is_the_encoder_without_its_norm(shared_data, size):
    before = published_shapes(shared_data, f'svfap_{size}_pretrain')
    after = published_shapes(shared_data, f'svfap_{size}_finetune')
    known = recognised(before)
    assert set(known.kept.values()) | set(known.new) == set(after)
    assert set(known.new) == {'fc_norm.weight', 'fc_norm.bias', 'head.weight', 'head.bias'}
    assert all(before[name] == after[new] for name, new in known.kept.items())
    assert 'encoder.norm.weight' in before
    assert 'encoder.norm.weight' not in known.kept


@pytest.mark.parametrize('prefix', ['encoder.', 'backbone.', ''])
def test_an_encoder_of_svfap_alone_is_known_under_each_published_prefix(shared_data, prefix):
    tuned = published_shapes(shared_data, 'svfap_small_finetune')
    alone = {f'{prefix}{name}': shape for name, shape in tuned.items() if not name.startswith(('fc_norm', 'head'))}
    known = recognised(alone)
    assert (known.family, known.form, known.size) == ('svfap', 'encoder', 'small')
    assert set(known.kept.values()) == {name.removeprefix(prefix) for name in alone}


def test_the_form_of_a_file_that_lacks_a_tensor_is_that_of_the_whole_file(shared_data):
    shapes = published_shapes(shared_data, 'hicmae_tiny_pretrain')
    del shapes['encoder.blocks.3.attn.qkv.weight'], shapes['mask_token']
    known = recognised(shapes)
    assert (known.size, known.form) == ('tiny', 'pretrain')
    assert set(known.expected) - set(shapes) == {'encoder.blocks.3.attn.qkv.weight', 'mask_token'}


@pytest.mark.parametrize(
    ('name', 'gone', 'lost'),
    [
        # the published states of tiny have 13 tensors in a plain block, 23 in one that attends to a context first
        ('hicmae_tiny_pretrain', ('encoder.blocks.9.',), 13),
        ('hicmae_tiny_pretrain', ('decoder_audio.blocks.3.',), 23),
        ('hicmae_tiny_pretrain', ('encoder_fusion.blocks_audio.1.',), 23),
        ('hicmae_tiny_finetune', ('encoder.blocks.9.', 'encoder_audio.blocks.9.'), 26),
        ('hicmae_tiny_finetune', ('encoder_fusion.',), 96),
        ('svfap_small_finetune', ('blocks.10.',), 23),
    ],
)
def test_a_state_without_a_block_is_known_by_its_other_parts(shared_data, name, gone, lost):
    shapes = {key: shape for key, shape in published_shapes(shared_data, name).items() if not key.startswith(gone)}
    known = recognised(shapes)
    missing = set(known.expected) - set(shapes)
    assert known.size == name.split('_')[1]
    assert len(missing) == lost
    assert all(key.startswith(gone) for key in missing)


@pytest.mark.parametrize(
    ('name', 'gone', 'said'),
    [
        ('svfap_small_finetune', ('blocks.13.',), 'like small, but with 5 cross-self blocks instead of 6'),
        (
            'hicmae_tiny_pretrain', ('encoder.blocks.9.', 'encoder_audio.blocks.9.'),
            'like tiny, but with 9 video blocks instead of 10 and 9 audio blocks instead of 10',
        ),
        (
            'hicmae_tiny_pretrain', ('encoder_fusion.blocks.1.', 'encoder_fusion.blocks_audio.1.'),
            'like tiny, but with 1 fusion block instead of 2',
        ),
    ],
)  # fmt: skip
def test_a_shallower_network_is_compared_with_the_published_one_of_its_width(shared_data, name, gone, said):
    shapes = {key: shape for key, shape in published_shapes(shared_data, name).items() if not key.startswith(gone)}
    known = recognised(shapes)
    assert known.size == 'custom'
    assert str(known).endswith(f'({said})')
    assert known.is_cut


def test_a_published_network_without_its_last_blocks_is_not_whole_unless_it_notes_that_form():
    shapes = listing(256, (9, 9, 2), decoders=(4, 4, 128))
    cut = inspected(unread(shapes), values=False)
    assert cut.verdict()[0].startswith('not whole: without its last blocks')
    with pytest.raises(WeightsError, match='9 video blocks instead of 10'):
        require_whole(cut)
    noted = dataclasses.replace(unread(shapes), notes={'form': {'depth': 9}})
    require_whole(inspected(noted, values=False))


@pytest.mark.parametrize(('blocks', 'decoders'), [(11, 4), (6, 3)])
def test_a_network_of_other_depths_is_not_taken_for_a_cut_one(blocks, decoders):
    known = recognised(listing(256, (blocks, blocks, 2), decoders=(decoders, decoders, 128)))
    assert (known.size, known.is_cut) == ('custom', False)


@pytest.mark.parametrize(
    ('name', 'fusions', 'queries'),
    [
        ('clip_hubert_attention', ('attention', 'attention', 'attention'), None),
        ('clip_hubert_multi_qformer', ('attention', 'attention', 'qformer'), 'multi 1'),
        ('all_qformer', ('qformer', 'qformer', 'qformer'), 'video 32, audio 8, multi 16'),
        ('tiny_qwen2_attention', ('attention', 'attention', 'attention'), None),
        ('tiny_llama_attention', ('attention', 'attention', 'attention'), None),
        ('tiny_qwen2_qformer', ('qformer', 'qformer', 'qformer'), 'video 8, audio 4, multi 4'),
    ],
)
def test_states_of_affectgpt_say_fusion_rank_and_queries(shared_data, name, fusions, queries):
    is_tiny = name.startswith('tiny')
    language, rank = ('custom', 4) if is_tiny else ('Qwen2.5 7B', 16)
    fusion = ', '.join(f'{source} {how}' for source, how in zip(('video', 'audio', 'multi'), fusions, strict=True))
    shapes = published_shapes(shared_data, f'affectgpt_{name if is_tiny else f"qwen25_7b_{name}"}')
    known = recognised(shapes)
    assert (known.family, known.size, known.sizes['fusion']) == ('affectgpt', language, fusion)
    assert known.sizes['adapters'].startswith(f'rank {rank} on down_proj, gate_proj')
    assert known.sizes.get('query tokens') == queries
    assert known.sizes['inputs'] == 'image, face and frame, audio, multi'
    buffers = {name for name in shapes if name.endswith('position_ids')}
    assert dict(known.expected) == {name: shape for name, shape in shapes.items() if name not in buffers}


@pytest.mark.parametrize(
    ('name', 'part'),
    [
        ('smirk_encoder', 'SMIRK encoder'), ('guidance_encoder', 'guidance encoder'),
        ('reference_unet2d', 'reference U-Net of images'), ('denoising_unet3d', 'denoising U-Net of frames'),
    ],
)  # fmt: skip
def test_parts_of_magicportrait_are_told_apart(shared_data, name, part):
    shapes = published_shapes(shared_data, f'magicportrait_{name}')
    known = recognised(shapes)
    assert (known.family, known.form) == ('magicportrait', part)
    assert known.count == len(shapes)


def test_a_part_of_magicportrait_that_lacks_tensors_is_not_whole(shared_data):
    shapes = dict(list(published_shapes(shared_data, 'magicportrait_denoising_unet3d').items())[:1200])
    inspection = inspected(unread(shapes), values=False)
    assert inspection.faults == ['1,200 tensors where the published file has 1,274']
    assert {row.fate for row in inspection.rows} == {'known'}


def test_every_published_fusion_model_is_recognised_with_its_sizes(shared_data):
    models = json.loads((shared_data / 'vectors' / 'fusion_reference.json').read_text())
    for name, model in models.items():
        shapes = {tensor: tuple(shape) for tensor, shape in model['state'].items()}
        known = recognised(shapes)
        assert (known.family, known.form) == ('fusion', name.split('-')[0]), name
        assert known.sizes['width'] == 16, name
        assert (known.sizes['classes'], known.sizes['values']) == (6, 1), name
        assert all(shapes[tensor] == shape for tensor, shape in known.expected.items()), name


def test_sizes_of_a_fusion_model_are_those_of_its_inputs(shared_data):
    models = json.loads((shared_data / 'vectors' / 'fusion_reference.json').read_text())
    known = recognised({name: tuple(shape) for name, shape in models['lmf-frm_align']['state'].items()})
    sizes = {
        'level': 'frame',
        'audio size': 12,
        'text size': 20,
        'video size': 16,
        'width': 16,
        'classes': 6,
        'values': 1,
        'rank': 3,
    }
    assert dict(known.sizes) == sizes
    assert known.model == 'LowRankFusion'


def test_a_state_of_nobody_is_of_no_family():
    assert recognised({'layer.weight': (3, 4), 'layer.bias': (3,)}) is None
    assert (
        recognised({'encoder.patch_embed.proj.weight': (), 'encoder.spatial_downsamples.0.mlp.fc2.weight': ()}) is None
    )
