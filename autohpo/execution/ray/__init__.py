"""Ray as an engine: every slot is an actor, which runs one of our own slots inside."""
