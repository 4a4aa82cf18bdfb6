# One image for the server and for Locust; compose.yaml sets the commands.
FROM python:3.13.5-slim-bookworm

RUN groupadd --gid 10001 stampede && useradd --create-home --uid 10001 --gid 10001 stampede && install --directory --owner=stampede /srv/stampede/uploads
WORKDIR /srv/stampede

COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY server server
COPY metrics metrics
COPY stampede stampede
COPY loadtest loadtest
COPY capacity capacity
COPY benchmarks benchmarks
RUN pip install --no-cache-dir --constraint constraints.txt --editable .

# Numeric: Kubernetes cannot verify runAsNonRoot for a user name.
USER 10001:10001
EXPOSE 8080 8089 5557 9646
CMD ["python", "-m", "server", "--host", "0.0.0.0"]
