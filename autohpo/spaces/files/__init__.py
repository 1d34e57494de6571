"""Search spaces as files write them: YAML, TOML and JSON, read with their lines."""
