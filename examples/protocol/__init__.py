"""The protocol without this project: a client on a socket, as one would write it in another language."""
