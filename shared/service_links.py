"""Service links: the variables that Kubernetes sets in a container for each Service. They are no settings.

A Service called `pipeline-metrics` makes PIPELINE_METRICS_PORT=tcp://10.0.0.11:9100 and others beside it.
"""

import os
import re
from collections.abc import Mapping
from typing import Final

from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

_LINK: Final = re.compile(
    r"(?P<service>[A-Z][A-Z0-9_]*?)_"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|(?P<port>PORT)|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_PLACE: Final = re.compile(r"(?:tcp|udp|sctp)://.+:[0-9]+")


def service_links(variables: Mapping[str, str]) -> frozenset[str]:
    """The names of the variables that are service links."""
    return frozenset(
        name
        for name, value in variables.items()
        if (found := _LINK.fullmatch(name))
        # Kubernetes sets these two for each Service.
        and {f"{found['service']}_SERVICE_HOST", f"{found['service']}_SERVICE_PORT"} <= variables.keys()
        # PIPELINE_METRICS_PORT=9100 is a setting, whatever Services there are.
        and (found["port"] is None or _PLACE.fullmatch(value))
    )


class WithoutServiceLinks(BaseSettings):
    """Settings that are read from the variables of the process, but for service links."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # pydantic-settings calls it so
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the service links out of what the environment is read from."""
        if isinstance(env_settings, EnvSettingsSource) and (
            links := {name.lower() for name in service_links(os.environ)}
        ):
            env_settings.env_vars = {
                name: value for name, value in env_settings.env_vars.items() if name.lower() not in links
            }
        return init_settings, env_settings, dotenv_settings, file_secret_settings
