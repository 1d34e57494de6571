"""Converters of other libraries' search spaces; those that need the library itself are behind an extra of its own."""
