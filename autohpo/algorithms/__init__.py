"""Algorithms: the interface, the registry, and one file for each algorithm, named as it is registered."""

if __name__ != "autohpo.algorithms":
    raise ImportError("import autohpo.algorithms; the root folder algorithms is only a view of it")
