"""What a run leaves to look at: one HTML file, without scripts and without anything fetched."""

from autohpo.report.html import render_html, write_html, write_html_from_store

__all__ = ["render_html", "write_html", "write_html_from_store"]
