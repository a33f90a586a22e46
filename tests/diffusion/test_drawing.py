"""A folder of weights, and what is drawn with it: strictness, windows, resuming, processes."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from filled_nets import SETTINGS, SIDE, made_up_maps, made_up_portrait, write_weights  # noqa: E402

from affekt.diffusion import MAPS, Drawing, DrawingSettings, load_nets, on_device, weight_files  # noqa: E402
from affekt.errors import RunError, ShapeError, ValueRangeError, WeightsError  # noqa: E402


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp('weights') / 'portrait')


@pytest.fixture(scope='module')
def nets(folder):
    return on_device(load_nets(folder), 'cpu', 'float32')


def test_files_are_taken_by_name_and_every_tensor_has_a_place(nets):
    assert set(nets.coverage) == {
        'reference_unet.pth', 'denoising_unet.pth', 'diffusion_pytorch_model.safetensors',
        *(f'guidance_encoder_{name}.pth' for name in MAPS),
    }  # fmt: skip
    rows = nets.coverage['guidance_encoder_depth.pth'].rows
    assert [row.published for row in rows if row.ours is None] == ['guidance_attention.norm.weight']
    assert nets.denoiser.sizes.widths == (32, 64, 64, 64)
    assert '1272 tensors loaded, 0 unused' in str(nets.coverage['denoising_unet.pth'])


def test_missing_files_are_all_named(tmp_path):
    with pytest.raises(WeightsError, match='none'):
        weight_files(tmp_path / 'nowhere')
    with pytest.raises(WeightsError) as caught:
        weight_files(tmp_path)
    assert caught.value.came == f'{tmp_path}, which has none of them'
    (tmp_path / 'reference_unet.pth').write_bytes(b'')
    with pytest.raises(WeightsError) as caught:
        weight_files(tmp_path)
    missing = caught.value.came.split('lacks ')[1]
    assert missing == (
        'denoising_unet, guidance_encoder_depth, guidance_encoder_normal, guidance_encoder_render, '
        'sd-vae-ft-mse/diffusion_pytorch_model, text_encoder/ with tokenizer/, or prompt'
    )


@pytest.mark.parametrize(
    ('file', 'name'),
    [
        ('denoising_unet.pth', 'conv_out.weight'),
        ('reference_unet.pth', 'mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight'),
        ('guidance_encoder_normal.pth', 'blocks.3.weight'),
    ],
)
def test_a_renamed_tensor_is_refused_by_name(folder, tmp_path, file, name):
    import shutil

    changed = tmp_path / 'changed'
    shutil.copytree(folder, changed)
    state = torch.load(changed / 'ckpts' / file, weights_only=True)
    state[f'{name}.renamed'] = state.pop(name)
    torch.save(state, changed / 'ckpts' / file)
    with pytest.raises(WeightsError, match=f'{file}.*{name}.renamed.*{name}'):
        load_nets(changed)


def test_frames_come_out_and_depend_on_portrait_maps_and_seed(nets):
    frames = list(Drawing(nets, made_up_portrait(), SETTINGS).frames(made_up_maps(5)))
    assert len(frames) == 5
    assert all(frame.shape == (SIDE, SIDE, 3) and frame.dtype == np.uint8 for frame in frames)
    again = list(Drawing(nets, made_up_portrait(), SETTINGS).frames(iter(made_up_maps(5))))
    assert all(np.array_equal(a, b) for a, b in zip(frames, again, strict=True))
    other_seed = list(
        Drawing(nets, made_up_portrait(), DrawingSettings(steps=2, window=3, overlap=1, seed=1)).frames(made_up_maps(5))
    )
    assert not np.array_equal(frames[0], other_seed[0])
    other_maps = made_up_maps(5)
    other_maps[0]['depth'] = 255 - other_maps[0]['depth']
    assert not np.array_equal(frames[0], next(iter(Drawing(nets, made_up_portrait(), SETTINGS).frames(other_maps))))
    other_face = list(Drawing(nets, made_up_portrait()[::-1].copy(), SETTINGS).frames(made_up_maps(5)))
    assert not np.array_equal(frames[0], other_face[0])


def test_chunks_of_maps_and_of_pictures_change_nothing(nets):
    wanted = list(Drawing(nets, made_up_portrait(), SETTINGS).frames(made_up_maps(4)))
    one = DrawingSettings(steps=2, window=3, overlap=1, maps_at_once=1, decoded_at_once=1)
    given = list(Drawing(nets, made_up_portrait(), one).frames(made_up_maps(4)))
    assert max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(wanted, given, strict=True)) <= 1


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_what_maps_say_lies_on_disk_and_comes_back_window_by_window(tmp_path, dtype):
    from affekt.diffusion.pipeline import _Guidance

    whole = torch.randn(1, 6, 9, 4, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    guidance = _Guidance(tmp_path / 'kept')
    for start in range(0, 9, 4):
        guidance.add(whole[:, :, start : start + 4])
    assert guidance.frames == 9
    for window in ([0, 1, 2], [7, 8], [8, 0, 3]):
        assert torch.equal(guidance.window(window), whole[:, :, window])
    assert list((tmp_path / 'kept').iterdir()) == []  # it has no name: nothing is left by a kill
    guidance.close()


def test_a_killed_drawing_goes_on_with_the_lost_window(nets, tmp_path):
    wanted = list(Drawing(nets, made_up_portrait(), SETTINGS).frames(made_up_maps(5)))

    class Killed(Exception):
        pass

    def kill(done: int, _: int) -> None:
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        list(Drawing(nets, made_up_portrait(), SETTINGS, tmp_path).frames(made_up_maps(5), kill))
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ['drawing.json', 'latents.safetensors', 'window-1-0.safetensors']
    (tmp_path / 'window-0-1.safetensors').touch()  # of a run that ended before it removed it
    asked: list[int] = []
    counted = nets.denoiser.register_forward_pre_hook(lambda *_: asked.append(1))
    given = list(Drawing(nets, made_up_portrait(), SETTINGS, tmp_path).frames(made_up_maps(5)))
    counted.remove()
    assert len(asked) == 1  # of four windows in two steps, three were there
    assert all(np.array_equal(a, b) for a, b in zip(wanted, given, strict=True))
    assert not tmp_path.exists()


def _doubled(part):
    for parameter in part.parameters(recurse=False):
        parameter.data *= 2


def test_windows_of_another_drawing_are_not_taken_over(nets, tmp_path):
    stream = Drawing(nets, made_up_portrait(), SETTINGS, tmp_path).frames(made_up_maps(3))
    next(stream)
    stream.close()
    with pytest.raises(RunError, match='the number of frames; the movement'):
        list(Drawing(nets, made_up_portrait(), SETTINGS, tmp_path).frames(made_up_maps(4)))
    for changed in (
        replace(nets, text=nets.text + 1),
        replace(nets, guides={**nets.guides, 'depth': nets.guides['normal']}),
        replace(nets, autoencoder=deepcopy(nets.autoencoder).apply(_doubled)),
    ):
        with pytest.raises(RunError, match=r'a change of .*the weights'):
            list(Drawing(changed, made_up_portrait(), SETTINGS, tmp_path).frames(made_up_maps(3)))


def test_what_cannot_be_drawn_is_refused(nets):
    with pytest.raises(ShapeError, match='multiples of 8'):
        Drawing(nets, np.zeros((60, 64, 3), np.uint8))
    with pytest.raises(ShapeError, match='at least one frame'):
        list(Drawing(nets, made_up_portrait(), SETTINGS).frames([]))
    with pytest.raises(ShapeError, match="'render'"):
        list(
            Drawing(nets, made_up_portrait(), SETTINGS).frames(
                [{n: m for n, m in made_up_maps(1)[0].items() if n != 'render'}]
            )
        )
    with pytest.raises(ShapeError, match='at most 32 frames'):
        list(Drawing(nets, made_up_portrait(), DrawingSettings(steps=1, window=33)).frames(made_up_maps(33)))
    with pytest.raises(ValueRangeError):
        DrawingSettings(guidance=0.5)
    with pytest.raises(ValueRangeError):
        DrawingSettings(window=2, overlap=2)
    with pytest.raises(ValueRangeError):
        on_device(nets, 'cpu', 'int8')


def test_a_cpu_without_bfloat16_draws_in_float32(nets, monkeypatch):
    monkeypatch.setattr('affekt.diffusion.pipeline.has_precision', lambda *_: False)
    assert on_device(nets, 'cpu', 'auto').dtype == torch.float32
    assert on_device(nets, 'cpu', 'bfloat16').dtype == torch.float32
