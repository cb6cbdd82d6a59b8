# The operator's image: the manager and the runner, two static binaries on nothing. hack/cluster/images/operator.sh
# makes the same image where there is no container engine.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api api
COPY cmd cmd
COPY internal internal
RUN CGO_ENABLED=0 go build -tags disable_grpc_modules -trimpath -ldflags '-s -w' -o /out/ ./cmd/manager ./cmd/runner

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/runner /runner
COPY --from=build /out/manager /manager
USER 65532:65532
ENTRYPOINT ["/manager"]
