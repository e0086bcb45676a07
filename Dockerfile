# One image, several commands: `python -m consumer` (the default), `python -m producer`, `python -m producer.clock` and
# `python -m monitor`.
# Plain instructions only, so that every builder takes it: BuildKit, the classic one, Podman.
ARG PYTHON_IMAGE=python:3.13-slim


FROM ${PYTHON_IMAGE} AS build

# The packages first and alone: this layer is built again only when the lock file changes.
COPY requirements.lock /build/
# Wheels only: what the hashes name is what runs, and nothing needs a compiler. The environment gets no pip of its own.
RUN python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check --no-input \
        --root-user-action=ignore --no-deps --require-hashes --only-binary=:all: -r /build/requirements.lock

COPY LICENSE /app/
COPY shared /app/shared
COPY producer /app/producer
COPY consumer /app/consumer
COPY monitor /app/monitor
COPY cli /app/cli
# A checkout made under a strict umask must stay readable for the image's user; the root file system is read-only, so
# compile now. Hashes rather than times decide whether the result is fresh: copying between stages may change times.
RUN chmod -R a+rX /app && python -m compileall -q -j 0 --invalidation-mode checked-hash /app


FROM ${PYTHON_IMAGE}

LABEL org.opencontainers.image.title="weir" \
    org.opencontainers.image.description="A job-pipeline starter: asyncio's patterns, across processes." \
    org.opencontainers.image.licenses="MIT"

# A fixed number, so that an orchestrator can tell from outside that it is not root.
RUN useradd --no-log-init --system --user-group --no-create-home --home-dir /tmp --uid 10001 weir

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

# Owned by root: the services may read their own code, not change it.
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app

WORKDIR /app
USER 10001:10001
# Of the default command; who runs another one asks that.
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 CMD ["python", "-m", "consumer", "--check"]
CMD ["python", "-m", "consumer"]
