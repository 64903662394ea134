"""The compile-package API under its own names: see coldframe.package."""
