# The container `build` of build-pod.yaml: Debian with what scripts/packages.txt names, and npm for the console, so a build installs nothing.
#   docker build -f k8s/kubesphere/Dockerfile.builder -t registry.example/berth-builder:bookworm .
# DEBIAN is meant to be a digest: --build-arg DEBIAN=debian@sha256:….
ARG DEBIAN=debian:bookworm-slim
FROM ${DEBIAN}
WORKDIR /src
COPY scripts/install-packages scripts/packages.txt scripts/
RUN scripts/install-packages test \
 && apt-get install -y -qq --no-install-recommends python3-yaml binutils npm \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home jenkins
USER 1000:1000
