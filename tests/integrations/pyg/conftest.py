"""Graphs with a signal that is known, made here: no data set is downloaded."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _one_thread():
    """The tests are small, and the machine may be busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def communities():
    """Three groups of 40 nodes with edges inside them and few between; 60 words, 4 a node, half of its group."""
    import torch
    from torch_geometric.data import Data

    generator = torch.Generator().manual_seed(0)
    y = torch.arange(120) % 3
    chance = torch.where(y[:, None] == y[None, :], 0.15, 0.005)
    upper = torch.triu(torch.rand(120, 120, generator=generator) < chance, diagonal=1)
    edges = (upper | upper.t()).nonzero().t().contiguous()
    x = torch.zeros(120, 60)
    for node in range(120):
        own = int(y[node]) * 20 + torch.randint(20, (2,), generator=generator)
        x[node, torch.cat([own, torch.randint(60, (2,), generator=generator)])] = 1.0
    place = torch.randperm(120, generator=generator)
    masks = {name: torch.zeros(120, dtype=torch.bool) for name in ("train_mask", "val_mask", "test_mask")}
    for mask, nodes in zip(masks.values(), place.split(40), strict=True):
        mask[nodes] = True
    return Data(x=x, edge_index=edges, y=y, **masks)


@pytest.fixture(scope="session")
def rings_and_stars():
    """60 rings and 60 stars of 5 to 9 nodes without features: only the edges tell them apart."""
    import torch
    from torch_geometric.data import Data

    graphs = []
    for i in range(120):
        n, y = 5 + i % 5, i % 2
        nodes = torch.arange(n)
        pairs = (
            torch.stack([nodes, (nodes + 1) % n]) if y == 0 else torch.stack([torch.zeros_like(nodes), nodes])[:, 1:]
        )
        edges = torch.cat([pairs, pairs.flip(0)], dim=1)
        graphs.append(Data(edge_index=edges, y=torch.tensor([y]), num_nodes=n))
    return graphs
