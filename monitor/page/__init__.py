"""The live page: what a browser is shown of the cluster, and asked."""
