"""Taking and settling."""
