"""Gives numpy and pandas their old names back just before AutoGL is imported, in every process of this interpreter."""

import importlib
import sys


class BeforeAutoGL:
    """A finder that finds nothing, and sees what is looked for."""

    def find_spec(self, name, path=None, target=None):
        """Return None, so that the other finders go on."""
        if name == "autogl":
            sys.meta_path.remove(self)
            importlib.import_module("old_names")


sys.meta_path.insert(0, BeforeAutoGL())
