"""Distances of images by networks that the user supplies: LPIPS, and features for Fréchet distances (FID, FVD).

No weights come with affekt. LPIPS takes torchvision's AlexNet and the linear layers of the package lpips (`alex.pth`),
or all of it as that package saves it; features come from any network that was exported to ONNX, such as Inception for
FID and I3D for FVD.

Axes: B images, C channels, H height, W width.

Source: Zhang et al. 2018, arXiv:1801.03924 (LPIPS, version 0.1); Heusel et al. 2017, arXiv:1706.08500 (FID);
Unterthiner et al. 2018, arXiv:1812.01717 (FVD).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage
from torch import Tensor, nn
from torch.nn import functional

from affekt.arrays import Floats
from affekt.checkpoints import opened
from affekt.errors import ShapeError, WeightsError
from affekt.nn import built

Image = npt.NDArray[np.uint8]
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Mean and standard deviation of the colours from -1 to 1, per channel, as the published code has them."""
EPS = 1e-10
"""Added to the length of a feature vector before dividing by it."""
ANY_FRAMES = 16
"""Frames of a video for features, where the network leaves the number open; as FVD is usually reported."""
_ALEXNET = {
    '0': (3, 64, 11, 4, 2), '3': (64, 192, 5, 1, 2), '6': (192, 384, 3, 1, 1), '8': (384, 256, 3, 1, 1),
    '10': (256, 256, 3, 1, 1),
}  # fmt: skip
"""Number of a convolution to its input and output channels, kernel size, stride and padding."""
_POOLED_BEFORE = ('3', '6')
"""Convolutions with a pooling of 3 x 3 and stride 2 before them."""


class _Trunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleDict(
            {
                name: nn.Conv2d(inputs, outputs, kernel, stride, padding)
                for name, (inputs, outputs, kernel, stride, padding) in _ALEXNET.items()
            }
        )

    def forward(self, features: Tensor) -> list[Tensor]:
        layers = []
        for name, convolution in self.features.items():
            if name in _POOLED_BEFORE:
                features = functional.max_pool2d(features, 3, 2)
            features = functional.relu(convolution(features))
            layers.append(features)
        return layers


class PerceptualDistance:
    """LPIPS with AlexNet: 0 for equal images, larger for visible differences.

    Args:
        alexnet: torchvision's weights, such as alexnet-owt-7be5be79.pth.
        linear: the linear layers of lpips 0.1, alex.pth.

    Raises:
        WeightsError: a file cannot be read, or has other tensors.
    """

    def __init__(self, alexnet: str | os.PathLike[str], linear: str | os.PathLike[str]) -> None:
        self._fill(opened(alexnet).state(), opened(linear).state(), Path(linear).name)

    @classmethod
    def of_file(cls, path: str | os.PathLike[str]) -> PerceptualDistance:
        """Load from one file, as `torch.save(lpips.LPIPS(net='alex').state_dict(), path)` writes it, or from a folder.

        Args:
            path: the file, or a folder with torchvision's alexnet….pth and alex.pth of lpips 0.1.

        Raises:
            WeightsError: there is no such file, or it has other tensors.
        """
        source = Path(path)
        if source.is_dir():
            trunk_paths = sorted(
                entry for entry in source.iterdir() if re.fullmatch(r'alexnet.*\.(pth|safetensors)', entry.name)
            )
            if len(trunk_paths) != 1 or not (source / 'alex.pth').is_file():
                raise WeightsError(
                    expected='a folder with one alexnet….pth of torchvision and alex.pth of lpips 0.1',
                    came=f'{source} with {len(trunk_paths)} of the first', todo='put both there',
                )  # fmt: skip
            return cls(trunk_paths[0], source / 'alex.pth')
        state = opened(source).state()
        linear = {
            name: value for name, value in state.items() if name.startswith('lin') and not name.startswith('lins')
        }
        trunk = {
            re.sub(r'^net\.slice\d\.', 'features.', name): value
            for name, value in state.items()
            if name.startswith('net.slice')
        }
        distance = cls.__new__(cls)
        distance._fill(trunk, linear, source.name)
        return distance

    def _fill(self, trunk: Mapping[str, Tensor], linear: Mapping[str, Tensor], name: str) -> None:
        self._weights = []
        for index, (_, width, *_) in enumerate(_ALEXNET.values()):
            weight = linear.get(f'lin{index}.model.1.weight')
            if weight is None or weight.shape != (1, width, 1, 1):
                raise WeightsError(
                    expected=f'lin{index}.model.1.weight of shape [1, {width}, 1, 1]',
                    came=f'{name}: {"none" if weight is None else list(weight.shape)}',
                    todo='take lpips/weights/v0.1/alex.pth of the package lpips, or the state of lpips.LPIPS',
                )
            self._weights.append(weight.float())
        self._trunk, _ = built(_Trunk, trunk, {'classifier': None})
        self._trunk.eval()

    @torch.no_grad()
    def __call__(self, truth: Image, prediction: Image) -> float:
        """Σ over layers of the mean over positions of Σ_c w_c (â_c - b̂_c)², with unit feature vectors at each position.

        Args:
            truth: (H, W, 3) uint8.
            prediction: the same.

        Raises:
            ShapeError: the images differ in shape, or are smaller than the network can read.
        """
        if truth.shape != prediction.shape or truth.ndim != 3 or min(truth.shape[:2]) < 32:
            raise ShapeError(
                expected='two pictures (H, W, 3) of one size, 32 pixels or more',
                came=f'{truth.shape} and {prediction.shape}', todo='scale one to the other',
            )  # fmt: skip
        images = torch.from_numpy(np.stack([truth, prediction])).permute(0, 3, 1, 2).float() / 127.5 - 1  # (2, 3, H, W)
        shift, scale = (torch.tensor(values)[:, None, None] for values in (SHIFT, SCALE))
        total = 0.0
        for layer, weight in zip(self._trunk((images - shift) / scale), self._weights, strict=True):
            unit = layer / (layer.pow(2).sum(dim=1, keepdim=True).sqrt() + EPS)
            difference = (unit[:1] - unit[1:]) ** 2  # (1, C, H, W)
            total += float((difference * weight).sum(dim=1).mean())
        return total


class FeatureNetwork:
    """A network from images, or from videos, to features, exported to ONNX.

    Args:
        path: an ONNX file with input (B, 3, H, W), or (B, 3, T, H, W) for videos, 0 to 1, and output (B, D).

    Attributes:
        size: H and W that it takes; None if it takes any.
        frames: T; None for a network of images, ANY_FRAMES if it takes any number.

    Raises:
        WeightsError: the file cannot be read, or its network takes something else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import onnxruntime

        self._file = Path(path).name
        try:
            self._session = onnxruntime.InferenceSession(os.fspath(path), providers=['CPUExecutionProvider'])
        except Exception as error:  # onnxruntime's own errors derive from nothing narrower
            raise _network_error(self._file, str(error)) from error
        inputs = self._session.get_inputs()
        shape = [length if isinstance(length, int) else None for length in inputs[0].shape] if inputs else []
        if len(inputs) != 1 or len(shape) not in (4, 5) or shape[1] not in (3, None):
            raise _network_error(self._file, f'inputs {[list(network_input.shape) for network_input in inputs]}')
        self._name = inputs[0].name
        self.frames = None if len(shape) == 4 else shape[2] or ANY_FRAMES
        height, width = shape[-2:]
        self.size: tuple[int, int] | None = None if height is None or width is None else (height, width)

    def fitted(self, picture: Image) -> Image:
        """(H, W, 3) image scaled to the network's size."""
        if self.size is None or picture.shape[:2] == self.size:
            return picture
        height, width = self.size
        return np.asarray(PillowImage.fromarray(picture).resize((width, height), PillowImage.Resampling.BICUBIC))

    def features(self, pictures: Iterable[Image], at_once: int = 8) -> Floats:
        """(N, D) features of images (H, W, 3) or videos (T, H, W, 3), uint8, of the network's size; (0, 0) of none.

        Raises:
            WeightsError: they are of another size, or the network gives something else than (B, D).
        """
        rows: list[Floats] = []
        stream = iter(pictures)
        while batch := list(islice(stream, at_once)):
            try:
                inputs = np.moveaxis(np.stack(batch), -1, 1).astype(np.float32) / np.float32(255)  # (B, 3, …)
                (output,) = self._session.run(None, {self._name: np.ascontiguousarray(inputs)})
                rows.append(np.asarray(output, dtype=np.float64).reshape(len(batch), -1))
            except Exception as error:  # as above
                raise _network_error(self._file, str(error)) from error
        return np.concatenate(rows) if rows else np.zeros((0, 0))


def features_of(network: str | os.PathLike[str], pictures: Iterable[Image], at_once: int = 8) -> Floats:
    """(N, D) features of images, or of videos, by a network exported to ONNX; for `frechet_distance`.

    Args:
        network: see `FeatureNetwork`.
        pictures: see `FeatureNetwork.features`.
        at_once: number of images, or of videos, per batch.

    Raises:
        WeightsError: the file cannot be read, or its network takes something else.
    """
    return FeatureNetwork(network).features(pictures, at_once)


def _network_error(name: str, reason: str) -> WeightsError:
    return WeightsError(
        expected='an ONNX network from pictures (B, 3, H, W), or videos (B, 3, T, H, W), to features (B, D)',
        came=f'{name}: {reason[:200]}', todo='export it so, for pictures of this size',
    )  # fmt: skip
