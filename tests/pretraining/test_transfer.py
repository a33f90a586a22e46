"""From pre-training to fine-tuning: what goes over, what is left out, what is new, and what is refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch
from published_files import published_shapes, save_published, unread

from affekt.checkpoints import inspected, opened
from affekt.errors import ShapeError, ValueRangeError, WeightsError
from affekt.nn import position_table, save_tensors
from affekt.pretraining import (
    HicmaeClassifier,
    HicmaeForm,
    HicmaePretraining,
    SvfapClassifier,
    SvfapForm,
    SvfapPretraining,
    form_named,
)
from affekt.pretraining.transfer import classifier_from, pretraining_from, resized_positions, stored_form, transferred

pytestmark = pytest.mark.usefixtures('same_process')
TINY = HicmaeForm(
    width=64, heads=1, decoder_width=64, decoder_heads=1, depth=4, fusion_depth=1, decoder_depth=2, size=32
)
STAGES = SvfapForm(width=64, heads=1, decoder_width=64, decoder_heads=1, depths=(1, 2), decoder_depth=1, size=32)


def _numbered(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A state in which no two tensors hold the same number."""
    return {name: torch.full_like(value, at + 1.0) for at, (name, value) in enumerate(model.state_dict().items())}


def _same(value: torch.Tensor, other: torch.Tensor) -> bool:
    return value.shape == other.shape and torch.equal(value, other)


@pytest.mark.parametrize('name', ['hicmae-tiny', 'hicmae-small', 'hicmae-base', 'svfap-small', 'svfap-base'])
def test_the_form_of_a_published_file_is_told_by_its_shapes(shared_data, name):
    shapes = published_shapes(shared_data, f'{name.replace("-", "_")}_pretrain')
    assert stored_form(unread(shapes)) == form_named(*name.split('-'))


def test_a_whole_pre_training_file_fills_its_network(tmp_path):
    state = _numbered(HicmaePretraining(TINY))
    model, coverage = pretraining_from(save_published(tmp_path / 'c.pth', state, wrapper='module.'), size=32)
    assert model.form == TINY
    assert len(coverage.rows) == len(state)
    assert all(_same(value, state[name]) for name, value in model.state_dict().items())


def test_a_file_of_half_precision_fills_a_network_of_float32(tmp_path):
    state = {name: value.bfloat16() for name, value in _numbered(HicmaePretraining(TINY)).items()}
    model, _ = pretraining_from(save_published(tmp_path / 'c.pth', state), size=32)
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    assert all(_same(value, state[name].float()) for name, value in model.state_dict().items())


def test_hicmae_takes_encoders_and_fusion_and_leaves_the_rest(tmp_path):
    before = HicmaePretraining(TINY)
    state = _numbered(before)
    classifier, transfer = classifier_from(save_published(tmp_path / 'c.pth', state), outputs=5, size=32)
    after = classifier.state_dict()
    taken = {name for name in state if name.split('.')[0] in ('encoder', 'encoder_audio', 'encoder_fusion')}
    assert all(_same(after[name], state[name]) for name in taken)
    assert set(transfer.new) == set(after) - taken == {
        'video_layer_weights', 'audio_layer_weights', 'fc_norm.weight', 'fc_norm.bias', 'head.weight', 'head.bias',
    }  # fmt: skip
    unused = {row.published.split('.')[0] for row in transfer.coverage.rows if row.ours is None}
    assert unused == {
        'mask_token', 'mask_token_audio', 'decoder', 'decoder_audio', 'encoder_to_decoder', 'encoder_to_decoder_audio',
    }  # fmt: skip
    assert f'{len(taken)} of {len(state)} tensors taken' in str(transfer)


@pytest.mark.parametrize('prefix', ['encoder.', 'backbone.', ''])
def test_svfap_takes_its_encoder_but_not_the_norm_after_pre_training(tmp_path, prefix):
    state = _numbered(SvfapPretraining(STAGES))
    renamed = {
        f'{prefix}{name.removeprefix("encoder.")}' if name.startswith('encoder.') else name: value
        for name, value in state.items()
    }
    classifier, transfer = classifier_from(save_published(tmp_path / 'c.pth', renamed), outputs=7, size=32)
    after = classifier.state_dict()
    assert set(transfer.new) == {'fc_norm.weight', 'fc_norm.bias', 'head.weight', 'head.bias'}
    assert torch.equal(after['fc_norm.weight'], torch.ones(64))
    taken = set(after) - set(transfer.new)
    assert all(_same(after[name], state[f'encoder.{name}']) for name in taken)
    unused = {row.published for row in transfer.coverage.rows if row.ours is None}
    assert {f'{prefix}norm.weight', f'{prefix}norm.bias', 'mask_token'} <= unused


def test_a_missing_tensor_of_an_encoder_is_refused_by_name_unless_allowed(tmp_path):
    state = _numbered(HicmaePretraining(TINY))
    del state['encoder_audio.blocks.2.mlp.fc1.bias']
    source = save_published(tmp_path / 'c.pth', state)
    with pytest.raises(WeightsError, match=r"1 missing \('encoder_audio\.blocks\.2\.mlp\.fc1\.bias'\)") as caught:
        classifier_from(source, outputs=5, size=32)
    assert 'allow_missing=True' in str(caught.value)  # no command has such an option
    with pytest.raises(WeightsError, match='1 tensor missing'):
        pretraining_from(source, size=32)
    classifier, transfer = classifier_from(source, outputs=5, size=32, allow_missing=True)
    assert 'allowed to be missing, and as drawn' in str(transfer)
    assert torch.count_nonzero(classifier.state_dict()['encoder_audio.blocks.2.mlp.fc1.bias']) == 0


def test_a_tensor_of_another_shape_is_not_called_missing(tmp_path):
    state = _numbered(HicmaePretraining(TINY))
    state['encoder.norm.weight'] = state['encoder.norm.weight'][:10].clone()
    words = r'1 that does not fit \(encoder\.norm\.weight of \[10\] where \[64\] belongs\); get the file again'
    with pytest.raises(WeightsError, match=words):
        classifier_from(save_published(tmp_path / 'c.pth', state), outputs=5, size=32)


def test_nothing_is_filled_where_another_width_is_refused(tmp_path):
    source = save_published(tmp_path / 'c.pth', _numbered(SvfapPretraining(STAGES)))
    wider = SvfapClassifier(replace(STAGES, width=128, heads=2), 3)
    before = {name: value.clone() for name, value in wider.state_dict().items()}
    with pytest.raises(
        WeightsError, match=r'with 66 that do not fit \(encoder\.patch_embed\.proj\.weight of \[64, 3, 2, 16, 16\]'
    ):
        transferred(wider, source)
    assert all(_same(value, before[name]) for name, value in wider.state_dict().items())


def test_a_fine_tuned_file_keeps_its_head_only_for_as_many_outputs(tmp_path):
    state = _numbered(HicmaeClassifier(TINY, 6))
    source = save_published(tmp_path / 'c.pth', state)
    same, transfer = classifier_from(source, size=32)
    assert transfer.new == transfer.remarks == ()
    assert all(_same(value, state[name]) for name, value in same.state_dict().items())
    other, transfer = classifier_from(source, outputs=4, size=32)
    assert transfer.new == ('head.weight', 'head.bias')
    assert 'dropped' in transfer.remarks[0]
    assert _same(other.state_dict()['fc_norm.weight'], state['fc_norm.weight'])


def test_one_modality_is_taken_from_a_file_of_two(tmp_path):
    state = _numbered(HicmaeClassifier(TINY, 6))
    audio, transfer = classifier_from(save_published(tmp_path / 'c.pth', state), size=32, modalities=('audio',))
    after = audio.state_dict()
    assert set(transfer.new) == {'fc_norm.weight', 'fc_norm.bias', 'head.weight', 'head.bias'}
    assert _same(after['audio_layer_weights'], state['audio_layer_weights'])
    assert not any(name.startswith('encoder.') for name in after)


def test_a_run_of_affekt_notes_its_form_and_may_be_named_by_its_folder(tmp_path):
    form = replace(TINY, width=32, heads=2, decoder_width=16, decoder_heads=4, size=48, modalities=('video',))
    state = _numbered(HicmaePretraining(form))
    notes = {'family': 'hicmae', 'form': asdict(form)}
    save_tensors(tmp_path / 'weights.safetensors', state, {'notes': json.dumps(notes)})
    classifier, transfer = classifier_from(tmp_path, outputs=2)
    assert classifier.form == form
    assert str(transfer.recognition) == 'HiCMAE custom, pretrain'
    assert inspected(tmp_path / 'weights.safetensors').recognition.sizes['heads'] == 2


@pytest.mark.parametrize(
    ('noted', 'came'),
    [
        ({'width': 'wide'}, 'a form of HiCMAE or SVFAP in weights'),
        ({**asdict(TINY), 'width': 1 << 20}, 'expected width 64, as its tensors have; got a note of 1048576'),
        ({**asdict(TINY), 'depth': 1 << 30}, 'expected video blocks 4, as its tensors have'),
    ],
)
def test_notes_that_the_tensors_cannot_have_are_an_error_of_the_file(tmp_path, noted, came):
    save_tensors(tmp_path / 'weights.safetensors', _numbered(HicmaePretraining(TINY)), {'form': json.dumps(noted)})
    with pytest.raises(WeightsError, match=came):
        classifier_from(tmp_path, outputs=2)


def test_a_file_that_lost_the_last_block_of_one_encoder_is_refused_in_one_sentence(tmp_path):
    state = _numbered(HicmaePretraining(TINY))
    for name in [name for name in state if name.startswith('encoder_audio.blocks.3.')]:
        del state[name]
    sentence = r"with 13 missing \('encoder_audio\.blocks\.3\..* and 8 more\); get the file again, or allow"
    with pytest.raises(WeightsError, match=sentence):
        classifier_from(save_published(tmp_path / 'c.pth', state), outputs=2)


def test_a_file_without_any_block_is_refused_in_one_sentence(tmp_path):
    source = save_published(tmp_path / 'c.pth', {'encoder_audio.patch_embed.proj.weight': torch.zeros(256, 1, 16, 16)})
    with pytest.raises(
        WeightsError, match=r'^expected encoders of one block or more; got none in c\.pth; get the file'
    ):
        classifier_from(source, outputs=2)


def test_stages_that_share_their_blocks_otherwise_than_published_are_refused_without_a_noted_form(tmp_path):
    form = replace(STAGES, depths=(1, 4, 2), frames=16, size=160)
    state = _numbered(SvfapPretraining(form))
    assert stored_form(opened(save_published(tmp_path / 'whole.pth', state))).depths == (1, 4, 2)
    for name in [name for name in state if name.startswith('encoder.blocks.6.')]:
        del state[name]
    with pytest.raises(WeightsError, match=r'as published; got 5 blocks in both in cut\.pth; get the file again'):
        classifier_from(save_published(tmp_path / 'cut.pth', state), outputs=2)


def test_a_form_that_is_asked_for_and_cannot_be_is_no_error_of_the_file(tmp_path):
    source = save_published(tmp_path / 'c.pth', _numbered(HicmaePretraining(TINY)))
    with pytest.raises(ValueRangeError, match='an input of whole patches'):
        classifier_from(source, outputs=2, size=100)


def test_files_of_other_systems_and_of_other_stages_are_refused(tmp_path):
    other = save_published(tmp_path / 'a.pth', {'layer.weight': torch.ones(2)})
    with pytest.raises(WeightsError, match='of no known family'):
        classifier_from(other, outputs=2)
    tuned = save_published(tmp_path / 'b.pth', _numbered(SvfapClassifier(STAGES, 3)))
    with pytest.raises(WeightsError, match='a pre-training checkpoint'):
        pretraining_from(tuned)
    with pytest.raises(WeightsError, match='a number of outputs'):
        classifier_from(save_published(tmp_path / 'c.pth', _numbered(SvfapPretraining(STAGES))))


class WithPositions(HicmaeClassifier):
    """A network whose positions are learned."""

    def __init__(self, form: HicmaeForm, outputs: int) -> None:
        super().__init__(form, outputs)
        tokens = form.video_grid[0] * form.video_grid[1] * form.video_grid[2]
        self.encoder.pos_embed = torch.nn.Parameter(torch.zeros(1, tokens, form.width))


def test_learned_positions_are_resized_where_the_network_learns_them_and_refused_where_not(tmp_path):
    state = _numbered(HicmaePretraining(TINY)) | {'encoder.pos_embed': torch.randn(1, 8 * 4 * 4, 64)}
    source = save_published(tmp_path / 'c.pth', state)
    model = WithPositions(TINY, 3)  # 8 slices of 2 by 2 tokens
    transfer = transferred(model, source)
    assert 'encoder.pos_embed resized from 128 to 32 tokens' in transfer.remarks
    assert torch.count_nonzero(model.encoder.pos_embed) == 8 * 2 * 2 * 64
    with pytest.raises(WeightsError, match='learned positions, where the network has a fixed table'):
        transferred(HicmaeClassifier(TINY, 3), source)


def test_the_fixed_table_in_a_file_is_left_out_and_said(tmp_path):
    table = position_table(32, 64, torch.zeros(1)).reshape(1, 32, 64)
    state = _numbered(HicmaePretraining(TINY)) | {'encoder.pos_embed': table}
    _, transfer = classifier_from(save_published(tmp_path / 'c.pth', state), outputs=2, size=32)
    assert transfer.remarks == ('encoder.pos_embed is the fixed table, which the network has by itself',)


def test_resized_positions_keep_what_is_linear_over_the_picture():
    # Of a ramp r along rows, bicubic halving gives the means of neighbours where no border is near: 2.5 between 2 and 3
    ramp = torch.arange(8.0).reshape(1, 8, 1, 1).expand(2, 8, 8, 1)  # (T, Y, X, C)
    resized = resized_positions(ramp.reshape(1, 128, 1), (2, 4, 4), 32).reshape(2, 4, 4)
    assert torch.allclose(resized[:, 1:3, 1:3], torch.tensor([2.5, 4.5]).reshape(1, 2, 1).expand(2, 2, 2))
    assert torch.equal(resized[0], resized[1])


def test_positions_of_audio_are_cut_in_time_and_never_made_longer():
    table = torch.arange(16.0 * 8).reshape(1, 128, 1)  # 16 time steps of 8 mel bands
    assert torch.equal(resized_positions(table, (10, 8), 80)[0, :, 0], torch.arange(80.0))
    with pytest.raises(ShapeError, match='never learned'):
        resized_positions(table, (20, 8), 160)
    with pytest.raises(ShapeError, match='8 time slices of a square'):
        resized_positions(torch.zeros(1, 8 * 6, 4), (8, 2, 2), 32)
