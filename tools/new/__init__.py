"""`./run new`: writes a project of one's own, and brings it later fixes. Standard library only."""
