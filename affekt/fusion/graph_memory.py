"""The memory fusion network that reads a graph of all subsets of modalities, with an edge weight per step.

Axes: B batch, H hidden, E edges. In the paper's terms:

    singletons              the vertices of one modality
    networks                those of the subsets of two and three
    efficacies              α of all edges at once
    top                     the output vertex
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from affekt.errors import WeightsError, listed
from affekt.fusion.memory import LETTERS, ORDER, MemoryFusion, MemoryLoop
from affekt.fusion.model import FusionShape
from affekt.nn import NameMap

NODE_WIDTH = 100
"""Hidden width of the graph's networks, as published."""
SUBSETS = ('0_1', '0_2', '1_2', '0_1_2')
"""Nodes above the singletons, by the indices of their modalities in ORDER."""


class GraphLoop(MemoryLoop):
    """The loop that reads the graph."""

    reads_cells = False

    def _build_reading(self) -> int:
        hidden = self.shape.hidden
        self.singletons = nn.ModuleDict({name: nn.Linear(2 * hidden, hidden) for name in ORDER})
        self.graph = FusionGraph(hidden, registered=self.shape.corrected)
        return hidden

    def _read(self, before: Tensor, after: Tensor) -> Tensor:
        nodes = [  # each (B, H), from (B, 2H)
            torch.relu(self.singletons[name](torch.cat([before[i], after[i]], dim=1))) for i, name in enumerate(ORDER)
        ]
        result: Tensor = self.graph(nodes)
        return result


class GraphMemoryFusion(MemoryFusion):
    """`graph_mfn`: the memory fusion network with a dynamic fusion graph.

    The published code keeps the networks of the subsets in a plain dict: they are neither trained nor saved, so that a
    reloaded model answers differently. The reference form reproduces this; the corrected form registers them.

    Source: Zadeh et al. 2018, ACL, P18-1208, section 4.
    """

    loop_class = GraphLoop

    def __init__(self, shape: FusionShape, *, memory: int = 128) -> None:
        super().__init__(shape, memory=memory)

    def load_outside_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Fill the networks that the published code keeps outside its state, by their published names.

        Raises:
            WeightsError: the names are not exactly the expected ones.
        """
        graph = self.loop.graph
        assert isinstance(graph, FusionGraph)
        graph.load_outside_state(tensors)

    def published_names(self) -> NameMap:
        """Published state names to ours."""
        names = dict(super().published_names())
        names |= {f'{LETTERS[name]}_transform': f'loop.singletons.{name}' for name in ORDER}
        for theirs, ours in (('t_network', 'top'), ('efficacy_model', 'efficacies')):
            names |= {f'graph_mfn.{theirs}.{i}': f'loop.graph.{ours}.{j}' for i, j in (('0', 0), ('1.0', 1), ('2', 2))}
        return names


class FusionGraph(nn.Module):
    """(B, H) of three modalities to (B, H): each subset reads its own subsets, the top all, weighted by efficacies."""

    def __init__(self, hidden: int, *, registered: bool) -> None:
        super().__init__()
        networks = {subset: _node(len(_subsets_of(subset)) * hidden, hidden) for subset in SUBSETS}
        self.outside = None if registered else networks
        if registered:
            self.networks = nn.ModuleDict(networks)
        self.top = _node(7 * hidden, hidden)
        edges = sum(len(_subsets_of(subset)) for subset in SUBSETS) + 7
        self.efficacies = nn.Sequential(
            nn.Linear(3 * hidden, NODE_WIDTH), nn.Linear(NODE_WIDTH, hidden), nn.Linear(hidden, edges)
        )

    def forward(self, singletons: list[Tensor]) -> Tensor:
        """The (B, H) output of the graph's top node."""
        efficacies = self.efficacies(torch.cat(singletons, dim=1))  # (B, E), from (B, 3H)
        outputs = {str(i): node for i, node in enumerate(singletons)}
        networks = self.networks if self.outside is None else self.outside
        edge = 0
        for subset in SUBSETS:
            subsets = _subsets_of(subset)
            outputs[subset] = networks[subset](_weighted(outputs, subsets, efficacies, edge))
            edge += len(subsets)
        top: Tensor = self.top(_weighted(outputs, list(outputs), efficacies, edge))
        return top

    def load_outside_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Fill the unregistered networks by their published names."""
        parameters = {
            f'graph_mfn.networks.{subset}.{theirs}.{suffix}': getattr(network[i], suffix)
            for subset, network in (self.outside or {}).items()
            for i, theirs in enumerate(('0', '1.0'))
            for suffix in ('weight', 'bias')
        }
        if set(parameters) != set(tensors):
            raise WeightsError(
                expected=f'{len(parameters)} tensors of the networks outside the state',
                came=listed(sorted(set(parameters) ^ set(tensors))) + ' on one side only',
                todo='give exactly those of the published model',
            )
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(tensors[name])


def _subsets_of(subset: str) -> list[str]:
    """The proper subsets of a node, smaller ones first."""
    members = subset.split('_')
    nodes = ['0', '1', '2', *SUBSETS]
    return [node for node in nodes if node != subset and set(node.split('_')) <= set(members)]


def _weighted(outputs: dict[str, Tensor], nodes: list[str], efficacies: Tensor, edge: int) -> Tensor:
    """(B, nodes·H) outputs of the nodes, each times its efficacy; `edge` is the index of the first efficacy."""
    return torch.cat([outputs[node] * efficacies[:, edge + i, None] for i, node in enumerate(nodes)], dim=1)


def _node(size: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, NODE_WIDTH), nn.Linear(NODE_WIDTH, hidden))
