"""Configuration files of ``autohpo run``: read with their lines, checked, and made into a search."""
