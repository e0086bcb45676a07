"""Mutants: bugs seeded into a copy of the project, each of which a named test or simulation must find."""
