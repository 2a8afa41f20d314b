# rgate as an image: `make image` builds it, as rgate:local. It needs build/image/site, the locked dependencies and rgate's
# own wheel, unpacked: neither has the base to have pip, nor the builder an index.
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE}
ARG VERSION
LABEL org.opencontainers.image.title="rgate" \
      org.opencontainers.image.description="An HTTP gateway to Docker containers, found by their labels" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
COPY build/image/site /opt/rgate
# Live files are in XDG_STATE_HOME where the database of the figures is a server.
ENV PYTHONPATH=/opt/rgate PYTHONUNBUFFERED=1 XDG_STATE_HOME=/data
# Once here, as its user cannot write there at every start.
RUN ["python3", "-m", "compileall", "-q", "/opt/rgate"]
COPY --chown=65532:65532 build/image/data /data
USER 65532:65532
# The database of the figures and its live files: all that it writes. Sockets between workers are in /tmp, or here
# where there is no /tmp to write to.
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["python3", "-m", "rgate", "health"]
ENTRYPOINT ["python3", "-m", "rgate"]
# Docker kills what has not ended 10 s after a stop: 6 for what is under way leave 4 for the rest, which is one for what
# clients still send, and up to two on a busy machine.
CMD ["serve", "--host", "0.0.0.0", "--config", "/etc/rgate/config.yml", "--drain", "6"]
