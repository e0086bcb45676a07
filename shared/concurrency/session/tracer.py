"""Whether somebody traces this process."""

import os
import sys
from typing import Final

from shared.concurrency.session.tracing import Tracing

_PROVIDER: Final = "OTEL_PYTHON_TRACER_PROVIDER"
"""By this variable the API itself loads a provider."""


def tracing() -> Tracing | None:
    """Whoever traces this process; None where nobody does.

    So it is where the API is not installed, or nobody has set a tracer provider. Ask once, not for each message.
    """
    if "opentelemetry.trace" not in sys.modules and _PROVIDER not in os.environ:
        return None  # nobody has imported what a provider is set with: no import either
    try:
        from shared.concurrency.session.open_telemetry import open_telemetry  # noqa: PLC0415  # it may be missing
    except ImportError:
        return None
    return open_telemetry()
