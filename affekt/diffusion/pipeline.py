"""A portrait and maps of a moving face to frames.

`Drawing` has numbered steps: the portrait is read once, the maps are encoded in chunks, latents are denoised window by
window and decoded a few at a time. With a folder, the result of each window is stored there, so that a killed run
resumes with the unfinished window. Under torchrun or accelerate, processes share the windows.

Axes: F frames, C channels, H height, W width.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from affekt.diffusion.guidance import MAPS
from affekt.diffusion.layers import Reading, Reference
from affekt.diffusion.published import PortraitNets
from affekt.diffusion.schedule import ddim_step, timesteps
from affekt.diffusion.unet import read_portrait
from affekt.diffusion.windows import FRAMES, OVERLAP, windows
from affekt.errors import RunError, ShapeError, ValueRangeError
from affekt.files import explained_where_full
from affekt.nn import read_tensors, require_device, save_tensors
from affekt.runs import read_regular_file, write_atomically
from affekt.training import Ranks, has_precision

Image = npt.NDArray[np.uint8]
Maps = Mapping[str, Image]
"""'depth', 'normal' and 'render' to a map of (H, W, 3) or (H, W)."""
Advanced = Callable[[int, int], None]
"""Called with the number of finished windows and that of all windows."""
DRAWING = 'drawing.json'
"""File of a drawing's identity in its folder."""
IDENTITY_NAMES = {
    'frames': 'the number of frames', 'maps': 'the movement', 'portrait': 'the portrait', 'weights': 'the weights',
    'dtype': 'the precision',
}  # fmt: skip
"""Parts of a drawing's identity besides its settings, and their names in messages."""
LOG = logging.getLogger('affekt')


@dataclass(frozen=True)
class DrawingSettings:
    """Settings of drawing frames; by default as published, except for open windows.

    Args:
        steps: number of denoising steps.
        guidance: scale of classifier-free guidance by the portrait; 1 computes no prediction without it.
        seed: seed of the noise.
        window: frames that are drawn together.
        overlap: frames that neighbouring windows share.
        is_closed: windows continue from the last frame to the first, as published.
        maps_at_once: frames whose maps are read together.
        decoded_at_once: frames that are decoded together.
        tile: largest side, in latents, that is decoded at once.
    """

    steps: int = 20
    guidance: float = 3.5
    seed: int = 42
    window: int = FRAMES
    overlap: int = OVERLAP
    is_closed: bool = False
    maps_at_once: int = 8
    decoded_at_once: int = 2
    tile: int = 96

    def __post_init__(self) -> None:
        timesteps(self.steps)
        windows(self.window, self.window, self.overlap)
        if not self.guidance >= 1 or min(self.maps_at_once, self.decoded_at_once, self.tile) < 1:
            raise ValueRangeError(
                expected='guidance of at least 1, and at least one frame at once',
                came=f'{self.guidance}, {self.maps_at_once}, {self.decoded_at_once}', todo='leave them out',
            )  # fmt: skip


def on_device(nets: PortraitNets, device: str = 'cpu', precision: str = 'auto') -> PortraitNets:
    """The networks on a device: in bfloat16 if it supports that natively, else in float32.

    Args:
        nets: the networks, changed in place.
        device: such as cpu or cuda.
        precision: auto, float32 or bfloat16, which is used only if the device supports it.

    Raises:
        ValueRangeError: unknown device or precision.
    """
    if precision not in ('auto', 'float32', 'bfloat16'):
        raise ValueRangeError(expected='precision auto, float32 or bfloat16', came=repr(precision), todo='leave it out')
    dtype = number_type(device, precision)
    if precision == 'bfloat16' and dtype != torch.bfloat16:
        LOG.warning('%s does not support bfloat16 natively and would be slower with it: float32 is used', device)
    return nets.to(require_device(device), dtype)


def number_type(device: str, precision: str) -> torch.dtype:
    """The dtype of a device under a precision: bfloat16 if allowed and natively supported, else float32.

    Raises:
        ValueRangeError: unknown device.
    """
    is_half = precision != 'float32' and has_precision(require_device(device), 'bfloat16')
    return torch.bfloat16 if is_half else torch.float32


class Drawing:
    """Draws frames of one portrait from maps.

    Args:
        nets: the networks, on their device.
        portrait: (H, W, 3) RGB, with sides that are multiples of the autoencoder's factor, 8.
        settings: settings of the drawing; None for the defaults.
        folder: folder for the result of each window until the frames are done; None stores nothing.
        ranks: the processes that share the windows; only this process if None.

    Raises:
        ShapeError: the portrait has other sides.
    """

    def __init__(
        self,
        nets: PortraitNets,
        portrait: Image,
        settings: DrawingSettings | None = None,
        folder: Path | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.nets, self.settings = nets, settings or DrawingSettings()
        self.folder = folder
        self._ranks = ranks
        self._portrait = _image_tensor([portrait], nets)
        if portrait.shape[0] % nets.autoencoder.sizes.shrinking or portrait.shape[1] % nets.autoencoder.sizes.shrinking:
            raise ShapeError(
                expected=f'a portrait with sides that are multiples of {nets.autoencoder.sizes.shrinking}',
                came=f'{portrait.shape[1]} x {portrait.shape[0]}', todo='enlarge or cut it',
            )  # fmt: skip

    def frames(self, maps: Iterable[Maps], progress: Advanced | None = None) -> Iterator[Image]:
        """(H, W, 3) RGB frames; none in a process other than the first.

        Stored windows are removed after the last frame.

        Args:
            maps: maps of each frame, of the portrait's size; read once, in order.
            progress: called after each window.

        Raises:
            ShapeError: a map has another size or is missing, or there are none.
            RunError: the folder holds windows of another drawing.
        """
        latents = self.latents(maps, progress)
        if self._ranks is None or self._ranks.first:
            for start in range(0, latents.shape[2], self.settings.decoded_at_once):
                yield from self.pictures(latents[:, :, start : start + self.settings.decoded_at_once])
            self.forget()

    @torch.no_grad()
    def latents(self, maps: Iterable[Maps], progress: Advanced | None = None) -> Tensor:
        """(1, C, F, H / 8, W / 8) of all frames, on the CPU; the folder keeps them. See `frames`."""
        # 1. The portrait through the reference network, once
        portrait_latents = self.nets.autoencoder.encode(2 * self._portrait - 1)
        reference = read_portrait(self.nets.reference, portrait_latents, self.nets.text)
        # 2. The maps through the encoders, in chunks; stored on disk
        with closing(_Guidance(self.folder)) as guidance:
            fingerprint = self._read_maps(maps, guidance)
            # 3. Denoising, from noise of the size of the video
            frames = guidance.frames
            generator = torch.Generator().manual_seed(self.settings.seed)
            noise = torch.randn(1, portrait_latents.shape[1], frames, *portrait_latents.shape[2:], generator=generator)
            stored = _StoredDrawing(self.folder, self._identity(fingerprint, frames), self._ranks)
            return self._denoised(noise, reference, guidance, stored, progress)

    @torch.no_grad()
    def pictures(self, latents: Tensor) -> list[Image]:
        """(H, W, 3) RGB of the frames of (1, C, F, H / 8, W / 8) latents, all at once."""
        frame_latents = latents[0].transpose(0, 1).to(self._portrait)  # (F, C, H / 8, W / 8)
        decoded = self.nets.autoencoder.decode(frame_latents, self.settings.tile)
        pixels = ((decoded.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        return list(pixels.cpu().numpy())

    def forget(self) -> None:
        """Remove the stored windows, and the folder if it is then empty."""
        if self.folder is not None:
            forget_windows(self.folder)

    def _read_maps(self, maps: Iterable[Maps], guidance: _Guidance) -> str:
        """Add the guidance of all frames to `guidance`; returns a fingerprint of their maps."""
        size = (self._portrait.shape[2], self._portrait.shape[3])
        digest = hashlib.sha256()
        stream = iter(maps)
        while chunk := list(islice(stream, self.settings.maps_at_once)):
            total: Tensor | None = None
            for name in MAPS:
                images = [_map(frame_maps, name, size) for frame_maps in chunk]
                for image in images:
                    digest.update(image.tobytes())
                guidance_of_map = self.nets.guides[name](_image_tensor(images, self.nets).transpose(0, 1)[None])
                total = guidance_of_map if total is None else total + guidance_of_map
            assert total is not None
            guidance.add(total)
        if not guidance.frames:
            raise ShapeError(expected='maps of at least one frame', came='none', todo='give a driver with a face')
        return digest.hexdigest()

    def _denoised(
        self,
        latents: Tensor,
        reference: Reference,
        guidance: _Guidance,
        store: _StoredDrawing,
        progress: Advanced | None,
    ) -> Tensor:
        """(1, C, F, H, W) denoised latents."""
        levels = timesteps(self.settings.steps)
        frame_windows = windows(
            latents.shape[2], self.settings.window, self.settings.overlap, is_closed=self.settings.is_closed
        )
        first_step, stored_latents = store.latents()
        latents = latents if stored_latents is None else stored_latents
        for step in range(first_step, len(levels)):
            latents = self._step(latents, step, levels[step], frame_windows, reference, guidance, store, progress)
            if self._ranks is None or self._ranks.first:
                store.keep_latents(step + 1, latents)
            if self._ranks is not None:
                self._ranks.wait()
        return latents

    def _step(
        self, latents: Tensor, step: int, level: int, frame_windows: list[list[int]], reference: Reference,
        guidance: _Guidance, store: _StoredDrawing, progress: Advanced | None,
    ) -> Tensor:  # fmt: skip
        """The latents after one more step: each frame's prediction is the mean over its windows."""
        rank, count = (0, 1) if self._ranks is None else (self._ranks.rank, self._ranks.count)
        total, weights = torch.zeros_like(latents), torch.zeros(latents.shape[2])
        for index, window in enumerate(frame_windows):
            weights[window] += 1
            if index % count != rank:
                continue
            velocity = store.window(step, index)
            if velocity is None:
                velocity = self._velocity(latents[:, :, window], level, reference, guidance.window(window))
                store.keep_window(step, index, velocity)
            total[:, :, window] += velocity
            if progress is not None:
                progress(step * len(frame_windows) + index + 1, self.settings.steps * len(frame_windows))
        if self._ranks is not None and count > 1:
            total = self._ranks.total(total.to(self._ranks.device)).cpu()
        return ddim_step(latents, total / weights[:, None, None], level, self.settings.steps)

    def _velocity(self, latents: Tensor, level: int, reference: Reference, guidance: Tensor) -> Tensor:
        """(1, C, F, H, W) velocity predicted for the latents of one window, on the CPU in float32."""
        is_guided = self.settings.guidance > 1
        copies = 2 if is_guided else 1
        like = self._portrait
        velocity = self.nets.denoiser(
            latents.to(like).repeat(copies, 1, 1, 1, 1),
            level,
            self.nets.text.repeat(copies, 1, 1),
            Reading(reference, latents.shape[2], 1 / copies),
            guidance.to(like).repeat(copies, 1, 1, 1, 1),
        ).float().cpu()  # fmt: skip
        if not is_guided:
            return velocity  # type: ignore[no-any-return]
        without_portrait, with_portrait = velocity.chunk(2)
        return without_portrait + self.settings.guidance * (with_portrait - without_portrait)  # type: ignore[no-any-return]

    def _identity(self, fingerprint: str, frames: int) -> dict[str, object]:
        """Everything that decides the result: windows of another identity are not reused."""
        portrait = hashlib.sha256(self._portrait.float().cpu().numpy().tobytes()).hexdigest()
        weights = hashlib.sha256(self.nets.text.float().cpu().numpy().tobytes())
        for net in (self.nets.reference, self.nets.denoiser, self.nets.autoencoder, *self.nets.guides.values()):
            for name, value in net.state_dict().items():  # a few values of each tensor distinguish files
                weights.update(name.encode())
                weights.update(value.flatten()[:: max(1, value.numel() // 4)].float().cpu().numpy().tobytes())
        drawing = asdict(self.settings)
        return {
            'settings': drawing, 'frames': frames, 'maps': fingerprint, 'portrait': portrait,
            'weights': weights.hexdigest(), 'dtype': str(self.nets.dtype),
        }  # fmt: skip


def forget_windows(folder: Path) -> None:
    """Remove a drawing's files from a folder, and the folder if it is then empty."""
    windows_left = folder.glob('window-*.safetensors')  # of a run that ended while removing them
    for path in (*windows_left, folder / 'latents.safetensors', folder / DRAWING):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def require_same_drawing(folder: Path, identity: Mapping[str, object]) -> None:
    """Require that any files of a killed run in a folder belong to the requested drawing.

    Args:
        folder: see `Drawing`.
        identity: the values that determine the result, as far as known.

    Raises:
        RunError: they belong to another drawing; the error names the differences.
    """
    path = folder / DRAWING
    if not path.exists():
        return
    try:
        saved = json.loads(read_regular_file(path))
    except ValueError:
        saved = None
    if not isinstance(saved, dict) or not isinstance(saved.get('settings'), dict):
        saved = {'settings': {}}
    requested = json.loads(json.dumps(dict(identity)))
    saved_settings, requested_settings = saved['settings'], requested.get('settings', {})
    changes = [
        f'{name} {saved_settings.get(name)}, now {requested_settings[name]}'
        for name in requested_settings
        if saved_settings.get(name) != requested_settings[name]
    ]
    changes += [
        description
        for name, description in IDENTITY_NAMES.items()
        if name in requested and saved.get(name) != requested[name]
    ]
    if changes:
        raise RunError(
            expected=f'the drawing that was interrupted in {folder}', came=f'a change of {"; ".join(changes)}',
            todo='choose all as it was to go on with it, or begin anew: --anew, which removes what is there',
        )  # fmt: skip


class _Guidance:
    """Guidance of all frames, (1, width, F, H / 8, W / 8), in an unnamed temporary file.

    At 512 pixels a frame takes 5 MB; on disk, so that memory does not grow with the video.

    Args:
        folder: a folder with enough space; None for the system's temporary folder.

    Raises:
        StorageError: there is not enough space.
    """

    def __init__(self, folder: Path | None) -> None:
        self.frames = 0
        self._folder, self._size = folder, 0
        self._shape, self._dtype = torch.Size(), torch.float32
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by close)

    def add(self, guidance: Tensor) -> None:
        """The next frames, (1, width, F, H / 8, W / 8)."""
        frames = guidance[0].transpose(0, 1).contiguous().cpu()  # (F, width, H / 8, W / 8)
        self._shape, self._dtype = frames.shape[1:], frames.dtype
        self._size = frames[0].nbytes
        self.frames += len(frames)
        with explained_where_full(self._folder or Path(tempfile.gettempdir())):
            self._file.write(frames.view(torch.uint8).numpy().tobytes())
            self._file.flush()  # a full disk fails here, not when a window is read

    def window(self, frames: list[int]) -> Tensor:
        """(1, width, F, H / 8, W / 8) guidance of some frames."""
        read = []
        for index in frames:
            self._file.seek(index * self._size)
            read.append(torch.frombuffer(bytearray(self._file.read(self._size)), dtype=self._dtype))
        return torch.stack(read).reshape(len(frames), *self._shape).transpose(0, 1)[None]

    def close(self) -> None:
        """Free the space; the folder is removed if nothing else is in it."""
        self._file.close()
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.rmdir()


class _StoredDrawing:
    """The files of a drawing in progress: the latents of the last step, and this step's windows."""

    def __init__(self, folder: Path | None, identity: Mapping[str, object], ranks: Ranks | None = None) -> None:
        self._folder = folder
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        require_same_drawing(folder, identity)
        if ranks is None or ranks.first:
            write_atomically(folder / DRAWING, json.dumps(identity, sort_keys=True).encode())

    def latents(self) -> tuple[int, Tensor | None]:
        """The number of finished steps, and the latents after the last of them."""
        if self._folder is None or not (self._folder / 'latents.safetensors').exists():
            return 0, None
        tensors, notes = read_tensors(self._folder / 'latents.safetensors')
        return int(notes['steps']), tensors['latents']

    def keep_latents(self, steps: int, latents: Tensor) -> None:
        """Keep the latents after a step; its windows are then removed."""
        if self._folder is not None:
            save_tensors(self._folder / 'latents.safetensors', {'latents': latents}, {'steps': str(steps)})
            for path in self._folder.glob(f'window-{steps - 1}-*.safetensors'):
                path.unlink(missing_ok=True)

    def window(self, step: int, number: int) -> Tensor | None:
        """The result of a window at a step, from a run that was killed; None if there is none."""
        path = self._path(step, number)
        return read_tensors(path)[0]['answer'] if path is not None and path.exists() else None

    def keep_window(self, step: int, number: int, velocity: Tensor) -> None:
        """Keep the result of a window."""
        path = self._path(step, number)
        if path is not None:
            save_tensors(path, {'answer': velocity})

    def _path(self, step: int, number: int) -> Path | None:
        return None if self._folder is None else self._folder / f'window-{step}-{number}.safetensors'


def _image_tensor(images: list[Image], nets: PortraitNets) -> Tensor:
    """(B, 3, H, W) images from 0 to 1, on the nets' device."""
    rgb = [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in images]
    stacked = torch.from_numpy(np.ascontiguousarray(np.stack(rgb)))  # (B, H, W, 3)
    return stacked.permute(0, 3, 1, 2).to(nets.device, nets.dtype) / 255


def _map(maps: Maps, name: str, size: tuple[int, int]) -> Image:
    image = maps.get(name)
    if image is None or image.shape[:2] != size or image.dtype != np.uint8:
        came = 'none' if image is None else f'{image.dtype} {image.shape}'
        raise ShapeError(
            expected=f'a map {name!r} of {size[1]} x {size[0]}, uint8', came=came, todo='draw it at the portrait’s size'
        )
    return image
