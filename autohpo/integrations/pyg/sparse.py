"""Sparse matrices that do not change but in their values: products with dense ones, and dropout of what is stored."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from autohpo.integrations.pyg.needs import need

Tensor = Any
"""A ``torch.Tensor``; torch is loaded only when something is trained."""


@dataclass(frozen=True, eq=False)
class Sparse:
    """A sparse matrix in rows, beside its transpose: so both products of a training step are cheap.

    PyTorch's own gradient of such a product sorts the matrix anew in each step, which costs ten times the product.

    Attributes:
        matrix: ``(n, m)`` the matrix, in compressed rows.
        transpose: ``(m, n)`` its transpose, in compressed rows.
        order: ``(nnz,)`` the place of each value of the transpose among those of the matrix.
    """

    matrix: Tensor
    transpose: Tensor
    order: Tensor

    @classmethod
    def of(cls, rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Sparse:
        """Return the matrix with ``(nnz,)`` values in rows and columns; equal places are added up."""
        torch = need("torch")
        places = torch.stack([rows, columns])
        whole = torch.sparse_coo_tensor(places, values, shape, check_invariants=True).coalesce()
        (rows, columns), values = whole.indices(), whole.values()
        order = torch.argsort(columns * shape[0] + rows)
        matrix = _compressed(rows, columns, values, shape)
        return cls(matrix, _compressed(columns[order], rows[order], values[order], shape[::-1]), order)

    @classmethod
    def of_dense(cls, dense: Tensor) -> Sparse:
        """Return a dense ``(n, m)`` matrix as a sparse one."""
        rows, columns = dense.nonzero(as_tuple=True)
        return cls.of(rows, columns, dense[rows, columns], tuple(dense.shape))

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""
        return tuple(self.matrix.shape)

    def to(self, device: Any) -> Sparse:
        """Return the matrix on another device."""
        return Sparse(*(getattr(self, name).to(device) for name in ("matrix", "transpose", "order")))

    def dropped(self, rate: float) -> Sparse:
        """Return the matrix with values dropped at random, and the others scaled up: dropout."""
        values = drop(self.matrix.values(), rate)
        return replace(self, matrix=_like(self.matrix, values), transpose=_like(self.transpose, values[self.order]))

    def dense(self) -> Tensor:
        """Return the matrix as a dense one."""
        return self.matrix.to_dense()

    def times(self, dense: Tensor) -> Tensor:
        """Return the ``(n, k)`` product with a dense ``(m, k)`` matrix, whose gradient is known."""
        return _product().apply(self.matrix, self.transpose, dense)


def drop(values: Tensor, rate: float) -> Tensor:
    """Return values of which a share was set to 0, and the rest scaled up; a third of the cost of PyTorch's dropout."""
    if not rate:
        return values
    torch = need("torch")
    return values * ((torch.rand_like(values) >= rate) * (1 / (1 - rate)))


@cache
def _product() -> Any:
    """The product of a constant sparse matrix and a dense one, as a function of torch's with a gradient."""

    def forward(ctx: Any, matrix: Tensor, transpose: Tensor, dense: Tensor) -> Tensor:
        ctx.transpose = transpose
        return matrix @ dense

    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, Tensor]:
        return None, None, ctx.transpose @ gradient

    methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type("Product", (need("torch").autograd.Function,), methods)


def _compressed(rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """A matrix in compressed rows; its entries are sorted by row."""
    torch = need("torch")
    starts = torch.zeros(shape[0] + 1, dtype=torch.int64, device=values.device)
    starts[1:] = torch.bincount(rows, minlength=shape[0]).cumsum(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse", UserWarning)  # PyTorch calls compressed rows a beta
        # 32 bits: what MKL takes, which would else have a copy of them made in each product
        return torch.sparse_csr_tensor(starts.int(), columns.int(), values, shape, check_invariants=False)


def _like(matrix: Tensor, values: Tensor) -> Tensor:
    """A matrix with other values in the same places."""
    torch = need("torch")
    return torch.sparse_csr_tensor(
        matrix.crow_indices(), matrix.col_indices(), values, tuple(matrix.shape), check_invariants=False
    )
