"""Distances of pictures by networks that the user brings: LPIPS, and features for Fréchet distances (FID, FVD).

No weights come with affekt. LPIPS takes torchvision's AlexNet and the linear layers of the package lpips (`alex.pth`);
features come from any network that was exported to ONNX, such as Inception for FID and I3D for FVD.

Axes: B pictures, C channels, H height, W width.

Source: Zhang et al. 2018, arXiv:1801.03924 (LPIPS, version 0.1); Heusel et al. 2017, arXiv:1706.08500 (FID);
Unterthiner et al. 2018, arXiv:1812.01717 (FVD).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.arrays import Floats
from affekt.checkpoints import opened
from affekt.errors import ShapeError, WeightsError
from affekt.nn import built

Image = npt.NDArray[np.uint8]
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of colours from -1 to 1, as the published code has them."""
EPS = 1e-10
_ALEXNET = {
    '0': (3, 64, 11, 4, 2), '3': (64, 192, 5, 1, 2), '6': (192, 384, 3, 1, 1), '8': (384, 256, 3, 1, 1),
    '10': (256, 256, 3, 1, 1),
}  # fmt: skip
"""Number of a convolution to its channels in and out, side, step and border."""
_POOLED_BEFORE = ('3', '6')


class _Trunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleDict(
            {name: nn.Conv2d(i, o, side, step, border) for name, (i, o, side, step, border) in _ALEXNET.items()}
        )

    def forward(self, pictures: Tensor) -> list[Tensor]:
        layers = []
        for name, convolution in self.features.items():
            if name in _POOLED_BEFORE:
                pictures = functional.max_pool2d(pictures, 3, 2)
            pictures = functional.relu(convolution(pictures))
            layers.append(pictures)
        return layers


class PerceptualDistance:
    """LPIPS with AlexNet: 0 for equal pictures, larger where people see a difference.

    Args:
        alexnet: torchvision's weights, such as alexnet-owt-7be5be79.pth.
        linear: the linear layers of lpips 0.1, alex.pth.

    Raises:
        WeightsError: a file is not what it should be, or has other tensors.
    """

    def __init__(self, alexnet: str | os.PathLike[str], linear: str | os.PathLike[str]) -> None:
        self._trunk, _ = built(_Trunk, opened(alexnet).state(), {'classifier': None})
        self._trunk.eval()
        state = opened(linear).state()
        self._weights = []
        for at, (_, width, *_) in enumerate(_ALEXNET.values()):
            weight = state.get(f'lin{at}.model.1.weight')
            if weight is None or weight.shape != (1, width, 1, 1):
                raise WeightsError(
                    expected=f'lin{at}.model.1.weight of shape [1, {width}, 1, 1]',
                    came=f'{Path(linear).name}: {"none" if weight is None else list(weight.shape)}',
                    todo='take lpips/weights/v0.1/alex.pth of the package lpips',
                )
            self._weights.append(weight.float())

    @torch.no_grad()
    def __call__(self, truth: Image, prediction: Image) -> float:
        """Σ over layers of the mean over places of Σ_c w_c (â_c - b̂_c)², with features of length 1 at each place.

        Args:
            truth: (H, W, 3) uint8.
            prediction: the same.

        Raises:
            ShapeError: the pictures differ in shape, or are smaller than the network can read.
        """
        if truth.shape != prediction.shape or truth.ndim != 3 or min(truth.shape[:2]) < 32:
            raise ShapeError(
                expected='two pictures (H, W, 3) of one size, 32 pixels or more',
                came=f'{truth.shape} and {prediction.shape}', todo='scale one to the other',
            )  # fmt: skip
        both = torch.from_numpy(np.stack([truth, prediction])).permute(0, 3, 1, 2).float() / 127.5 - 1
        shift, scale = (torch.tensor(each)[:, None, None] for each in (SHIFT, SCALE))
        total = 0.0
        for layer, weight in zip(self._trunk((both - shift) / scale), self._weights, strict=True):
            unit = layer / (layer.pow(2).sum(dim=1, keepdim=True).sqrt() + EPS)
            difference = (unit[:1] - unit[1:]) ** 2  # (1, C, H, W)
            total += float((difference * weight).sum(dim=1).mean())
        return total


def features_of(network: str | os.PathLike[str], pictures: Iterable[Image], at_once: int = 8) -> Floats:
    """(N, D) features of pictures, or of videos, by a network exported to ONNX; for `frechet_distance`.

    Args:
        network: with one input of (B, 3, H, W), or (B, 3, T, H, W) for videos, from 0 to 1, and one output of (B, D).
        pictures: (H, W, 3), or (T, H, W, 3) for videos, uint8, of the network's size.
        at_once: how many are read together.

    Raises:
        WeightsError: the file cannot be read, or its network takes something else.
    """
    import onnxruntime

    rows: list[Floats] = []
    try:
        session = onnxruntime.InferenceSession(os.fspath(network), providers=['CPUExecutionProvider'])
        name = session.get_inputs()[0].name
        batch: list[Image] = []
        for picture in pictures:
            batch.append(picture)
            if len(batch) == at_once:
                rows.append(_read(session, name, batch))
                batch = []
        if batch:
            rows.append(_read(session, name, batch))
    except Exception as error:  # onnxruntime's own errors derive from nothing narrower
        raise WeightsError(
            expected='an ONNX network from pictures (B, 3, H, W) to features (B, D)',
            came=f'{Path(network).name}: {str(error)[:200]}', todo='export it so, for pictures of this size',
        ) from error  # fmt: skip
    return np.concatenate(rows) if rows else np.zeros((0, 0))


def _read(session: object, name: str, batch: list[Image]) -> Floats:
    stacked = np.moveaxis(np.stack(batch), -1, 1).astype(np.float32) / np.float32(255)
    (output,) = session.run(None, {name: np.ascontiguousarray(stacked)})  # type: ignore[attr-defined]
    return np.asarray(output, dtype=np.float64).reshape(len(batch), -1)
