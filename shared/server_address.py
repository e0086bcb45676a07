"""The address of a server as a setting: a secret, for it may hold a password."""

from pydantic import SecretStr


def server_address(secret: SecretStr) -> SecretStr:
    """An address that can be read.

    :raises ValueError: when it cannot be. The error never repeats it: it may hold a password.
    """
    from shared.concurrency.session.address import address as engine  # noqa: PLC0415  # help needs no engine

    address = secret.get_secret_value().strip()
    engine.read_address(address)
    return SecretStr(address)


def has_password(address: SecretStr) -> bool:
    """Whether an address that can be read has a password."""
    from shared.concurrency.session.address import address as engine  # noqa: PLC0415  # as above

    return "password" in engine.read_address(address.get_secret_value()).options
