"""Making callables of recipes again."""
