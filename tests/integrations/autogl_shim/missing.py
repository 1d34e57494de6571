"""What the stand-ins share: a name of a package that is not there is a function that says so."""

from __future__ import annotations


def missing(package):
    """Return the ``__getattr__`` of a module that stands in for a package."""

    def get(name):
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args, **kwargs):
            raise RuntimeError(f"{package}.{name} is not there: {package} is a stand-in")

        return call

    return get
