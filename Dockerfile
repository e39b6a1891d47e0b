# One image for workers, submit, the MLflow server and the Optuna dashboard.
#
#     docker build -t hpo .
#
# The usual wheel of PyTorch brings CUDA with it and runs on CPUs too. For a much smaller image without it:
#
#     docker build -t hpo --build-arg PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu .
FROM python:3.11-slim AS dependencies
ARG PIP_EXTRA_INDEX_URL=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_EXTRA_INDEX_URL=${PIP_EXTRA_INDEX_URL}
RUN python -m venv /opt/hpo
# They change seldom and take long: a layer of their own, before the code.
COPY deploy/requirements.lock ./
RUN /opt/hpo/bin/pip install -r requirements.lock

FROM python:3.11-slim AS wheel
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY studies studies
COPY hpo hpo
RUN pip wheel --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
RUN groupadd --gid 10001 hpo \
    && useradd --uid 10001 --gid hpo --home-dir /var/lib/hpo --shell /usr/sbin/nologin hpo \
    && install -d -o hpo -g hpo -m 0750 \
        /var/lib/hpo /var/lib/hpo/state /var/lib/hpo/cache /var/lib/hpo/artifacts
COPY --from=dependencies /opt/hpo /opt/hpo
ENV PATH=/opt/hpo/bin:${PATH}
COPY --from=wheel /wheels /tmp/wheels
RUN pip install --no-cache-dir --no-deps --no-index /tmp/wheels/*.whl
COPY deploy/mlflow_server.py deploy/upgrade.py deploy/worker_health.py deploy/url_health.py /opt/hpo/deploy/
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HPO_STATE=/var/lib/hpo/state HPO_CACHE=/var/lib/hpo/cache HF_HOME=/var/lib/hpo/cache/huggingface \
    MPLCONFIGDIR=/tmp/matplotlib MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=1
USER hpo
WORKDIR /var/lib/hpo
# SIGTERM: the trial at work is checkpointed and given back.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=4 \
    CMD ["python", "/opt/hpo/deploy/worker_health.py"]
CMD ["python", "-m", "hpo.worker"]
