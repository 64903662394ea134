"""The adapter to real torch: the only folder that imports it."""
