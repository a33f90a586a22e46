"""SMIRK and DECA from the user's checkpoints: all tensors and no others, and what the heads make of their features."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_smirk import head_of, made_up, published_shapes

from affekt.errors import ShapeError, ValueRangeError, WeightsError
from affekt.face3d import ShownFlame, read_deca, read_flame_reader, read_smirk
from affekt.face3d.flame_encoders import RESNET, smirk_crop

torch = pytest.importorskip('torch')


@pytest.fixture(scope='module')
def smirk_state(shared_data):
    return made_up(published_shapes(shared_data))


def test_every_tensor_of_the_published_encoder_is_used_and_no_other_allowed(tmp_path, smirk_state):
    path = tmp_path / 'smirk.pt'
    torch.save({f'smirk_encoder.{name}': value for name, value in smirk_state.items()}, path)
    read = read_smirk(path).read(np.random.default_rng(0).integers(0, 255, (2, 224, 224, 3)).astype(np.uint8))
    assert (read.shape.shape, read.expression.shape, read.eyelids.shape) == ((2, 300), (2, 50), (2, 2))
    assert (read.jaw.shape, read.turn.shape, read.camera.shape) == ((2, 3), (2, 3), (2, 3))
    assert not np.array_equal(read.expression[0], read.expression[1])
    without = dict(smirk_state)
    del without['shape_encoder.encoder.blocks.3.2.bn2.running_mean']
    for state, message in ((without, 'without'), (smirk_state | {'more.weight': torch.zeros(1)}, 'more.weight')):
        torch.save(state, path)
        with pytest.raises(WeightsError, match=message):
            read_smirk(path)
    torch.save(smirk_state | {'pose_encoder.encoder.conv_stem.weight': torch.zeros(16, 4, 3, 3)}, path)
    with pytest.raises(WeightsError, match='shapes'):
        read_smirk(path)


def test_a_table_says_where_each_tensor_went_and_a_renamed_one_is_named_by_both_names(tmp_path, smirk_state):
    path = tmp_path / 'smirk.pt'
    torch.save(
        {f'smirk_encoder.{name}': value for name, value in smirk_state.items()}
        | {'smirk_generator.conv.weight': torch.zeros(2)},
        path,
    )
    coverage = read_smirk(path).coverage
    counters = [name for name in smirk_state if name.endswith('num_batches_tracked')]
    assert coverage.loaded.keys() == smirk_state.keys() - set(counters)
    assert coverage.loaded['shape_encoder.shape_layers.0.weight'] == (300, 960)
    assert set(coverage.unused) == {'smirk_generator.conv.weight', *counters}
    assert str(coverage).endswith(f'{len(coverage.loaded)} tensors loaded, {len(counters) + 1} unused')
    renamed = dict(smirk_state)
    renamed['pose_encoder.encoder.conv_stm.weight'] = renamed.pop('pose_encoder.encoder.conv_stem.weight')
    torch.save(renamed, path)
    with pytest.raises(WeightsError, match=r'without .*conv_stem\.weight.* and with .*conv_stm\.weight'):
        read_smirk(path)


def test_a_picture_becomes_a_head_in_its_pixels_and_maps_of_it(tmp_path, smirk_state):
    from made_up_flame import arrays, kept

    from affekt.face3d import depth_map, normal_map, rasterize, read_flame, shaded_map

    # heads that ignore their features and say: a camera of scale 8, the jaw shut, shape1 and expression1 of 1
    state = smirk_state | head_of(smirk_state, 'pose_encoder.pose_cam_layers', 0.0, 0.0, 0.0, 8.0, 0.0, 0.0)
    state |= head_of(smirk_state, 'shape_encoder.shape_layers', 1.0)
    state |= head_of(smirk_state, 'expression_encoder.expression_layers', 1.0)
    torch.save(state, tmp_path / 'smirk.pt')
    landmarks = np.zeros((478, 3))
    landmarks[:, :2] = np.array([[60, 40], [140, 120]])[np.arange(478) % 2]
    image = np.full((160, 200, 3), 90, np.uint8)
    flame = read_flame(kept(tmp_path, arrays()))
    seen = read_smirk(tmp_path / 'smirk.pt').read_face(image, landmarks)
    # the box of 80 pixels around (100, 80) makes a square of 1.4 * 80 = 112. The chin is (0, -0.1, 0.1) metres, with
    # shape1 a centimetre lower and with expression1 two centimetres to the left: (0.02, -0.11, 0.1). 8 times that is
    # (0.16, -0.88, 0.8), and half a square is 56 pixels
    points = seen.points(flame)
    assert points[1] == pytest.approx([100 + 0.16 * 56, 80 + 0.88 * 56, -0.8 * 56], abs=1e-4)
    raster = rasterize(points, flame.triangles, image.shape[:2])
    assert raster.covered.any()
    depth = depth_map(raster)
    rows, columns = np.nonzero(depth == depth.max())  # the chin is nearest
    assert (rows.mean(), columns.mean()) == pytest.approx((80 + 0.88 * 56, 100 + 0.16 * 56), abs=3)
    for picture in (normal_map(raster, flame.triangles, points), shaded_map(raster, flame.triangles, points)):
        assert picture.shape[:2] == image.shape[:2]


def test_a_head_read_in_a_portrait_does_what_another_face_shows(tmp_path, smirk_state):
    from made_up_flame import arrays, kept

    state = smirk_state | head_of(smirk_state, 'pose_encoder.pose_cam_layers', 0.0, 0.0, 0.0, 8.0, 0.0, 0.0)
    state |= head_of(smirk_state, 'shape_encoder.shape_layers', 1.0)
    state |= head_of(smirk_state, 'expression_encoder.expression_layers', 1.0)
    torch.save(state, tmp_path / 'smirk.pt')
    landmarks = np.zeros((478, 3))
    landmarks[:, :2] = np.array([[60, 40], [140, 120]])[np.arange(478) % 2]
    reader = read_flame_reader(kept(tmp_path, arrays()), [tmp_path / 'smirk.pt'])
    head = reader.head(np.full((160, 200, 3), 90, np.uint8), landmarks)
    assert head.shown.expression.tolist() == [1.0]
    # as in the test above the chin is (0.02, -0.11, 0.1) metres, and a metre is 8 * 56 pixels; one expression more is
    # two centimetres more
    chin = np.array([100 + 0.16 * 56, 80 + 0.88 * 56, -0.8 * 56])
    calm, now = (ShownFlame(np.array([amount]), np.zeros(2)) for amount in (1.0, 2.0))
    assert head.points(head.shown)[1] == pytest.approx(chin, abs=1e-4)
    wider = [100 + 0.32 * 56, *chin[1:]]
    assert head.points(now.beside(calm, head.shown, 1.0))[1] == pytest.approx(wider, abs=1e-4)
    assert head.points(now.scaled(0.5))[1] == pytest.approx(chin, abs=1e-4)


def test_decas_file_says_who_it_is_and_smirks_what_the_face_does(tmp_path, smirk_state):
    from made_up_flame import arrays, kept

    state = made_up(deca_shapes())
    state |= {'layers.2.weight': torch.zeros(236, 1024), 'layers.2.bias': torch.arange(236.0)}
    torch.save({'E_flame': state}, tmp_path / 'deca_model.tar')
    torch.save(smirk_state | head_of(smirk_state, 'expression_encoder.expression_layers', 0.5), tmp_path / 'smirk.pt')
    torch.save({'other.weight': torch.zeros(2)}, tmp_path / 'other.pt')
    model = kept(tmp_path, arrays())
    reader = read_flame_reader(model, [tmp_path / 'smirk.pt', tmp_path / 'deca_model.tar'])
    landmarks = np.zeros((478, 3))
    landmarks[:, :2] = np.array([[60, 40], [140, 120]])[np.arange(478) % 2]
    head = reader.head(np.full((160, 200, 3), 90, np.uint8), landmarks)
    assert head.seen.parameters.camera[0].tolist() == [206, 207, 208]  # DECA's last numbers
    assert head.shown.expression == pytest.approx([0.5])
    with pytest.raises(WeightsError, match=r'encoder of SMIRK or DECA.*other\.pt'):
        read_flame_reader(model, [tmp_path / 'other.pt'])
    with pytest.raises(ValueRangeError, match='got none'):
        read_flame_reader(model, [])


def test_the_head_of_the_expression_gives_lids_and_jaw_within_their_bounds(tmp_path, smirk_state):
    head = 'expression_encoder.expression_layers.0'
    bias = torch.zeros(55)
    bias[[0, 50, 51, 52, 53, 54]] = torch.tensor([0.7, -0.3, 1.4, 0.25, 0.9, -0.1])
    torch.save(smirk_state | {f'{head}.weight': torch.zeros(55, 960), f'{head}.bias': bias}, tmp_path / 'smirk.pt')
    read = read_smirk(tmp_path / 'smirk.pt').read(np.zeros((1, 224, 224, 3), np.uint8))
    assert read.expression[0, 0] == pytest.approx(0.7)
    assert read.eyelids[0] == pytest.approx([0, 1])
    assert read.jaw[0] == pytest.approx([0.25, 0.2, -0.1])
    assert read.jaw_deg(0) == pytest.approx((np.degrees(0.25), np.degrees(0.2)))


def deca_shapes():
    shapes, width = {'encoder.conv1.weight': [64, 3, 7, 7]}, 64
    norms = {'encoder.bn1': 64}
    for stage, count in enumerate(RESNET):
        inner = 64 * 2**stage
        for block in range(count):
            name = f'encoder.layer{stage + 1}.{block}.'
            sizes = ([inner, width, 1, 1], [inner, inner, 3, 3], [4 * inner, inner, 1, 1])
            shapes |= {f'{name}conv{number}.weight': size for number, size in enumerate(sizes, 1)}
            norms |= {f'{name}bn{number}': size[0] for number, size in enumerate(sizes, 1)}
            if not block:
                shapes[f'{name}downsample.0.weight'] = [4 * inner, width, 1, 1]
                norms[f'{name}downsample.1'] = 4 * inner
            width = 4 * inner
    for norm, size in norms.items():
        shapes |= {f'{norm}.{part}': [size] for part in ('weight', 'bias', 'running_mean', 'running_var')}
    return shapes | {'layers.0.weight': [1024, 2048], 'layers.0.bias': [1024], 'layers.2.weight': [236, 1024],
                     'layers.2.bias': [236]}  # fmt: skip


def test_decas_numbers_are_split_as_published(tmp_path):
    state = made_up(deca_shapes())
    state |= {'layers.2.weight': torch.zeros(236, 1024), 'layers.2.bias': torch.arange(236.0)}
    torch.save({'E_flame': state, 'epoch': 3}, tmp_path / 'deca_model.tar')
    read = read_deca(tmp_path / 'deca_model.tar').read(np.zeros((1, 224, 224, 3), np.uint8))
    # shape 0 to 99, texture 100 to 149, expression 150 to 199, then turn, jaw and camera of three each
    assert (read.shape[0, 99], read.expression[0, 0]) == (99, 150)
    assert read.turn[0].tolist() == [200, 201, 202]
    assert read.jaw[0].tolist() == [203, 204, 205]
    assert read.camera[0].tolist() == [206, 207, 208]


def test_a_crop_is_upright_and_faces_of_another_size_are_refused(tmp_path, smirk_state):
    image = np.zeros((300, 300, 3), np.uint8)
    image[100:200, 100:200] = 200
    landmarks = np.zeros((478, 3))
    landmarks[:, :2] = np.array([[100, 100], [200, 200]])[np.arange(478) % 2]
    crop = smirk_crop(image, landmarks)
    # the box of 100 pixels fills 1 / 1.4 of the crop: 160 pixels, 32 from each side
    assert crop.shape == (224, 224, 3)
    assert crop[112, 36:188].min() > 150
    assert crop[112, :28].max() == 0
    torch.save(smirk_state, tmp_path / 'smirk.pt')
    with pytest.raises(ShapeError):
        read_smirk(tmp_path / 'smirk.pt').read(np.zeros((1, 100, 100, 3), np.uint8))


def test_a_checkpoint_that_holds_more_than_tensors_is_refused_unrun(tmp_path):
    import os

    class Hostile:
        def __reduce__(self):
            return os.system, (f'touch {tmp_path / "was_run"}',)

    torch.save({'more': Hostile()}, tmp_path / 'hostile.pt')
    with pytest.raises(WeightsError, match='tensors alone'):
        read_smirk(tmp_path / 'hostile.pt')
    assert not (tmp_path / 'was_run').exists()
