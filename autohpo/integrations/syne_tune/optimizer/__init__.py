"""Schedulers under Syne Tune's names."""
