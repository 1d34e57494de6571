"""Sparse tensors: AutoGL imports the names of a package that has to be compiled; PyTorch Geometric has the type."""

from missing import missing
from torch_geometric.typing import SparseTensor

__all__ = ["SparseTensor"]
__getattr__ = missing(__name__)
