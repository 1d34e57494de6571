"""PyTorch's package for clusters of points, of which AutoGL's code for node classification calls nothing."""

from missing import missing

__getattr__ = missing(__name__)
