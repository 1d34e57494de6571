"""Nothing here is a test: it is a package of the name of AutoGL, for tests without AutoGL."""

collect_ignore_glob = ["*.py", "*/*"]
