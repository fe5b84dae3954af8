# The broker and its web page. Build from the root of the repository:
# docker build -f deploy/broker.Dockerfile -t sonde-broker .

# The build is the same in each of the three files, so that it is done once. Every dependency is checked against
# the hashes of requirements.lock; the image then takes from it what its role needs.
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock ./
RUN pip download --no-cache-dir --require-hashes --requirement requirements.lock --dest /wheels
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY wire wire
COPY agent agent
COPY broker broker
COPY viewer viewer
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
RUN python -m venv /opt/sonde

FROM build AS install
RUN /opt/sonde/bin/pip install --no-cache-dir --no-index --find-links /wheels "sonde[broker,postgres]"

FROM python:3.13-slim-bookworm
COPY --from=install /opt/sonde /opt/sonde
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/sonde
ENV PATH=/opt/sonde/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=3)"]
ENTRYPOINT ["python", "-m", "sonde_broker"]
CMD ["serve", "--help"]
