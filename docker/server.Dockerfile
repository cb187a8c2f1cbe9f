# One bundle behind HTTP, without PyTorch and what builds:
#   docker build -f docker/server.Dockerfile -t t3export-server .
#   docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/artifacts/shape_e_int8/cpu:/bundle:ro" t3export-server
FROM python:3.11.14-slim-bookworm

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1

RUN useradd --create-home --uid 1000 t3export

COPY . /source
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install "/source[cpu,mesh,serve]" && rm -r /source

USER t3export
WORKDIR /home/t3export
EXPOSE 8000
HEALTHCHECK --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/v1/health', timeout=5)"]
CMD ["t3export", "serve", "/bundle", "--api", "--host", "0.0.0.0"]
