# One image with both programs: `ergate-worker` (the default) and `ergate`.
#
#   docker build -t ergate .
#   docker run --rm -e REDIS_URL=redis://redis:6379 ergate
#   docker run --rm ergate ergate --help

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# `ergate-client` is named for its features; the programs get them with it.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked -p ergate-client -p ergate-worker -p ergate-cli --features tls,cluster,sentinel,bundled-zones \
 && install -D -t /image/usr/local/bin target/dist/ergate target/dist/ergate-worker

# A root without shell and package manager: the programs, the libraries they name, certificates, and one user.
RUN set -eu; cd /image; mkdir -p etc tmp; chmod 1777 tmp; \
    ldd usr/local/bin/ergate usr/local/bin/ergate-worker | grep -o '/lib[^ ]*' | sort -u \
      | xargs cp --parents --dereference --target-directory=.; \
    cp --parents --dereference --target-directory=. /etc/ssl/certs/ca-certificates.crt; \
    echo 'nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin' > etc/passwd; \
    echo 'nonroot:x:65532:' > etc/group; \
    echo 'hosts: files dns' > etc/nsswitch.conf

FROM scratch
COPY --from=build /image /
USER 65532:65532
# Reachable from other containers; mail without a mail server is kept where this user may write.
ENV PATH=/usr/local/bin ERGATE_METRICS=0.0.0.0:9464 ERGATE_MAIL_FOLDER=/tmp/mail
# Metrics, /healthz and /readyz.
EXPOSE 9464
# Ready means a recent answer from Redis, so a worker whose Redis is away is unhealthy, and well again by itself.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["ergate-worker", "--health-check"]
# Stop leasing, let handlers finish, hand back the rest; give it longer than the worker's own deadline.
STOPSIGNAL SIGTERM
CMD ["ergate-worker"]
