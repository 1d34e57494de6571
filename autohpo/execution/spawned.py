"""What ``__main__`` is in a process that an objective starts in its worker with *spawn* or *forkserver*.

The standard library runs the module that the parent's ``__main__.__spec__`` names, under the name ``__mp_main__``,
before it unpickles anything. See :mod:`autohpo.execution.mains`.
"""

from autohpo.execution.mains import load_definitions

globals().update(load_definitions())
