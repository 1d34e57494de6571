"""The registry of optimizers, with AutoGL's two checks."""

from .base import BaseHPOptimizer

HPO_DICT = {}


def register_hpo(name):
    """Return the decorator that makes an optimizer known."""

    def register(cls):
        if name in HPO_DICT:
            raise ValueError(f"Cannot register duplicate HP Optimizer ({name})")
        if not issubclass(cls, BaseHPOptimizer):
            raise ValueError(f"Model ({name}: {cls.__name__}) must extend HPOptimizer")
        HPO_DICT[name] = cls
        return cls

    return register


@register_hpo("random")
class RandAdvisor(BaseHPOptimizer):
    """AutoGL has optimizers of its own under these names."""


def build_hpo_from_name(name):
    """Return an optimizer with its default options."""
    assert name in HPO_DICT, f"HPO module do not have name {name}"
    return HPO_DICT[name]()
