"""Putting what a package holds back into a process."""
