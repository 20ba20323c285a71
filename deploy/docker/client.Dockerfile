# A holder's process: connects outwards, listens on nothing.
#
# Built from the folder of wheels alone, without a network but for the base image:
#   docker build --build-arg PYTHON_IMAGE=... --file deploy/docker/client.Dockerfile --tag ringfence-client out/wheelhouse
# PYTHON_IMAGE is a Python image by its digest, such as python:3.11-slim@sha256:..., of the Python that made the wheelhouse.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE} AS build
COPY . /wheelhouse
RUN ["python", "-m", "venv", "/opt/ringfence"]
RUN ["/opt/ringfence/bin/python", "-m", "pip", "install", "--no-cache-dir", "--no-index", "--find-links", "/wheelhouse", "--require-hashes", "--requirement", "/wheelhouse/client.txt"]

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/ringfence /opt/ringfence
ENV PATH=/opt/ringfence/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
WORKDIR /var/lib/ringfence
USER 10001:10001
ENTRYPOINT ["ringfence-client"]
CMD ["run", "--config", "/var/lib/ringfence/home", "--passphrase-file", "/run/secrets/passphrase"]
