"""Listening to Dynamo while it compiles: what a compilation produced, as a package can hold it."""
