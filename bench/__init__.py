"""Timings and sizes, side by side in one run. Nothing in tests/ measures time."""
