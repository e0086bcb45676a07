"""A web application: it takes work, answers 202 with an id, and any of its processes knows what became of it."""
