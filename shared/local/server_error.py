"""The error of a server of our own that cannot run."""


class EmbeddedServerError(Exception):
    """The embedded server could not be started; the message says why, with the last lines of the server's log."""
