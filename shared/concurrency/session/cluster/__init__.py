"""A Cluster: which node serves a name, and the links to the nodes that serve the names of a session."""
