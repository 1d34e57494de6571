"""Hosts as tasks of a dask cluster: one that is given, or one of our own on this machine."""
