# kind, where a Docker engine answers; and somebody's own cluster, where KUBECONFIG points at one.

KIND_VERSION=v0.33.0
KIND_NAME=dbt-operator

kind_run() {
	local kind
	kind=$(command -v kind || printf %s "$ROOT/bin/kind")
	if [[ ! -x $kind ]]; then
		say "installing kind $KIND_VERSION"
		GOBIN=$ROOT/bin CGO_ENABLED=0 quietly "$ROOT/bin/log/kind.log" go install "sigs.k8s.io/kind@$KIND_VERSION"
	fi
	"$kind" "$@"
}

# kubectl_any is a kubectl, whether the machine has one or not.
kubectl_any() {
	local kubectl
	kubectl=$(command -v kubectl || printf %s "$BIN/kubectl")
	if [[ ! -x $kubectl ]]; then
		mkdir -p "$BIN"
		binary kubernetes kubectl k8s.io/kubernetes/cmd/kubectl
	fi
	"$kubectl" "$@"
}

up_kind() {
	mkdir -p "$STATE/log"
	if ! kind_run get clusters 2>/dev/null | grep -qx "$KIND_NAME"; then
		say "creating the kind cluster $KIND_NAME"
		quietly "$STATE/log/kind.log" kind_run create cluster --name "$KIND_NAME" --kubeconfig "$OUR_KUBECONFIG" --wait 120s
	fi
	kind_run get kubeconfig --name "$KIND_NAME" >"$OUR_KUBECONFIG"
	chmod 600 "$OUR_KUBECONFIG"
	printf kind >"$STATE/provider"
	kubectl_any --kubeconfig "$OUR_KUBECONFIG" apply --server-side -f "$HACK_CLUSTER/manifests/kind.yaml" >>"$STATE/log/kubectl.log"
	load_kind "$@"
	quietly "$STATE/log/kubectl.log" kubectl_any --kubeconfig "$OUR_KUBECONFIG" -n warehouse rollout status deployment/postgres --timeout 180s
	say "ready: eval \"\$(hack/cluster/cluster env)\""
}

down_kind() {
	quietly "$ROOT/bin/log/kind.log" kind_run delete cluster --name "$KIND_NAME" --kubeconfig "$OUR_KUBECONFIG"
	rm -rf --one-file-system "$STATE"
	say "the kind cluster $KIND_NAME is gone"
}

status_kind() { kubectl_any --kubeconfig "$OUR_KUBECONFIG" get nodes -o wide; }

images_kind() {
	local name
	[[ $# -gt 0 ]] || set -- "${IMAGES[@]}"
	for name in "$@"; do
		say "building the image $(image_ref "$name")"
		if [[ $name == operator ]]; then
			quietly "$STATE/log/images.log" docker build -q -t "$(image_ref "$name")" "$ROOT"
		else
			quietly "$STATE/log/images.log" docker build -q -t "$(image_ref "$name")" --target "${name%%.*}" \
				--build-arg "NAME=$name" -f "$HACK_CLUSTER/images/Dockerfile" "$HACK_CLUSTER/images"
		fi
	done
}

load_kind() {
	local name
	[[ $# -gt 0 ]] || set -- "${IMAGES[@]}"
	images_kind "$@"
	for name in "$@"; do
		quietly "$STATE/log/images.log" kind_run load docker-image --name "$KIND_NAME" "$(image_ref "$name")"
	done
}

bake_kind() {
	[[ $# -ge 3 ]] || fail "usage: cluster bake TAG BASE SRC=DST…"
	local tag=localhost/$1 context spec n=0
	context=$(mktemp -d)
	printf 'FROM %s\n' "$(image_ref "$2")" >"$context/Dockerfile"
	shift 2
	for spec in "$@"; do
		n=$((n + 1))
		cp -r "${spec%%=*}" "$context/$n"
		printf 'COPY %s %s\n' "$n" "${spec#*=}" >>"$context/Dockerfile"
	done
	quietly "$STATE/log/images.log" docker build -q -t "$tag" "$context"
	rm -rf "$context"
	quietly "$STATE/log/images.log" kind_run load docker-image --name "$KIND_NAME" "$tag"
}

logs_kind() { docker exec "$KIND_NAME-control-plane" journalctl -u "${1:-kubelet}" -n "${2:-50}" --no-pager; }

env_kind() {
	[[ -f $OUR_KUBECONFIG ]] || fail "no cluster; start it with: hack/cluster/cluster up"
	printf 'export KUBECONFIG=%q\n' "$OUR_KUBECONFIG"
}

# --- somebody else's cluster: used, never changed ------------------------------------------------------------------

up_external() {
	[[ -n ${KUBECONFIG:-} ]] || fail "CLUSTER_PROVIDER is external, but KUBECONFIG is not set"
	local answer
	answer=$(kubectl_any get --raw /readyz --request-timeout 15s 2>&1) ||
		fail "the cluster of KUBECONFIG=$KUBECONFIG cannot be reached: $answer"
	say "using the cluster of KUBECONFIG=$KUBECONFIG; images are yours to provide"
}
down_external() { say "the cluster of KUBECONFIG=${KUBECONFIG:-} is not ours; nothing was done"; }
status_external() { kubectl_any get nodes; }
load_external() { fail "the cluster of KUBECONFIG=${KUBECONFIG:-} is not ours; push the images to a registry that it can reach"; }
images_external() { images_build "$@"; }
bake_external() { load_external; }
logs_external() { fail "the cluster of KUBECONFIG=${KUBECONFIG:-} is not ours; its logs are not here"; }
env_external() { printf 'export KUBECONFIG=%q\n' "$KUBECONFIG"; }
restart_kind() { fail "restart: only a cluster of its own has parts that can be restarted"; }
restart_external() { fail "restart: only a cluster of its own has parts that can be restarted"; }
grant_kind() { fail "grant: only a cluster of its own has a PostgreSQL that takes tokens"; }
grant_external() { fail "grant: only a cluster of its own has a PostgreSQL that takes tokens"; }
