# Everything a developer does here, by name. `make help` lists it.
# Tools are pinned in hack/tools/go.mod and built into bin/tools; Kubernetes binaries are built once into bin/k8s.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULE    := github.com/dbt-operator/dbt-operator
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BIN       := $(CURDIR)/bin
TOOLS     := $(BIN)/tools
LDFLAGS   := -s -w -X main.version=$(VERSION)
# Google's storage client brings gRPC for a way to talk to buckets that the store does not use: 12 MB of the manager.
TAGS      := disable_grpc_modules
FUZZTIME  ?= 200000x

CLUSTER        := hack/cluster/cluster
CONTROLLER_GEN := $(TOOLS)/controller-gen
GOLANGCI_LINT  := $(TOOLS)/golangci-lint
GOTESTSUM      := $(TOOLS)/gotestsum
CRD_REF_DOCS   := $(TOOLS)/crd-ref-docs
KUSTOMIZE      := $(TOOLS)/kustomize
GOVULNCHECK    := $(TOOLS)/govulncheck

##@ General

.PHONY: help
help: ## List every target.
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-zA-Z0-9_-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## Install what is needed beside Go (Debian packages; needs root there, elsewhere it says what is missing).
	hack/deps.sh

.PHONY: demo
demo: deps ## Bring up a cluster, install the operator, run the sample project and show what came of it.
	hack/demo/demo.sh

##@ Build

.PHONY: build
build: ## Build the operator's binaries and the kubectl plugin into bin/.
	CGO_ENABLED=0 go build -tags $(TAGS) -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/manager ./cmd/runner ./cmd/kubectl-dbt

.PHONY: image
image: ## Build the operator's image: into bin/images, or into the Docker engine where there is one.
	$(CLUSTER) images operator

.PHONY: install-manifest
install-manifest: $(KUSTOMIZE) ## Write dist/install.yaml: everything an installation needs, in one file.
	mkdir -p dist
	$(KUSTOMIZE) build config/default >dist/install.yaml

.PHONY: chart
chart: ## Pack the Helm chart into dist/ (VERSION=v1.2.3; else the commit).
	hack/chart.sh package $(VERSION) dist

.PHONY: release
release: $(KUSTOMIZE) $(TOOLS)/cyclonedx-gomod ## Make the release of the tag that is checked out, in dist/VERSION (docs/release.md).
	hack/release.sh

##@ Test

.PHONY: test
test: deps $(GOTESTSUM) ## Run every test there is, level by level, and print one summary.
	hack/test.sh unit fuzz integration e2e

.PHONY: test-unit
test-unit: $(GOTESTSUM) ## Run the unit tests and the import rules (seconds).
	hack/test.sh unit

.PHONY: test-integration
test-integration: deps $(GOTESTSUM) ## Run the tests against a real API server and etcd, S3 server and OIDC provider.
	hack/test.sh integration

.PHONY: test-gate
test-gate: deps $(TOOLS)/dex ## Run the tests of examples/fastapi-gate, alone and with a real API server and OIDC provider.
	[ -n "$${KUBEBUILDER_ASSETS:-}" ] || $(CLUSTER) binaries
	go test -count=1 ./test/gate/... ./test/oidc/...

.PHONY: test-e2e
test-e2e: deps $(GOTESTSUM) ## Run the tests on a real cluster with real dbt and PostgreSQL.
	hack/test.sh e2e

.PHONY: test-token-renewal
test-token-renewal: ## Wait for kubelet to renew a token in the middle of a run, in the local cluster that is up (12 minutes).
	eval "$$($(CLUSTER) env)" && E2E_TOKEN_RENEWAL=1 go test -count=1 -timeout 30m -v -run '^TestRenewedTokenKeepsWorking$$' ./test/e2e

.PHONY: fuzz
fuzz: $(GOTESTSUM) ## Fuzz every parser of foreign bytes, FUZZTIME (200000x) inputs each.
	FUZZTIME=$(FUZZTIME) hack/test.sh fuzz

##@ Benchmarks

.PHONY: bench
bench: ## Run every benchmark but the soak, and print one table of all.
	hack/bench.sh

.PHONY: bench-summary
bench-summary: ## Print one table of what the benchmarks found that were run last.
	@go run ./test/bench/summary

.PHONY: bench-overhead
bench-overhead: deps ## Time a DbtRun beside a hand-written Job of the same image and command (N=7 of each).
	hack/bench-overhead.sh $(N)

.PHONY: bench-tail
bench-tail: deps ## Time the end of a run from dbt's last line on (N=50 runs).
	hack/bench-overhead.sh $(or $(N),50) tail

.PHONY: bench-resume
bench-resume: deps ## Time what is left of a run whose pod is lost after 70 % of its models, beside the whole run.
	hack/bench-resume.sh

.PHONY: bench-warm
bench-warm: deps ## Time a run of a project that ran before to its first node, beside dbt by hand with a warm target/ (N of each, 7).
	hack/bench-warm.sh $(N)

.PHONY: bench-runner
bench-runner: ## Time the runner's reading of events beside jq, and of a large manifest (EVENTS=1024 MB).
	go build -o $(BIN)/bench-runner ./test/bench/runner && $(BIN)/bench-runner -events $(or $(EVENTS),1024)

.PHONY: bench-schedules
bench-schedules: deps ## Time the runs of 5,000 schedules that tick in one minute (N schedules).
	hack/bench-plane.sh schedules $(N)

.PHONY: bench-coldstart
bench-coldstart: deps ## Time a manager's start, and read its memory, where 10,000 ended runs are (N runs).
	hack/bench-plane.sh coldstart $(N)

.PHONY: bench-throughput
bench-throughput: deps $(TOOLS)/kwok ## Count DbtRuns carried out a second beside bare Jobs, pods simulated (N=1000,5000 of each).
	hack/bench-plane.sh throughput $(N)

.PHONY: soak
soak: deps $(TOOLS)/kwok ## Create and delete runs for an hour while the manager is killed every two minutes (SOAK="-duration 1h -rate 8").
	hack/bench-plane.sh soak "" $(SOAK)

.PHONY: bench-journal
bench-journal: ## Send 10,000 node results to a collector that is killed ten times meanwhile, then 200 runs' at once.
	go build -o $(BIN)/bench-journal ./test/bench/journal && $(BIN)/bench-journal

##@ Cluster

.PHONY: cluster-up
cluster-up: deps ## Bring up the local cluster with the operator's and dbt's images in it.
	$(CLUSTER) up

.PHONY: cluster-down
cluster-down: ## Take the local cluster down; nothing of it is left behind.
	$(CLUSTER) down

.PHONY: cluster-status
cluster-status: ## Say what of the local cluster runs, and where.
	$(CLUSTER) status

.PHONY: deploy
deploy: ## Build the operator and install it into the local cluster, or update it there.
	hack/deploy.sh

.PHONY: undeploy
undeploy: ## Remove the operator, its CRDs, and with them all projects and runs, from the local cluster.
	eval "$$($(CLUSTER) env)" && kubectl delete --ignore-not-found -k config/local

.PHONY: install
install: ## Install the CRDs alone into the local cluster, for `make run`.
	eval "$$($(CLUSTER) env)" && kubectl apply -k config/crd

# With the policies in the cluster, the runs of schedules are refused: the manager is not the operator's account here.
.PHONY: run
run: install ## Run the manager here, against the local cluster (its Deployment must not run beside it).
	eval "$$($(CLUSTER) env)" && go run ./cmd/manager --runner-image=localhost/dbt-operator:dev --runner-delivery=image-volume --metrics-bind-address=0

##@ Check and generate

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Generate Go code from the API types.
	$(CONTROLLER_GEN) object paths=./api/...

.PHONY: manifests
manifests: $(CONTROLLER_GEN) ## Generate the CRDs, the operator's role, the rules of Prometheus, and what the chart takes over of config/.
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir=config/crd/bases
	$(CONTROLLER_GEN) rbac:roleName=dbt-operator-manager paths=./internal/controller/... paths=./internal/collector/... output:rbac:dir=config/rbac
	hack/prometheus-rules.sh
	hack/chart.sh files

.PHONY: api-docs
api-docs: $(CRD_REF_DOCS) ## Generate docs/reference/api.md from the API types.
	$(CRD_REF_DOCS) --log-level=ERROR --renderer=markdown --source-path=api \
		--config=hack/tools/crd-ref-docs/config.yaml --output-path=docs/reference/api.md

.PHONY: docs
docs: $(TOOLS)/hugo ## Build the site of docs/ into dist/site; a broken link or anchor fails.
	hack/site.sh

.PHONY: cli-docs
cli-docs: ## Generate docs/reference/cli.md from the commands of kubectl dbt.
	go run ./hack/cli-docs

.PHONY: fmt
fmt: ## Format the Go code.
	git ls-files -z '*.go' | xargs -0 gofmt -w

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run the linters: import rules, house rules, API conventions.
	$(GOLANGCI_LINT) run ./...

.PHONY: vulncheck
vulncheck: $(GOVULNCHECK) ## Look for known vulnerabilities in what is used (needs the Go vulnerability database's host).
	$(GOVULNCHECK) ./...

.PHONY: verify
verify: ## Check that generated files, formatting and rules are in order; leaves the tree clean.
	hack/verify.sh

##@ Tools

# Rebuilt when a pin changes.
$(TOOLS)/versitygw: hack/tools/versitygw/go.mod hack/tools/versitygw/go.sum
	hack/tool.sh versitygw

$(TOOLS)/cyclonedx-gomod: hack/tools/cyclonedx-gomod/go.mod hack/tools/cyclonedx-gomod/go.sum
	hack/tool.sh cyclonedx-gomod

$(TOOLS)/dex: hack/tools/dex/go.mod hack/tools/dex/go.sum
	hack/tool.sh dex

$(TOOLS)/prometheus: hack/tools/prometheus/go.mod hack/tools/prometheus/go.sum
	hack/tool.sh prometheus

$(TOOLS)/kwok: hack/tools/kwok/go.mod hack/tools/kwok/go.sum
	hack/tool.sh kwok

$(TOOLS)/hugo: hack/tools/hugo/go.mod hack/tools/hugo/go.sum
	hack/tool.sh hugo

$(TOOLS)/%: hack/tools/go.mod hack/tools/go.sum
	hack/tool.sh $*
