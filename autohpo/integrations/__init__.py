"""Bridges to other libraries, each behind an extra of its own: nothing is imported before it is used."""
