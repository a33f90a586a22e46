"""A folder with the published weights, found by the names of its files and loaded strictly.

The folder holds, at any depth down to three, as .safetensors, .pth, .ckpt or .bin:

| name | content |
|---|---|
| denoising_unet | the denoising network; layers that it lacks come from the two below |
| motion_module… | temporal layers |
| unet/diffusion_pytorch_model | Stable Diffusion 1.5 |
| reference_unet | the network that reads the portrait |
| guidance_encoder_depth, guidance_encoder_normal, guidance_encoder_render | encoders of the maps |
| sd-vae-ft-mse/diffusion_pytorch_model, or vae/… | the autoencoder |
| text_encoder/ and tokenizer/, or prompt | the text model of Stable Diffusion 1.5, or its output for PROMPT |

None of these is downloaded: obtain the weights under their makers' terms. Files are opened without running anything in
them. `save_nets` writes such a folder from your own networks; the numbers of groups in group normalisation, which
shapes do not show, are in its `sizes.json`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from affekt.checkpoints import opened
from affekt.diffusion.autoencoder import OLD_NAMES, Autoencoder, AutoencoderSizes
from affekt.diffusion.guidance import GROUPS, MAPS, UNUSED, WIDTHS, GuidanceEncoder
from affekt.diffusion.unet import UNet, UNetSizes
from affekt.encoders import open_network, open_reader
from affekt.errors import WeightsError
from affekt.nn import Coverage, NameMap, built, save_tensors
from affekt.runs import read_regular_file, sampled, write_atomically

PROMPT = 'A close up of a person.'
"""The only text in the training of the published networks."""
ENDINGS = ('.safetensors', '.pth', '.ckpt', '.bin', '.pt')
"""Suffixes of files with weights; if a folder has several, the first one wins."""
DEEPEST, MOST_FILES = 3, 10_000
"""Depth of folders that are searched, and the maximum number of files."""
SIZES_FILE = 'sizes.json'
"""File with the sizes that shapes do not show."""
GROUPED = ('unet', 'guidance', 'autoencoder')
"""Networks whose number of normalisation groups `sizes.json` states."""
_LAYERS_BEHIND = {'conv_norm_out': None, 'conv_out': None}
"""Layers of Stable Diffusion that the reference network lacks."""
NEEDED = ('denoising_unet', 'reference_unet', *(f'guidance_encoder_{name}' for name in MAPS), 'vae', 'text')
"""Parts that a folder must have."""
PLACES: Mapping[str, str] = {
    'denoising_unet': r'(^|/)denoising_unet',
    'motion_module': r'(^|/)motion_module[^/]*',
    'unet': r'(^|/)unet/diffusion_pytorch_model',
    'reference_unet': r'(^|/)reference_unet',
    **{f'guidance_encoder_{name}': rf'(^|/)guidance_encoder_{name}' for name in MAPS},
    'vae': r'(^|/)(sd-vae-ft-mse|vae)/diffusion_pytorch_model',
    'prompt': r'(^|/)prompt',
    'text_encoder': r'(^|/)text_encoder/(model|pytorch_model)',
}
"""Part to the required end of its file's path, without extension."""
SHOWN = {
    'vae': 'sd-vae-ft-mse/diffusion_pytorch_model',
    'text': 'text_encoder/ with tokenizer/, or prompt',
}
"""Names of missing parts in messages, if different from the part's own."""


@dataclass
class PortraitNets:
    """All networks, loaded, and where each tensor of the files went."""

    reference: UNet
    denoiser: UNet
    guides: Mapping[str, GuidanceEncoder]
    autoencoder: Autoencoder
    text: Tensor
    """(1, M, D) tokens of PROMPT."""
    coverage: Mapping[str, Coverage]
    """File to where its tensors went."""

    def to(self, device: torch.device | str, dtype: torch.dtype) -> PortraitNets:
        """The networks moved to a device and a dtype; for inference, not for training."""
        for net in (self.reference, self.denoiser, self.autoencoder, *self.guides.values()):
            net.to(device=device, dtype=dtype).eval().requires_grad_(requires_grad=False)
        self.text = self.text.to(device=device, dtype=dtype)
        return self

    @property
    def device(self) -> torch.device:
        """The device of the networks."""
        return self.denoiser.conv_in.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return self.denoiser.conv_in.weight.dtype


def weight_files(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """The parts of a folder and their files.

    Raises:
        WeightsError: there is no such folder, or parts are missing; the error names all of them.
    """
    root = Path(folder)
    if not root.is_dir():
        raise WeightsError(expected='a folder with the published weights', came=f'{root}: none', todo='check the path')
    parts: dict[str, Path] = {}
    paths = sorted(islice(_files(root), MOST_FILES), key=lambda path: ENDINGS.index(path.suffix))
    for path in paths:
        name = path.relative_to(root).with_suffix('').as_posix()
        for part, pattern in PLACES.items():
            if part not in parts and re.search(pattern + '$', name):
                parts[part] = path
    has_text = 'prompt' in parts or 'text_encoder' in parts
    missing = [part for part in NEEDED if part not in parts and not (part == 'text' and has_text)]
    if missing:
        needed, lacking = (', '.join(SHOWN.get(part, part) for part in names) for names in (NEEDED, missing))
        raise WeightsError(
            expected=f'the published weights: {needed}',
            came=f'{root}, which {"has none of them" if lacking == needed else f"lacks {lacking}"}',
            todo='put the files there under these names (.safetensors, .pth, .ckpt or .bin)',
        )
    return parts


def weight_prints(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Part to name, size and a hash of both ends of its file: identifies weights without reading them all.

    Raises:
        WeightsError: see `weight_files`.
    """
    prints = {part: (path, sampled(path)) for part, path in sorted(weight_files(folder).items())}
    return {part: f'{path.name}, {size} bytes, {digest}' for part, (path, (size, digest)) in prints.items()}


def save_nets(nets: PortraitNets, folder: str | os.PathLike[str]) -> Path:
    """Write networks under the published names of files and tensors, for `load_nets`.

    Args:
        nets: networks of any size whose channels are divisible by the numbers of groups.
        folder: created if missing; files of the same names are replaced.

    Raises:
        StorageError: the folder cannot be written.
    """
    root = Path(folder)
    parts: dict[str, nn.Module] = {'reference_unet': nets.reference, 'denoising_unet': nets.denoiser}
    parts |= {f'guidance_encoder_{name}': guide for name, guide in nets.guides.items()}
    parts['vae/diffusion_pytorch_model'] = nets.autoencoder
    for name, net in parts.items():
        path = root / f'{name}.safetensors'
        path.parent.mkdir(parents=True, exist_ok=True)
        save_tensors(path, net.state_dict())
    save_tensors(root / 'prompt.safetensors', {'prompt': nets.text.float()})
    counts = (nets.denoiser.sizes.groups, next(iter(nets.guides.values())).groups, nets.autoencoder.sizes.groups)
    groups = dict(zip(GROUPED, counts, strict=True))
    write_atomically(root / SIZES_FILE, (json.dumps({'groups': groups}, indent=2) + '\n').encode())
    return root


def load_nets(folder: str | os.PathLike[str]) -> PortraitNets:
    """The networks of a folder, with the sizes in its files, on the CPU.

    Raises:
        WeightsError: parts are missing; a file lacks a tensor, or has an unknown one or one of another shape; or
            the sizes of parts do not fit together.
        MissingExtraError: the text model needs a package that is not installed.
    """
    files = weight_files(folder)
    groups = _groups(Path(folder) / SIZES_FILE)
    coverage: dict[str, Coverage] = {}

    def filled(part: str, make: Callable[[], nn.Module], state: Mapping[str, Tensor], names: NameMap) -> nn.Module:
        try:
            net, coverage[files[part].name] = built(make, state, names)
        except WeightsError as error:
            raise WeightsError(
                expected=error.expected, came=f'{files[part].name}: {error.came}', todo=error.todo
            ) from error
        return net.eval()

    reference_state = _state(files['reference_unet'])
    sizes = replace(_unet_sizes(reference_state, groups['unet']), is_reference=True)
    reference = filled('reference_unet', lambda: UNet(sizes), reference_state, _LAYERS_BEHIND)
    del reference_state
    denoiser_state = _denoiser_state(files)
    denoiser_sizes = replace(
        _unet_sizes(denoiser_state, groups['unet']), has_motion=True, most_frames=_table_length(denoiser_state)
    )
    denoiser = filled('denoising_unet', lambda: UNet(denoiser_sizes), denoiser_state, {})
    del denoiser_state
    guides: dict[str, GuidanceEncoder] = {}
    for name in MAPS:
        part = f'guidance_encoder_{name}'
        state = _state(files[part])
        make = partial(GuidanceEncoder, sizes.widths[0], _guide_widths(state, groups['guidance']), groups['guidance'])
        guide = filled(part, make, state, UNUSED)
        assert isinstance(guide, GuidanceEncoder)
        guides[name] = guide
    autoencoder_state = _state(files['vae'])
    autoencoder_sizes = _autoencoder_sizes(autoencoder_state, groups['autoencoder'])
    autoencoder = filled('vae', lambda: Autoencoder(autoencoder_sizes), autoencoder_state, OLD_NAMES)
    assert isinstance(reference, UNet)
    assert isinstance(denoiser, UNet)
    assert isinstance(autoencoder, Autoencoder)
    nets = PortraitNets(reference, denoiser, guides, autoencoder, _text(files), coverage)
    _require_fitting(nets, files)
    return nets


def _require_fitting(nets: PortraitNets, files: Mapping[str, Path]) -> None:
    """Require that parts that were each loaded strictly also belong together.

    Raises:
        WeightsError: a part has a size that does not fit another; the file is named.
    """
    denoiser, reference, autoencoder = nets.denoiser.sizes, nets.reference.sizes, nets.autoencoder.sizes
    text = files.get('prompt') or files['text_encoder']
    pairs = [
        (files['reference_unet'], 'widths', reference.widths, denoiser.widths),
        (files['reference_unet'], 'layers at each resolution', reference.layers, denoiser.layers),
        (files['vae'], 'channels of a latent', autoencoder.latent_width, denoiser.latent_width),
        (text, 'numbers of a token', int(nets.text.shape[-1]), denoiser.text_width),
    ]
    pairs += [
        (files[f'guidance_encoder_{name}'], 'times that latents are smaller', guide.shrinking, autoencoder.shrinking)
        for name, guide in nets.guides.items()
    ]
    for path, quantity, value, expected in pairs:
        if value != expected:
            raise WeightsError(
                expected=f'{quantity}: {expected}, as the denoising net has them', came=f'{value} in {path.name}',
                todo='take all files from one release',
            )  # fmt: skip


def _groups(path: Path) -> dict[str, int]:
    """Network to its number of normalisation groups: as published, unless `sizes.json` differs.

    Raises:
        WeightsError: the file is invalid.
    """
    if not path.exists():
        return dict.fromkeys(GROUPED, GROUPS)
    try:
        content: Any = json.loads(read_regular_file(path))
        groups = {name: content['groups'][name] for name in GROUPED}
        if not all(isinstance(count, int) and 1 <= count <= 1024 for count in groups.values()):
            raise ValueError(groups)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(
            expected=f'groups of {", ".join(GROUPED)}, counts of 1 or more', came=f'{path.name}: {str(error)[:100]}',
            todo='copy the folder again as it was written',
        ) from error  # fmt: skip
    return groups


def _files(root: Path) -> Iterator[Path]:
    """Files with weights down to a depth."""
    for directory, folders, names in os.walk(root):
        if len(Path(directory).relative_to(root).parts) >= DEEPEST:
            folders.clear()
        folders.sort()
        yield from (Path(directory) / name for name in sorted(names) if Path(name).suffix in ENDINGS)


def _state(path: Path) -> dict[str, Tensor]:
    return {name: value.float() for name, value in opened(path).state().items()}


def _denoiser_state(files: Mapping[str, Path]) -> dict[str, Tensor]:
    """The denoising net's own tensors over those of the motion file over those of Stable Diffusion."""
    state = _state(files['denoising_unet'])
    has_motion = any('.motion_modules.' in name for name in state)
    is_spatial = any('.resnets.' in name for name in state)
    if 'motion_module' in files and not has_motion:
        state = _state(files['motion_module']) | state
    if 'unet' in files and not is_spatial:
        state = _state(files['unet']) | state
    return state


def _unet_sizes(state: Mapping[str, Tensor], groups: int) -> UNetSizes:
    """The sizes as the shapes of the tensors show them; those of Stable Diffusion 1.5 where a tensor is absent."""
    try:
        widths = tuple(
            int(state[f'down_blocks.{index}.resnets.0.conv1.weight'].shape[0])
            for index in range(16)
            if f'down_blocks.{index}.resnets.0.conv1.weight' in state
        )
        layers = sum(f'down_blocks.0.resnets.{index}.conv1.weight' in state for index in range(16))
        text = state['down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight'].shape[1]
        latent = state['conv_in.weight'].shape[1]
    except (KeyError, IndexError):  # renamed or absent: the published sizes, against which each name is then checked
        return UNetSizes()
    if not widths or any(width % groups for width in widths):
        return UNetSizes()
    return UNetSizes(widths, layers, int(text), groups, int(latent))


def _guide_widths(state: Mapping[str, Tensor], groups: int) -> tuple[int, ...]:
    """Channels of the first layer, and after each layer that halves height and width: every second one."""
    names = ['conv_in.weight', *(f'blocks.{index}.weight' for index in range(1, 16, 2))]
    widths = tuple(int(state[name].shape[0]) for name in names if name in state and state[name].ndim)
    return widths if len(widths) > 1 and not widths[-1] % groups else WIDTHS


def _autoencoder_sizes(state: Mapping[str, Tensor], groups: int) -> AutoencoderSizes:
    names = [f'encoder.down_blocks.{index}.resnets.0.conv1.weight' for index in range(16)]
    widths = tuple(int(state[name].shape[0]) for name in names if name in state and state[name].ndim)
    if not widths or any(width % groups for width in widths):
        return AutoencoderSizes()
    layers = sum(f'encoder.down_blocks.0.resnets.{index}.conv1.weight' in state for index in range(16))
    quantised = state.get('post_quant_conv.weight')
    latent = 4 if quantised is None or not quantised.ndim else quantised.shape[0]
    return AutoencoderSizes(widths, layers, groups, int(latent))


def _table_length(state: Mapping[str, Tensor]) -> int:
    """The longest window: motion files of 24 frames were published beside those of 32."""
    lengths = [value.shape[1] for name, value in state.items() if name.endswith('.pos_encoder.pe') and value.ndim == 3]
    return int(lengths[0]) if lengths else UNetSizes().most_frames


def _text(files: Mapping[str, Path]) -> Tensor:
    """(1, M, D) of PROMPT."""
    if 'prompt' in files:
        values = list(_state(files['prompt']).values())
        if len(values) != 1 or values[0].ndim != 3:
            raise WeightsError(
                expected='one tensor (1, M, D) in the file of the prompt',
                came=f'{len(values)} tensors in {files["prompt"].name}', todo='save what the text model gives',
            )  # fmt: skip
        return values[0]
    folder = files['text_encoder'].parent
    _, model = open_network(folder, 'CLIPTextModel', 'cpu', 'float32')
    tokenizer = open_reader(folder.parent / 'tokenizer', 'CLIPTokenizer')
    tokens = tokenizer(
        PROMPT, padding='max_length', max_length=model.config.max_position_embeddings, truncation=True,
        return_tensors='pt',
    )  # fmt: skip
    with torch.no_grad():
        text: Tensor = model(tokens.input_ids).last_hidden_state
    return text
