# Two images from one file, one for each door; the API's holds no torch.
#
#   docker build --target api    -t ridgeline-api .
#   docker build --target worker -t ridgeline-worker .
#
# The worker's takes PyTorch's CPU build. For NVIDIA GPUs add --build-arg PIP_EXTRA_INDEX_URL= and run it with
# `docker run --gpus all`.

FROM python:3.11-slim AS api
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN useradd --system --uid 1000 --create-home ridgeline && install --directory --owner ridgeline /data
WORKDIR /app
COPY constraints.txt pyproject.toml README.md ./
COPY api/ api/
COPY cli/ cli/
COPY models/ models/
COPY store/ store/
COPY worker/ worker/
RUN pip install -c constraints.txt .
ENV RIDGELINE_DATA_DIR=/data RIDGELINE_HOST=0.0.0.0 RIDGELINE_PORT=8000
VOLUME /data
EXPOSE 8000
USER ridgeline
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8000/healthz')"]
CMD ["ridgeline", "api"]

FROM api AS worker
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
USER root
RUN pip install -c constraints.txt ".[train]"
USER ridgeline
HEALTHCHECK NONE
CMD ["ridgeline", "worker"]
