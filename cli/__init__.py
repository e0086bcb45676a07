"""The command `pipeline`, and what else belongs to the terminal."""
