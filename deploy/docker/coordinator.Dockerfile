# A coordinator's process: the gateway that holders connect to, with Flower's link behind it on loopback.
#
# Built from the folder of wheels alone, without a network but for the base image:
#   docker build --build-arg PYTHON_IMAGE=... --file deploy/docker/coordinator.Dockerfile --tag ringfence-coordinator out/wheelhouse
# PYTHON_IMAGE is a Python image by its digest, such as python:3.11-slim@sha256:..., of the Python that made the wheelhouse.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE} AS build
COPY . /wheelhouse
RUN ["python", "-m", "venv", "/opt/ringfence"]
RUN ["/opt/ringfence/bin/python", "-m", "pip", "install", "--no-cache-dir", "--no-index", "--find-links", "/wheelhouse", "--require-hashes", "--requirement", "/wheelhouse/coordinator.txt"]

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/ringfence /opt/ringfence
ENV PATH=/opt/ringfence/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
WORKDIR /var/lib/ringfence
USER 10001:10001
EXPOSE 8443
ENTRYPOINT ["ringfence-server"]
CMD ["serve", "--config", "/var/lib/ringfence/home"]
