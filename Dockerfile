# The mock in a container: docker build --tag vorel-mock .
# The kit, for a gate: docker build --target kit --tag vorel-conformance .
# What is installed is locked, by version and hash. A virtual environment moves from stage to stage as it is.
ARG BASE=python:3.12-alpine

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python3 -m venv --without-pip /opt/vorel
COPY requirements/mock.txt requirements/mock.txt
RUN python3 -m pip --python /opt/vorel/bin/python install --quiet --require-hashes --requirement requirements/mock.txt
COPY pyproject.toml README.md LICENSE openapi.json ./
COPY src src
COPY conformance conformance
RUN python3 -m pip --python /opt/vorel/bin/python install --quiet --no-deps --no-build-isolation .

FROM build AS build-kit
COPY requirements/conformance.txt requirements/conformance.txt
RUN python3 -m pip --python /opt/vorel/bin/python install --quiet --require-hashes --requirement requirements/conformance.txt

FROM ${BASE} AS kit
COPY --from=build-kit /opt/vorel /opt/vorel
ENV PATH=/opt/vorel/bin:$PATH
USER 65532:65532
WORKDIR /reports
ENTRYPOINT ["vorel-conformance"]

FROM ${BASE} AS mock
COPY --from=build /opt/vorel /opt/vorel
ENV PATH=/opt/vorel/bin:$PATH VOREL_MOCK_HOST=0.0.0.0
# It writes to /tmp alone, and only what a large snapshot needs: docker run --read-only --tmpfs /tmp.
USER 65532:65532
EXPOSE 3000
# 401 is an answer as well: the check has no control token.
HEALTHCHECK --interval=5s --timeout=3s --start-period=15s --retries=3 \
  CMD ["python3", "-c", "import os, http.client as http; mock = http.HTTPConnection('127.0.0.1', int(os.environ.get('VOREL_MOCK_PORT', 3000)), timeout=2); mock.request('GET', '/_mock/health'); raise SystemExit(mock.getresponse().status not in (200, 401))"]
ENTRYPOINT ["vorel-mock"]
