"""The command `pipeline` and what belongs to the terminal."""
