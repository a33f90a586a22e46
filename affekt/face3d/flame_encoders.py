"""FLAME parameters from face images, by the user's own checkpoints of SMIRK or DECA; needs torch, not timm.

    smirk, flame = read_smirk('SMIRK_em1.pt'), read_flame('generic_model.pkl')
    seen = smirk.read_face(image, landmarks)                       # one face, cropped as the encoder expects
    points = seen.points(flame)                                    # (V, 3) in pixels of the image, with depth
    raster = rasterize(points, flame.triangles, image.shape[:2])   # for depth_map, normal_map and shaded_map
    print(smirk.coverage)                                          # which tensors were loaded

SMIRK is three MobileNetV3 ("minimal": plain 3 x 3 convolutions, rectifiers, no squeeze and excitation; large for shape
and expression, small for pose) with a linear layer each; DECA one ResNet-50 with two. Both read a face of 224 x 224
pixels, 0 to 1. They are implemented here with the names of their tensors; every tensor must be present, and no others.
B images.

Source: Retsinas et al. 2024, arXiv:2404.04104 (SMIRK); Feng et al. 2021, doi:10.1145/3450626.3459936 (DECA); Howard et
al. 2019, arXiv:1905.02244, in TensorFlow's form: 'same' padding, 1e-3 in the normalisation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Floats32
from affekt.errors import ShapeError, WeightsError, listed, require_torch
from affekt.files import only_regular

if TYPE_CHECKING:
    from torch import Tensor

    from affekt.face3d.flame import FlameModel
    from affekt.faces import Region

SIDE = 224
"""Height and width of a face that both encoders read, in pixels."""
SMIRK, DECA = 'SMIRK', 'DECA'
SMIRK_SCALE, DECA_SCALE = 1.4, 1.25
"""Side of the crop over the mean of height and width of the landmarks' box."""
MOBILE = {
    'small': ((1, 2, 3, 2, 3, 1), (0, 1, 2, 4)),
    'large': ((1, 2, 3, 4, 2, 3, 1), (1, 2, 3, 5)),
}
"""Blocks in each stage, and the stages that begin by halving the image. The first stage is separable, the last a
plain convolution, those between are inverted residuals."""
RESNET = (3, 4, 6, 3)
"""Blocks in each stage of a ResNet-50."""
SMIRK_PART, DECA_PART = 'smirk_encoder.', 'E_flame'
"""Position of the encoder in its checkpoint: a prefix of tensor names, and a part of its own."""
DECA_PARTS = {'shape': 100, 'texture': 50, 'expression': 50, 'pose': 6, 'camera': 3, 'light': 27}
"""Name of each part of DECA's output to its width, in order."""
COUNTER = 'num_batches_tracked'
"""Counter of batch normalisation; no result depends on it."""
_NORM = ('weight', 'bias', 'running_mean', 'running_var')


@dataclass(frozen=True, eq=False)
class FlameParameters:
    """Parameters of B faces; None for those that an encoder does not estimate.

    Attributes:
        shape: (B, 300 or 100) identity. expression: (B, 50).
        jaw: (B, 3) axis of the jaw's rotation times its angle in radians; turn: likewise for the head.
        camera: (B, 3) scale and shift of a weak perspective. eyelids: (B, 2) closure, 0 to 1.
    """

    shape: Floats32
    expression: Floats32
    jaw: Floats32
    turn: Floats32
    camera: Floats32
    eyelids: Floats32 | None = None

    def expression_of(self, face: int, model: FlameModel) -> Floats:
        """The amounts of one face for all directions of a model, 0 for those not estimated."""
        return _filled(self.expression[face], len(model.directions))

    def identity_of(self, face: int, model: FlameModel) -> Floats:
        """The amounts of one face for all shapes of a model."""
        return _filled(self.shape[face], len(model.shapes))

    def jaw_deg(self, face: int) -> tuple[float, float]:
        """Degrees by which the jaw is opened, and turned to the person's left."""
        opening, sideways, _ = np.degrees(self.jaw[face].astype(np.float64))
        return float(opening), float(sideways)


def _filled(amounts: Floats32, count: int) -> Floats:
    filled = np.zeros(count)
    filled[: min(count, len(amounts))] = amounts[:count]
    return filled


@dataclass(frozen=True, eq=False)
class SeenFlame:
    """One face of an image in FLAME's terms.

    Attributes:
        parameters: parameters of that face alone, B = 1.
        region: the upright square crop, in pixels of the image.
    """

    parameters: FlameParameters
    region: Region

    def points(self, model: FlameModel) -> Floats:
        """(V, 3) the head in pixels of the image, y down, with depth in the same unit; less depth is nearer."""
        parameters = self.parameters
        shaped = model.vertices(
            parameters.identity_of(0, model), parameters.expression_of(0, model), jaw_deg=parameters.jaw_deg(0)
        )
        return self.placed(model, shaped)

    def placed(self, model: FlameModel, shaped: Floats) -> Floats:
        """(V, 3) points that `model.vertices` gave, in pixels of the image; see `points`."""
        parameters, half = self.parameters, self.region.side / 2
        middle = [self.region.center_x, self.region.center_y, 0]
        return np.asarray(model.projected(shaped, parameters.turn[0], parameters.camera[0]) * half + middle)


@dataclass(frozen=True)
class EncoderCoverage:
    """Coverage of a file: loaded tensors with their shapes, and those that this encoder does not read."""

    loaded: Mapping[str, tuple[int, ...]]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        width = max(map(len, (*self.loaded, *self.unused)), default=0)
        lines = [f'{name:<{width}}  {list(shape)}' for name, shape in self.loaded.items()]
        lines += [f'{name:<{width}}  (unused)' for name in self.unused]
        return '\n'.join([*lines, f'{len(self.loaded)} tensors loaded, {len(self.unused)} unused'])


class FlameEncoder:
    """One of the encoders with its weights; `read_smirk` and `read_deca` return one.

    Attributes:
        name: SMIRK or DECA.
        coverage: which tensors of the file were loaded.
    """

    def __init__(
        self, forward: Callable[[Tensor], dict[str, Tensor]], name: str, scale: float, coverage: EncoderCoverage
    ) -> None:
        self._forward, self.name, self._scale, self.coverage = forward, name, scale, coverage

    def read_face(self, image: npt.NDArray[np.uint8], landmarks: npt.ArrayLike) -> SeenFlame:
        """FLAME parameters of one face in an image.

        Args:
            image: (H, W, 3) RGB.
            landmarks: (478, 3) of the face from `FaceLandmarker`, in pixels.
        """
        from affekt.faces import cut

        region = _region(landmarks, self._scale)
        return SeenFlame(self.read(cut(image, region, SIDE)[None]), region)

    def read(self, faces: npt.NDArray[np.uint8]) -> FlameParameters:
        """The parameters of faces.

        Args:
            faces: (B, 224, 224, 3) RGB, as `smirk_crop` and `deca_crop` return them.

        Raises:
            ShapeError: a different shape or type.
        """
        import torch

        if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[1:] != (SIDE, SIDE, 3):
            raise ShapeError(
                expected=f'faces (B, {SIDE}, {SIDE}, 3) of uint8', came=f'{faces.dtype} {faces.shape}',
                todo='cut them out first',
            )  # fmt: skip
        with torch.no_grad():
            copied = np.array(faces)  # crops are read-only, which torch does not accept
            images = torch.from_numpy(copied).permute(0, 3, 1, 2).float() / 255  # (B, 3, 224, 224)
            return FlameParameters(**{name: values.numpy() for name, values in self._forward(images).items()})


def smirk_crop(image: npt.NDArray[np.uint8], landmarks: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """(224, 224, 3) the face as SMIRK was trained on: an upright square around its landmarks (478, 3), pixels."""
    return _crop(image, landmarks, SMIRK_SCALE)


def deca_crop(image: npt.NDArray[np.uint8], landmarks: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """(224, 224, 3) the face as DECA was trained on."""
    return _crop(image, landmarks, DECA_SCALE)


def _crop(image: npt.NDArray[np.uint8], landmarks: npt.ArrayLike, scale: float) -> npt.NDArray[np.uint8]:
    from affekt.faces import cut

    return cut(image, _region(landmarks, scale), SIDE)


def _region(landmarks: npt.ArrayLike, scale: float) -> Region:
    from affekt.faces import Region

    points = np.asarray(landmarks, dtype=np.float64)[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    x, y = (low + high) / 2
    return Region(float(x), float(y), float(scale * (high - low).mean()), 0.0)


def read_flame_encoder(path: str | os.PathLike[str]) -> FlameEncoder:
    """SMIRK's or DECA's encoder, whichever the user's checkpoint holds.

    Raises:
        MissingExtraError: torch is not installed.
        WeightsError: see `read_smirk`; or the file holds neither.
    """
    deca_state, _ = _state_of(Path(path), DECA_PART)
    if any(name.startswith(('encoder.layer', 'layers.')) for name in deca_state):
        return read_deca(path)
    smirk_state, _ = _state_of(Path(path), SMIRK_PART)
    if any(name.startswith(('pose_encoder.', 'shape_encoder.', 'expression_encoder.')) for name in smirk_state):
        return read_smirk(path)
    raise WeightsError(
        expected=f'the encoder of {SMIRK} or {DECA}', came=f'{path}, with other tensors',
        todo='give SMIRK_em1.pt or deca_model.tar as their authors distribute them',
    )  # fmt: skip


def read_smirk(path: str | os.PathLike[str]) -> FlameEncoder:
    """SMIRK's encoder from the user's checkpoint.

    Raises:
        MissingExtraError: torch is not installed.
        WeightsError: the file is missing, holds more than arrays, or its arrays are not the encoder's.
    """
    state, unused = _state_of(Path(path), SMIRK_PART)
    expected = {
        **_mobile_names('pose_encoder.encoder.', 'small'), **_mobile_names('shape_encoder.encoder.', 'large'),
        **_mobile_names('expression_encoder.encoder.', 'large'),
        **{f'{head}.0.{part}': None for head in ('pose_encoder.pose_cam_layers', 'shape_encoder.shape_layers',
                                                 'expression_encoder.expression_layers') for part in _NORM[:2]},
    }  # fmt: skip

    def forward(images: Tensor) -> dict[str, Tensor]:
        import torch
        import torch.nn.functional as functional

        def read(part: str, size: str, layers: str) -> Tensor:
            features = _mobile(state, f'{part}_encoder.encoder.', size, images)
            name = f'{part}_encoder.{layers}_layers.0'
            return functional.linear(features, state[f'{name}.weight'], state[f'{name}.bias'])

        pose, shape = read('pose', 'small', 'pose_cam'), read('shape', 'large', 'shape')
        expression = read('expression', 'large', 'expression')
        jaw = torch.cat([expression[:, 52:53].relu(), expression[:, 53:55].clamp(-0.2, 0.2)], dim=1)
        return {
            'shape': shape, 'expression': expression[:, :50], 'jaw': jaw, 'eyelids': expression[:, 50:52].clamp(0, 1),
            'turn': pose[:, :3], 'camera': pose[:, 3:6],
        }  # fmt: skip

    return _checked(forward, state, expected, unused, Path(path), SMIRK, SMIRK_SCALE)


def read_deca(path: str | os.PathLike[str]) -> FlameEncoder:
    """DECA's coarse encoder from the user's deca_model.tar.

    Raises:
        MissingExtraError: torch is not installed.
        WeightsError: see `read_smirk`.
    """
    state, unused = _state_of(Path(path), DECA_PART)
    expected = _resnet_names('encoder.') | {f'layers.{layer}.{part}': None for layer in (0, 2) for part in _NORM[:2]}

    def forward(images: Tensor) -> dict[str, Tensor]:
        import torch.nn.functional as functional

        hidden = functional.linear(
            _resnet(state, 'encoder.', images), state['layers.0.weight'], state['layers.0.bias']
        ).relu()
        outputs = functional.linear(hidden, state['layers.2.weight'], state['layers.2.bias'])
        parts = dict(zip(DECA_PARTS, outputs.split(list(DECA_PARTS.values()), dim=1), strict=True))
        return {
            'shape': parts['shape'], 'expression': parts['expression'], 'turn': parts['pose'][:, :3],
            'jaw': parts['pose'][:, 3:], 'camera': parts['camera'],
        }  # fmt: skip

    return _checked(forward, state, expected, unused, Path(path), DECA, DECA_SCALE)


def _state_of(path: Path, part: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors of a checkpoint, or of one part of it, and its other content.

    Raises:
        WeightsError: the checkpoint cannot be read, or holds more than tensors.
    """
    require_torch()
    import pickle

    import torch

    try:
        with open(path, 'rb', opener=only_regular) as file:
            content: Any = torch.load(file, map_location='cpu', weights_only=True)
    except (
        OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError, AssertionError,
        pickle.UnpicklingError,
    ) as error:  # fmt: skip
        raise WeightsError(
            expected='a checkpoint that holds tensors alone', came=f'{path}: {_first_line(error)}',
            todo='give the file as its authors distribute it; nothing in it was run',
        ) from error  # fmt: skip
    unused: list[str] = []
    for name in ('state_dict', part):
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            unused += [str(other) for other in content if other != name]
            content = content[name]
    if not isinstance(content, Mapping):
        raise WeightsError(expected='tensors by name', came=f'{path}: {type(content).__name__}', todo='give another')
    tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    if part.endswith('.') and any(name.startswith(part) for name in tensors):
        unused += [name for name in tensors if not name.startswith(part)]
        tensors = {name.removeprefix(part): value for name, value in tensors.items() if name.startswith(part)}
    unused += [name for name in tensors if name.endswith(COUNTER)]
    state = {name: value.float() for name, value in tensors.items() if not name.endswith(COUNTER)}
    return state, tuple(unused)


def _checked(
    forward: Callable[[Tensor], dict[str, Tensor]], state: Mapping[str, Tensor], expected_names: Mapping[str, None],
    unused: tuple[str, ...], path: Path, name: str, scale: float,
) -> FlameEncoder:  # fmt: skip
    """The encoder, after one trial run on zeros.

    Raises:
        WeightsError: tensors are missing or unexpected (the message names them), or of a wrong shape.
    """
    missing, unknown = sorted(set(expected_names) - set(state)), sorted(set(state) - set(expected_names))
    if missing or unknown:
        parts = [f'without {listed(missing)}'] * bool(missing) + [f'with {listed(unknown)}'] * bool(unknown)
        raise WeightsError(
            expected=f'the {len(expected_names)} tensors of {name}', came=f'{path} {" and ".join(parts)}',
            todo='give the checkpoint of this encoder',
        )  # fmt: skip
    coverage = EncoderCoverage({tensor_name: tuple(value.shape) for tensor_name, value in state.items()}, unused)
    encoder = FlameEncoder(forward, name, scale, coverage)
    try:
        encoder.read(np.zeros((1, SIDE, SIDE, 3), np.uint8))
    except (RuntimeError, ValueError, IndexError, ZeroDivisionError) as error:
        raise WeightsError(
            expected=f'tensors of the shapes that {name} has', came=f'{path}: {_first_line(error)}',
            todo='give the checkpoint of this encoder',
        ) from error  # fmt: skip
    return encoder


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


def _block_names(prefix: str, stage: int, stages: int) -> dict[str, str]:
    """Convolution of a block to its normalisation."""
    if stage == stages - 1:
        return {f'{prefix}conv': f'{prefix}bn1'}
    names = ('conv_dw', 'conv_pw') if stage == 0 else ('conv_pw', 'conv_dw', 'conv_pwl')
    return {f'{prefix}{name}': f'{prefix}bn{number}' for number, name in enumerate(names, 1)}


def _mobile_names(prefix: str, size: str) -> dict[str, None]:
    blocks, _ = MOBILE[size]
    pairs = {f'{prefix}conv_stem': f'{prefix}bn1'}
    for stage, count in enumerate(blocks):
        for block in range(count):
            pairs |= _block_names(f'{prefix}blocks.{stage}.{block}.', stage, len(blocks))
    return {
        name: None
        for convolution, norm in pairs.items()
        for name in (f'{convolution}.weight', *(f'{norm}.{part}' for part in _NORM))
    }


def _mobile(state: Mapping[str, Tensor], prefix: str, size: str, images: Tensor) -> Tensor:
    """(B, C) features of a MobileNetV3, averaged over the positions."""
    blocks, halving = MOBILE[size]
    layer = _convolved(state, f'{prefix}conv_stem', f'{prefix}bn1', images, stride=2).relu()
    for stage, count in enumerate(blocks):
        for block in range(count):
            shortcut = layer
            pairs = _block_names(f'{prefix}blocks.{stage}.{block}.', stage, len(blocks))
            stride = 2 if stage in halving and block == 0 else 1
            for number, (convolution, norm) in enumerate(pairs.items()):
                is_depthwise = convolution.endswith('conv_dw')
                layer = _convolved(state, convolution, norm, layer, stride=stride if is_depthwise else 1)
                if number + 1 < len(pairs) or stage == len(blocks) - 1:
                    layer = layer.relu()
            if layer.shape == shortcut.shape and stage < len(blocks) - 1:
                layer = layer + shortcut
    return layer.mean(dim=(2, 3))


def _convolved(state: Mapping[str, Tensor], convolution: str, norm: str, layer: Tensor, stride: int) -> Tensor:
    """A normalised convolution with TensorFlow's 'same' padding: of an odd sum, one more at the end."""
    import torch.nn.functional as functional

    weight = state[f'{convolution}.weight']
    kernel = weight.shape[2]
    pads = [max((-(-length // stride) - 1) * stride + kernel - length, 0) for length in layer.shape[2:]]
    padded = functional.pad(layer, (pads[1] // 2, pads[1] - pads[1] // 2, pads[0] // 2, pads[0] - pads[0] // 2))
    groups = layer.shape[1] // weight.shape[1]
    return _normed(state, norm, functional.conv2d(padded, weight, stride=stride, groups=groups), 1e-3)


def _normed(state: Mapping[str, Tensor], norm: str, layer: Tensor, epsilon: float) -> Tensor:
    import torch.nn.functional as functional

    weight, bias, mean, variance = (state[f'{norm}.{part}'] for part in _NORM)
    return functional.batch_norm(layer, mean, variance, weight, bias, eps=epsilon)


def _resnet_blocks(prefix: str) -> list[tuple[str, int, bool]]:
    """Each block with its stride and whether its shortcut is a convolution."""
    return [
        (f'{prefix}layer{stage + 1}.{block}.', 2 if stage and not block else 1, not block)
        for stage, count in enumerate(RESNET)
        for block in range(count)
    ]


def _resnet_names(prefix: str) -> dict[str, None]:
    pairs = [(f'{prefix}conv1', f'{prefix}bn1')]
    for block, _, has_convolution in _resnet_blocks(prefix):
        pairs += [(f'{block}conv{number}', f'{block}bn{number}') for number in (1, 2, 3)]
        pairs += [(f'{block}downsample.0', f'{block}downsample.1')] * has_convolution
    return {
        name: None
        for convolution, norm in pairs
        for name in (f'{convolution}.weight', *(f'{norm}.{part}' for part in _NORM))
    }


def _resnet(state: Mapping[str, Tensor], prefix: str, images: Tensor) -> Tensor:
    """(B, 2048) features of a ResNet-50, averaged over the positions."""
    import torch.nn.functional as functional

    def convolved(layer: Tensor, convolution: str, norm: str, stride: int = 1) -> Tensor:
        weight = state[f'{convolution}.weight']
        return _normed(state, norm, functional.conv2d(layer, weight, stride=stride, padding=weight.shape[2] // 2), 1e-5)

    layer = convolved(images, f'{prefix}conv1', f'{prefix}bn1', 2).relu()
    layer = functional.max_pool2d(layer, 3, 2, 1)
    for block, stride, has_convolution in _resnet_blocks(prefix):
        shortcut = layer
        if has_convolution:
            shortcut = convolved(layer, f'{block}downsample.0', f'{block}downsample.1', stride)
        layer = convolved(layer, f'{block}conv1', f'{block}bn1').relu()
        layer = convolved(layer, f'{block}conv2', f'{block}bn2', stride).relu()
        layer = (convolved(layer, f'{block}conv3', f'{block}bn3') + shortcut).relu()
    return layer.mean(dim=(2, 3))
