"""A folder with the published weights, found by the names of its files and loaded strictly.

The folder holds, at any depth down to three, as .safetensors, .pth, .ckpt or .bin:

| name | what |
|---|---|
| denoising_unet | the net that takes noise out of frames; layers that it lacks come from the two below |
| motion_module… | layers over frames |
| unet/diffusion_pytorch_model | Stable Diffusion 1.5 |
| reference_unet | the net that reads the portrait |
| guidance_encoder_depth, guidance_encoder_normal, guidance_encoder_render | nets that read the maps |
| sd-vae-ft-mse/diffusion_pytorch_model, or vae/… | the autoencoder |
| text_encoder/ and tokenizer/, or prompt | the text model of Stable Diffusion 1.5, or what it gives for PROMPT |

None of these is fetched: the weights are the user's to get, under their makers' terms. Files are opened without running
anything in them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from affekt.checkpoints import opened
from affekt.diffusion.autoencoder import OLD_NAMES, Autoencoder, AutoencoderSizes
from affekt.diffusion.guidance import MAPS, UNUSED, GuidanceEncoder
from affekt.diffusion.unet import UNet, UNetSizes
from affekt.errors import WeightsError, missing_extra
from affekt.nn import Coverage, NameMap, built

PROMPT = 'A close up of a person.'
"""The one text that the published nets were trained with."""
ENDINGS = ('.safetensors', '.pth', '.ckpt', '.bin', '.pt')
"""Of files with weights; the first one wins where a folder has several."""
DEEPEST, MOST_FILES = 3, 10_000
GROUPS = 32
_LAYERS_BEHIND = {'conv_norm_out': None, 'conv_out': None}
"""Layers of Stable Diffusion that the reference net does not have."""
NEEDED = ('denoising_unet', 'reference_unet', *(f'guidance_encoder_{name}' for name in MAPS), 'vae', 'text')
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
"""Part to what the path of its file, without the ending, must end with."""
SHOWN = {
    'vae': 'sd-vae-ft-mse/diffusion_pytorch_model',
    'text': 'text_encoder/ with tokenizer/, or prompt',
}
"""How a missing part is called, where that is not its name."""


@dataclass
class PortraitNets:
    """All nets, loaded, and where each tensor of the files went."""

    reference: UNet
    denoiser: UNet
    guides: Mapping[str, GuidanceEncoder]
    autoencoder: Autoencoder
    text: Tensor
    """(1, M, D) of PROMPT."""
    coverage: Mapping[str, Coverage]
    """File to where its tensors went."""

    def to(self, device: torch.device | str, dtype: torch.dtype) -> PortraitNets:
        """The same on a device, with numbers of this type; for use, not for training."""
        for net in (self.reference, self.denoiser, self.autoencoder, *self.guides.values()):
            net.to(device=device, dtype=dtype).eval().requires_grad_(requires_grad=False)
        self.text = self.text.to(device=device, dtype=dtype)
        return self

    @property
    def device(self) -> torch.device:
        """Where the nets are."""
        return self.denoiser.conv_in.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of their numbers."""
        return self.denoiser.conv_in.weight.dtype


def weight_files(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """The parts of a folder and their files.

    Raises:
        WeightsError: there is no such folder, or parts are missing; all of them are named.
    """
    root = Path(folder)
    if not root.is_dir():
        raise WeightsError(expected='a folder with the published weights', came=f'{root}: none', todo='check the path')
    parts: dict[str, Path] = {}
    every = sorted(islice(_files(root), MOST_FILES), key=lambda path: ENDINGS.index(path.suffix))
    for path in every:
        name = path.relative_to(root).with_suffix('').as_posix()
        for part, pattern in PLACES.items():
            if part not in parts and re.search(pattern + '$', name):
                parts[part] = path
    has_text = 'prompt' in parts or 'text_encoder' in parts
    missing = [part for part in NEEDED if part not in parts and not (part == 'text' and has_text)]
    if missing:
        raise WeightsError(
            expected='the published weights: ' + ', '.join(SHOWN.get(part, part) for part in NEEDED),
            came=f'{root}, which lacks {", ".join(SHOWN.get(part, part) for part in missing)}',
            todo='put the files there under these names (.safetensors, .pth, .ckpt or .bin)',
        )
    return parts


def load_nets(folder: str | os.PathLike[str]) -> PortraitNets:
    """The nets of a folder, of the sizes that its files have, on the CPU.

    Raises:
        WeightsError: parts are missing, or a file has a tensor that is not known, lacks one, or has another shape.
        MissingExtraError: the text model needs a package that is not installed.
    """
    files = weight_files(folder)
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
    denoiser_state = _denoiser_state(files)
    sizes = _unet_sizes(reference_state)
    reference = filled(
        'reference_unet', lambda: UNet(replace(sizes, is_reference=True)), reference_state, _LAYERS_BEHIND
    )
    del reference_state
    denoiser_sizes = replace(_unet_sizes(denoiser_state), has_motion=True, most_frames=_table_length(denoiser_state))
    denoiser = filled(
        'denoising_unet',
        lambda: UNet(denoiser_sizes),
        denoiser_state,
        {},
    )
    del denoiser_state
    guides: dict[str, GuidanceEncoder] = {}
    for name in MAPS:
        part = f'guidance_encoder_{name}'
        guide = filled(
            part, GuidanceEncoder if sizes.widths[0] == 320 else _small_guide(sizes), _state(files[part]), UNUSED
        )
        assert isinstance(guide, GuidanceEncoder)
        guides[name] = guide
    autoencoder_state = _state(files['vae'])
    autoencoder_sizes = _autoencoder_sizes(autoencoder_state)
    autoencoder = filled('vae', lambda: Autoencoder(autoencoder_sizes), autoencoder_state, OLD_NAMES)
    assert isinstance(reference, UNet)
    assert isinstance(denoiser, UNet)
    assert isinstance(autoencoder, Autoencoder)
    return PortraitNets(reference, denoiser, guides, autoencoder, _text(files), coverage)


def _small_guide(sizes: UNetSizes) -> Callable[[], GuidanceEncoder]:
    return lambda: GuidanceEncoder(sizes.widths[0])


def _files(root: Path) -> Iterator[Path]:
    """Files with weights down to a depth."""
    for place, folders, names in os.walk(root):
        if len(Path(place).relative_to(root).parts) >= DEEPEST:
            folders.clear()
        folders.sort()
        yield from (Path(place) / name for name in sorted(names) if Path(name).suffix in ENDINGS)


def _state(path: Path) -> dict[str, Tensor]:
    return {name: value.float() for name, value in opened(path).state().items()}


def _denoiser_state(files: Mapping[str, Path]) -> dict[str, Tensor]:
    """The denoising net's own tensors over those of the motion file over those of Stable Diffusion."""
    own = _state(files['denoising_unet'])
    has_motion = any('.motion_modules.' in name for name in own)
    is_spatial = any('.resnets.' in name for name in own)
    if 'motion_module' in files and not has_motion:
        own = _state(files['motion_module']) | own
    if 'unet' in files and not is_spatial:
        own = _state(files['unet']) | own
    return own


def _unet_sizes(state: Mapping[str, Tensor]) -> UNetSizes:
    """The sizes that the shapes tell."""
    try:
        widths = tuple(
            int(state[f'down_blocks.{at}.resnets.0.conv1.weight'].shape[0])
            for at in range(16)
            if f'down_blocks.{at}.resnets.0.conv1.weight' in state
        )
        layers = sum(f'down_blocks.0.resnets.{at}.conv1.weight' in state for at in range(16))
        text = state['down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight'].shape[1]
        latent = state['conv_in.weight'].shape[1]
    except (KeyError, IndexError):  # renamed or absent: the published sizes, against which each name is then checked
        return UNetSizes()
    if not widths or any(width % GROUPS for width in widths):
        return UNetSizes()
    return UNetSizes(widths, layers, int(text), GROUPS, int(latent))


def _autoencoder_sizes(state: Mapping[str, Tensor]) -> AutoencoderSizes:
    names = [f'encoder.down_blocks.{at}.resnets.0.conv1.weight' for at in range(16)]
    widths = tuple(int(state[name].shape[0]) for name in names if name in state and state[name].ndim)
    if not widths or any(width % GROUPS for width in widths):
        return AutoencoderSizes()
    layers = sum(f'encoder.down_blocks.0.resnets.{at}.conv1.weight' in state for at in range(16))
    quantised = state.get('post_quant_conv.weight')
    latent = 4 if quantised is None or not quantised.ndim else quantised.shape[0]
    return AutoencoderSizes(widths, layers, GROUPS, int(latent))


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
    try:
        from transformers import CLIPTextModel, CLIPTokenizer
    except ImportError as error:
        raise missing_extra('transformers, which reads the prompt', 'encoders', came=str(error)[:200]) from error
    folder = files['text_encoder'].parent
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder.parent / 'tokenizer', local_files_only=True)
        model = CLIPTextModel.from_pretrained(folder, local_files_only=True)
        tokens = tokenizer(
            PROMPT, padding='max_length', max_length=model.config.max_position_embeddings, truncation=True,
            return_tensors='pt',
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise WeightsError(
            expected='the text model of Stable Diffusion 1.5', came=f'{folder}: {str(error)[:300]}',
            todo='put text_encoder/ and tokenizer/ side by side, as published',
        ) from error  # fmt: skip
    with torch.no_grad():
        text: Tensor = model.train(mode=False)(tokens.input_ids).last_hidden_state
    return text
