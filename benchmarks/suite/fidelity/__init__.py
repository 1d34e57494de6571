"""Searches that may train a little first: tasks with learning curves, a simulated clock, and who plays on them."""
