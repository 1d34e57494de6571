"""Packages of autohpo; everything else stands in pyproject.toml."""

from setuptools import find_packages, setup

# package_dir is named so that type checkers can resolve an editable install. The root links `spaces` and `algorithms`
# are views of the package, never packages of their own: both names belong to others.
setup(package_dir={"": "."}, packages=find_packages(include=["autohpo", "autohpo.*"]))
