"""The trained net as one ONNX file: mean over views, blendshape evidence, temperature and softmax inside
the graph.

In: an `ExpressionNet` and a `Combination`. Out: a file below 5 MB whose constants are stored as float16
and cast to float32 when it is loaded. N faces.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from combine import Combination
from onnx import TensorProto, helper, numpy_helper
from torch import nn


class Deployed(nn.Module):
    """From V views of N faces, blendshapes (N, 52) and found (N, 1) in {0, 1} to probabilities (N, 7).

    The views are (V N, 1, 48, 48) in [0, 1]: one of each face, then the mirror image of each, or one view alone.
    """

    def __init__(self, net: nn.Module, combination: Combination) -> None:
        super().__init__()
        self.net = net
        self.register_buffer('scale', torch.tensor([1 / combination.temperature], dtype=torch.float32))
        self.register_buffer('weights', torch.from_numpy(combination.weights52()).float())
        self.register_buffer('found_bias', torch.from_numpy(combination.found_bias).float())
        self.register_buffer('bias', torch.from_numpy(combination.bias).float())

    def forward(self, views: torch.Tensor, blendshapes: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
        # all views through one branch, so that in eight bits, too, a mirrored face has one answer
        logits = self.net(views).reshape(-1, found.shape[0], self.bias.shape[0]).mean(0)  # (V, N, 7) to (N, 7)
        evidence = found * (blendshapes @ self.weights + self.found_bias)
        return torch.softmax(logits * self.scale + evidence + self.bias, dim=1)


def export(model: Deployed, path: Path) -> None:
    """Writes `path`, float16 inside, and checks that the graph is valid."""
    model = model.float().eval().to(memory_format=torch.contiguous_format)
    example = (torch.rand(4, 1, 48, 48), torch.rand(2, 52), torch.ones(2, 1))
    names = ['blendshapes', 'found']
    temporary = path.with_suffix('.part')
    torch.onnx.export(
        model,
        example,
        str(temporary),
        input_names=['views', *names],
        output_names=['probabilities'],
        dynamic_axes={'views': {0: 'views x N'}, **{name: {0: 'N'} for name in [*names, 'probabilities']}},
        opset_version=17,
        dynamo=False,
    )
    graph = onnx.load(str(temporary))
    halve(graph)
    onnx.checker.check_model(graph)
    onnx.save(graph, str(temporary))
    os.replace(temporary, path)


def halve(model: onnx.ModelProto) -> None:
    """Stores each large float32 constant as float16 with a cast in front of its users, in place."""
    graph = model.graph
    kept, casts = [], []
    for constant in graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < 64:
            kept.append(constant)
            continue
        small = numpy_helper.from_array(values.astype(np.float16), constant.name + '_half')
        kept.append(small)
        casts.append(helper.make_node('Cast', [small.name], [constant.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.node[:]
    graph.node.extend(nodes)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def session_of(path: Path):  # type: ignore[no-untyped-def]
    """An onnxruntime session on one thread."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return InferenceSession(str(path), options, providers=['CPUExecutionProvider'])


def both_views(images: np.ndarray) -> np.ndarray:
    """(N, 48, 48) uint8 faces and their mirror images as the file takes them, (2 N, 1, 48, 48)."""
    return np.concatenate([images, images[:, :, ::-1]])[:, None].astype(np.float32) / np.float32(255)


def run_file(path: Path, images: np.ndarray, blendshapes: np.ndarray) -> np.ndarray:
    """(N, 7) float64 probabilities of the exported file; nan rows of blendshapes count as missing."""
    session, parts = session_of(path), []
    found = ~np.isnan(blendshapes).all(axis=1)
    for start in range(0, len(images), 128):
        rows = slice(start, start + 128)
        given = {
            'views': both_views(images[rows]),
            'blendshapes': np.nan_to_num(blendshapes[rows]).astype(np.float32),
            'found': found[rows, None].astype(np.float32),
        }
        parts.append(session.run(None, given)[0].astype(np.float64))
    return np.concatenate(parts)


def latency_ms(path: Path, batch: int = 1, calls: int = 200) -> float:
    """Median processor milliseconds a face, `batch` faces a call, on one thread (the thread's own clock,
    so other programs on the machine count little)."""
    session, spent = session_of(path), []
    rng = np.random.default_rng(0)
    given = {
        'views': rng.random((2 * batch, 1, 48, 48), np.float32),
        'blendshapes': rng.random((batch, 52), np.float32),
        'found': np.ones((batch, 1), np.float32),
    }
    for _ in range(calls):
        began = time.thread_time()
        session.run(None, given)
        spent.append(time.thread_time() - began)
    return float(np.median(spent[10:])) * 1000 / batch
