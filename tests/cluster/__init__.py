"""A Cluster of real nodes: names on all of them, slots that move, masters that fail."""
