# One image for workers, submit, the MLflow server and the Optuna dashboard.
#
#     docker build -t hpo .
#
# The usual wheel of PyTorch brings CUDA with it and runs on CPUs too. For a much smaller image without it, put
# PyTorch's CPU wheel of the locked version into a folder `wheels` beside this file first. Every file that is
# installed is held against its SHA-256 in the locks, wherever it comes from.
FROM python:3.11.14-slim-trixie AS dependencies
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/hpo
WORKDIR /locks
# They change seldom and take long: a layer of their own, before the code.
COPY deploy/requirements.lock torch-*.lock wheel[s] ./
RUN /opt/hpo/bin/pip install --no-deps --find-links . -r torch-cpu.lock \
    || /opt/hpo/bin/pip install --no-deps -r torch-cuda.lock
RUN /opt/hpo/bin/pip install --no-deps -r requirements.lock

FROM python:3.11.14-slim-trixie AS wheel
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY deploy/build.lock ./
RUN python -m venv /build && /build/bin/pip install --no-deps -r build.lock
COPY pyproject.toml README.md LICENSE ./
COPY studies studies
COPY hpo hpo
RUN /build/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheels .

FROM python:3.11.14-slim-trixie
RUN groupadd --gid 10001 hpo \
    && useradd --uid 10001 --gid hpo --home-dir /var/lib/hpo --shell /usr/sbin/nologin hpo \
    && install -d -o hpo -g hpo -m 0750 \
        /var/lib/hpo /var/lib/hpo/state /var/lib/hpo/cache /var/lib/hpo/artifacts /var/lib/hpo/scratch
COPY --from=dependencies /opt/hpo /opt/hpo
ENV PATH=/opt/hpo/bin:${PATH}
COPY --from=wheel /wheels /tmp/wheels
RUN pip install --no-cache-dir --no-deps --no-index /tmp/wheels/*.whl
COPY deploy/*.py /opt/hpo/deploy/
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HPO_STATE=/var/lib/hpo/state HPO_CACHE=/var/lib/hpo/cache HF_HOME=/var/lib/hpo/cache/huggingface \
    MPLCONFIGDIR=/tmp/matplotlib MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=1
USER hpo
WORKDIR /var/lib/hpo
# SIGTERM: the trial at work is checkpointed and given back.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=4 \
    CMD ["python", "/opt/hpo/deploy/worker_health.py"]
# Secrets come as files; the commands look for them in their environment.
ENTRYPOINT ["python", "/opt/hpo/deploy/with_secrets.py"]
CMD ["python", "-m", "hpo.worker"]
