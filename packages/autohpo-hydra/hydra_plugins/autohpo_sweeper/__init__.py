"""The autohpo sweeper of Hydra."""
