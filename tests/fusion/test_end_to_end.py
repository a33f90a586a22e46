"""Tiny encoders trained with their heads: what moves, at which rate, and what their answers depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip('transformers', reason='transformers is absent (pip install affekt[encoders])')

import tiny_encoders as tiny

from affekt.encoders import open_backbone
from affekt.errors import ShapeError, UnknownNameError, WeightsError
from affekt.fusion import BackboneHead, EndToEnd, FusionShape, vectors
from affekt.nn import read_tensors
from affekt.training import Samples, Sequences, TrainingSettings, predict, train

WORDS = ['we won and I am glad', 'I miss her', 'the bus stops here at four', 'all is lost', 'what a day']
LABELS = torch.tensor([1, 2, 0, 2, 1])


def shades(rng, count):
    """Pictures of one shade each, and a few of them a clip."""
    return [np.full((int(rng.integers(1, 7)), 20, 24, 3), 50 * at, dtype=np.uint8) for at in range(count)]


def sounds(rng, count):
    return [rng.normal(0, 0.1, int(rng.integers(700, 4000))).astype(np.float32) for _ in range(count)]


GIVEN = {
    'bert': lambda rng: WORDS,
    'wav2vec2': lambda rng: sounds(rng, 5),
    'videomae': lambda rng: shades(rng, 5),
    'vit': lambda rng: shades(rng, 5),
    'clip': lambda rng: shades(rng, 5),
}
MODALITY = {'bert': 'text', 'wav2vec2': 'audio', 'videomae': 'video', 'vit': 'video', 'clip': 'video'}


def opened(name, folder, **how):
    return open_backbone(tiny.bert(folder, WORDS) if name == 'bert' else getattr(tiny, name)(folder), **how)


def samples_of(backbone, given):
    return Samples({backbone.modality: Sequences.of([backbone.prepare(each) for each in given])}, LABELS)


def whole(backbone, dropout=0.0):
    torch.manual_seed(1)
    return EndToEnd(backbone, BackboneHead(FusionShape({backbone.modality: backbone.size}, 3, 0, dropout=dropout)))


@pytest.mark.parametrize('name', GIVEN)
def test_every_kind_is_read_and_its_answer_is_the_same_alone_and_in_a_batch(name, tmp_path, rng):
    backbone = opened(name, tmp_path)
    assert backbone.modality == MODALITY[name]
    samples = samples_of(backbone, GIVEN[name](rng))
    together = vectors(backbone, samples)
    alone = torch.cat([vectors(backbone, samples.subset(torch.tensor([at]))) for at in range(5)])
    assert together.shape == (5, backbone.size)
    torch.testing.assert_close(together, alone, atol=2e-6, rtol=1e-5)
    assert together.std(dim=0).max() > 0


@pytest.mark.parametrize('name', GIVEN)
def test_every_parameter_that_is_read_gets_a_gradient(name, tmp_path, rng):
    backbone = opened(name, tmp_path, layers='last_four')
    batch = samples_of(backbone, GIVEN[name](rng)).batch(torch.arange(5))
    model = whole(backbone)
    model(batch.features, batch.keep_mask).logits.square().sum().backward()
    lacking = [each for each, held in model.named_parameters() if held.grad is None or not held.grad.any()]
    # the learnt mask of wav2vec 2.0 belongs to its pretraining; a key's bias adds one number to all of a row's scores
    assert [each for each in lacking if not each.endswith(('masked_spec_embed', 'key.bias', 'k_proj.bias'))] == []


def test_marks_are_read_but_do_not_count(tmp_path):
    backbone = opened('bert', tmp_path)
    rows = torch.from_numpy(backbone.prepare('I miss her')).unsqueeze(0)
    states, keep = backbone(rows, torch.ones(1, 5, dtype=torch.bool))
    assert keep.tolist() == [[False, True, True, True, False]]
    assert states.shape == (1, 5, 16)
    # nothing but marks: they count
    nothing = torch.from_numpy(backbone.prepare('')).unsqueeze(0)
    assert backbone(nothing, torch.ones(1, 2, dtype=torch.bool))[1].all()


def test_a_long_text_sound_or_clip_is_cut(tmp_path):
    text = open_backbone(tiny.bert(tmp_path / 'bert', WORDS), longest=4)
    assert text.prepare(WORDS[0]).shape == (4, 1)
    sound = open_backbone(tiny.wav2vec2(tmp_path / 'sound'), longest_s=0.1)
    row = sound.prepare(np.random.default_rng(0).normal(3, 2, 5000))
    assert row.shape == (1600, 1)
    assert abs(row.mean()) < 1e-6
    assert row.std() == pytest.approx(1.0, abs=1e-3)
    assert sound.prepare(np.zeros(3)).shape == (320, 1)  # 10 * 8 * 4: what one state needs
    pictures = open_backbone(tiny.vit(tmp_path / 'vit'), pictures=2)
    shades = np.repeat(np.arange(5, dtype=np.uint8)[:, None, None, None], 3, axis=3)
    assert pictures.prepare(shades)[:, 0].tolist() == [0, 2]  # 0 * 5 / 2 and 1 * 5 / 2, rounded down
    clips = open_backbone(tiny.videomae(tmp_path / 'clips'))
    assert clips.prepare(shades)[:, 0].tolist() == [0, 1, 2, 3]
    assert clips.prepare(shades[:2])[:, 0].tolist() == [0, 1, 1, 1]
    with pytest.raises(ShapeError):
        clips.prepare(shades[:0])


def test_the_sum_of_the_last_four_layers_is_what_the_network_says(tmp_path):
    backbone = opened('bert', tmp_path, layers='last_four')
    rows = torch.from_numpy(backbone.prepare(WORDS[1])).unsqueeze(0)
    keep = torch.ones(rows.shape[:2], dtype=torch.bool)
    hidden = backbone.network(rows[..., 0], output_hidden_states=True).hidden_states
    assert len(hidden) == 3  # fewer than four: all
    torch.testing.assert_close(backbone(rows, keep)[0], hidden[0] + hidden[1] + hidden[2])


def test_a_frozen_encoder_stays_bit_for_bit_and_is_in_no_checkpoint(tmp_path):
    backbone = opened('bert', tmp_path / 'bert')
    before = {name: held.clone() for name, held in backbone.state_dict().items()}
    samples = samples_of(backbone, WORDS)
    settings = TrainingSettings(
        epochs=3, batch_size=2, shuffle=False, learning_rate=1e-2, backbone_share=0.0, patience=None
    )
    trained = train(whole(backbone, 0.2), samples, samples, settings, folder=tmp_path / 'run')
    for name, held in trained.model.backbone.state_dict().items():
        assert torch.equal(held, before[name]), name
    tensors, _ = read_tensors(tmp_path / 'run' / 'checkpoint.safetensors')
    assert tensors
    assert not [name for name in tensors if 'backbone' in name]
    # and the answers are those of the head alone on the frozen vectors
    head = whole(opened('bert', tmp_path / 'bert'), 0.2).head
    on_vectors = Samples({'text': vectors(backbone, samples)}, LABELS)
    head.standardise_on = None  # the head within did not standardise
    alone = train(head, on_vectors, on_vectors, settings)
    torch.testing.assert_close(
        predict(trained.model, samples).logits, predict(alone.model, on_vectors).logits, atol=1e-5, rtol=1e-4
    )


def test_the_encoder_moves_at_its_share_of_the_rate(tmp_path):
    # Adam's first step is the rate times the sign of the gradient, where that is far above its epsilon
    backbone = opened('bert', tmp_path)
    samples = samples_of(backbone, WORDS)
    model = whole(backbone)
    before = {name: held.detach().clone() for name, held in model.named_parameters()}
    settings = TrainingSettings(
        epochs=1, batch_size=5, learning_rate=1e-3, backbone_share=0.1, weight_decay=0.0, clip_norm=None
    )
    train(model, samples, samples, settings)
    moved = {name: float((held.detach() - before[name]).abs().max()) for name, held in model.named_parameters()}
    assert moved['head.emotion_head.weight'] == pytest.approx(1e-3, rel=1e-2)
    assert moved['backbone.network.encoder.layer.1.output.dense.weight'] == pytest.approx(1e-4, rel=1e-2)
    assert max(value for name, value in moved.items() if name.startswith('backbone')) < 1.01e-4


def test_columns_that_hardly_vary_do_not_drown_the_others():
    head = BackboneHead(FusionShape({'text': 3}, 2, 0))
    rows = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 1e-9]])
    head.standardise_on({'text': rows})
    # deviations 0.5, 1 and 5e-10: a tenth of their mean is 0.05
    torch.testing.assert_close(head.scales['text'].deviation, torch.tensor([0.5, 1.0, 0.05]))


def test_an_encoder_with_a_decoder_is_refused(tmp_path):
    tiny.transformers.T5Config().save_pretrained(tmp_path)
    (tmp_path / 'model.safetensors').write_bytes(b'not opened: the configuration says enough')
    with pytest.raises(WeightsError, match='with a decoder'):
        open_backbone(tmp_path)


@pytest.mark.parametrize('damage', ['no weights', 'other weights', 'no tokenizer', 'no preprocessor', 'pickle'])
def test_a_folder_that_is_no_encoder_is_one_clear_error(damage, tmp_path):
    folder = tiny.wav2vec2(tmp_path) if damage == 'no preprocessor' else tiny.bert(tmp_path, WORDS)
    if damage == 'no preprocessor':
        (folder / 'preprocessor_config.json').unlink()
    elif damage == 'no tokenizer':
        for path in folder.glob('tokenizer*'):
            path.unlink()
    elif damage == 'other weights':
        other = tiny.vit(tmp_path / 'vit')
        (other / 'model.safetensors').replace(folder / 'model.safetensors')
    else:
        weights = folder / 'model.safetensors'
        if damage == 'pickle':
            torch.save({}, folder / 'pytorch_model.bin')
        weights.unlink()
    with pytest.raises(
        WeightsError, match=r'an encoder of transformers in|model\.safetensors or|preprocessor_config'
    ) as caught:
        open_backbone(folder)
    assert len(str(caught.value)) < 700


def test_layers_are_two():
    with pytest.raises(UnknownNameError, match='last_four'):
        open_backbone(tiny.Path('.'), layers='first')
