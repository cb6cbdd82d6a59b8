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
FUZZTIME  ?= 10s

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

##@ Build

.PHONY: build
build: ## Build the operator's binaries into bin/.
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/...

##@ Test

.PHONY: test
test: deps $(GOTESTSUM) ## Run every test there is, level by level, and print one summary.
	hack/test.sh unit

.PHONY: test-unit
test-unit: $(GOTESTSUM) ## Run the unit tests and the import rules (seconds).
	hack/test.sh unit

##@ Check and generate

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Generate Go code from the API types.
	$(CONTROLLER_GEN) object paths=./api/...

.PHONY: manifests
manifests: $(CONTROLLER_GEN) ## Generate the CRDs and the operator's role.
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir=config/crd/bases
	$(CONTROLLER_GEN) rbac:roleName=dbt-operator-manager paths=./internal/controller/... output:rbac:dir=config/rbac

.PHONY: api-docs
api-docs: $(CRD_REF_DOCS) ## Generate docs/reference/api.md from the API types.
	$(CRD_REF_DOCS) --log-level=ERROR --renderer=markdown --source-path=api \
		--config=hack/tools/crd-ref-docs/config.yaml --output-path=docs/reference/api.md

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
$(TOOLS)/%: hack/tools/go.mod hack/tools/go.sum
	hack/tool.sh $*
