"""Scripts that `./run` runs before or beside the project itself; standard library only."""
