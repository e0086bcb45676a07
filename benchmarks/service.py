"""One start of a service: `python -m benchmarks.service ACTION ADAPTER URL COUNT SIZE`.

`consume` becomes `python -m consumer` with one handler; `import` imports the libraries that it depends on, and reports.
"""

import contextlib
import os
import runpy
import sys


def main() -> None:
    """Do one action."""
    action, _, url, *_ = sys.argv[1:]
    if action == "import":
        import_libraries()
        os.write(1, b'{"imported": true}\n')
        return
    os.environ |= {
        "REDIS_URL": url, "PIPELINE_QUEUE": "bench", "PIPELINE_HANDLERS": "benchmarks.first", "PIPELINE_LOG_LEVEL": "warning",
    }  # fmt: skip
    sys.argv = ["consumer"]
    runpy.run_module("consumer", run_name="__main__", alter_sys=True)


def import_libraries() -> None:
    """What requirements name and the consumer service cannot work without; no file of ours."""
    import asyncio  # noqa: F401, PLC0415

    import hiredis  # noqa: F401, PLC0415
    import pydantic  # noqa: F401, PLC0415
    import pydantic_settings  # noqa: F401, PLC0415
    import redis.asyncio  # noqa: F401, PLC0415
    import structlog  # noqa: F401, PLC0415

    with contextlib.suppress(ImportError):  # not on every platform
        import uvloop  # noqa: F401, PLC0415


if __name__ == "__main__":
    main()
