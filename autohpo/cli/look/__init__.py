"""What the commands share that look at a store: how one is opened, and how its parts read."""
