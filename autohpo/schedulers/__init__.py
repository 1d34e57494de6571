"""Schedulers: who gets how much fidelity, and who is stopped."""
