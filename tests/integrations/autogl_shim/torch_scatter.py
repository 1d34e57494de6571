"""Scatter operations by PyTorch Geometric's own, under the names of a package that has to be compiled."""

from missing import missing
from torch_geometric import utils


def scatter(src, index, dim=0, out=None, dim_size=None, reduce="sum"):
    """Reduce all values of an index to one."""
    return utils.scatter(src, index, dim, dim_size, reduce)


def scatter_add(src, index, dim=0, out=None, dim_size=None):
    """Return the sums."""
    return utils.scatter(src, index, dim, dim_size, "sum")


def scatter_mean(src, index, dim=0, out=None, dim_size=None):
    """Return the means."""
    return utils.scatter(src, index, dim, dim_size, "mean")


def scatter_max(src, index, dim=0, out=None, dim_size=None):
    """Return the largest values, without their places."""
    return utils.scatter(src, index, dim, dim_size, "max"), None


__getattr__ = missing(__name__)
