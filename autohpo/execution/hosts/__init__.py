"""Hosts: slots of ours inside the tasks of an engine such as dask or Ray, and the executor that uses them.

The engine places hosts and carries messages. A host runs one :class:`~autohpo.execution.local.LocalExecutor` slot, so
limits, isolation, captured output, reports and pauses are the same code as on one machine.
"""
