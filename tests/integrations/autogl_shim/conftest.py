"""Nothing here is a test: these modules stand in for packages that AutoGL imports and that need a compiler."""

collect_ignore_glob = ["*.py"]
