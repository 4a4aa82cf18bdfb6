# The images of the server (the last stage) and of Locust, which compose.yaml builds, and that of the capacity run:
#
#   docker build --target server --tag stampede-server:0.1.0 .
#   docker build --target locust --tag stampede-locust:0.1.0 .
#   docker build --target capacity --tag stampede-capacity:0.1.0 .
FROM python:3.13.5-slim-bookworm AS base
RUN groupadd --gid 10001 stampede && useradd --create-home --uid 10001 --gid 10001 stampede
WORKDIR /srv/stampede
COPY pyproject.toml constraints.txt ./

FROM base AS wheel
COPY README.md LICENSE ./
COPY stampede stampede
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

# The load generator and its locustfiles.
FROM base AS locust
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --constraint constraints.txt /wheels/*.whl
COPY loadtest loadtest
# Numeric: Kubernetes cannot verify runAsNonRoot for a user name.
USER 10001:10001
EXPOSE 8089 5557 9646
CMD ["locust", "-f", "loadtest"]

# The capacity run of a server at --host, with the load generator that it starts.
FROM base AS capacity
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --constraint constraints.txt /wheels/*.whl
RUN pip install --no-cache-dir --constraint constraints.txt stampede[capacity]
COPY loadtest loadtest
COPY capacity capacity
USER 10001:10001
EXPOSE 5557
CMD ["python", "-m", "capacity", "--help"]

# The server and the modules that it shares with the load generator, without the load generator's dependencies.
FROM base AS server
RUN pip install --no-cache-dir --constraint constraints.txt --group server-image
COPY stampede stampede
COPY metrics metrics
COPY server server
RUN install --directory --owner=stampede uploads
USER 10001:10001
EXPOSE 8080
CMD ["python", "-m", "server", "--host", "0.0.0.0"]
