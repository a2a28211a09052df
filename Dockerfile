# The daemon in an image without compilers, package installers or a shell script between it and its signals.
FROM python:3.13-slim AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv --without-pip /opt/responder
# Wheels only, each by its hash: nothing is compiled, and nothing comes in that was not locked.
COPY requirements.lock ./
RUN python -m pip --python /opt/responder/bin/python install --only-binary :all: --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY responder/ responder/
RUN python -m pip --python /opt/responder/bin/python install --no-deps .
COPY rules/ rules/
RUN /opt/responder/bin/responder check rules/

FROM python:3.13-slim

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="responder" \
      org.opencontainers.image.description="Alert responder: takes Alertmanager's alerts, runs the runbook's diagnostics and pages the escalation matrix" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The data folder is the only place that the daemon writes to; its owner is a number, so that runAsNonRoot can tell.
RUN python -m pip uninstall --yes --root-user-action ignore pip \
    && install --directory --owner 65532 --group 65532 --mode 0700 /data
COPY --from=builder /opt/responder /opt/responder
COPY rules/ /etc/responder/rules/

ENV PATH="/opt/responder/bin:${PATH}" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /data
USER 65532:65532
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["responder"]
CMD ["serve", "--config", "/etc/responder/responder.yaml"]
