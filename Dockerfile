# Two stages: the first builds a wheel and installs it, the second holds only what runs.
FROM python:3.11-slim AS build
# The default build of torch for x86-64 brings several GB of CUDA libraries. To leave them out, name an index of its CPU
# builds: docker compose build --build-arg PIP_EXTRA_INDEX_URL=…
ARG PIP_EXTRA_INDEX_URL
WORKDIR /src
RUN python -m venv /venv
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY rag rag
COPY migrations migrations
RUN /venv/bin/pip install --no-cache-dir --constraint constraints.txt '.[postgres,redis,milvus]'

FROM python:3.11-slim
RUN useradd --create-home --uid 10001 rag && mkdir /data && chown rag /data
COPY --from=build /venv /venv
# Fewer heaps: under load the server holds a sixth less memory, at the same speed (docs/operations.md).
ENV PATH=/venv/bin:$PATH HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false RAG_DATA_DIR=/data MALLOC_ARENA_MAX=2
USER rag
WORKDIR /home/rag
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
# Callers come from outside the container, so they need an API key, and it does not start without one:
#   docker run --rm -v DATA:/data IMAGE sh -c 'rag db upgrade && rag keys create --user YOU --role administrator'
CMD ["sh", "-c", "rag db upgrade && exec rag serve --host 0.0.0.0"]
