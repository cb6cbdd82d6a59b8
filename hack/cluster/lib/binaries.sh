# The cluster's binaries, built from Go modules at the versions that pins/ names.

KUBERNETES_COMMANDS=(kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet kube-proxy)
CONTAINERD_COMMANDS=(containerd containerd-shim-runc-v2 ctr)

# binaries_build makes what is missing or older than its pins. Cold it takes about 8 minutes on two cores.
binaries_build() {
	mkdir -p "$BIN"
	local version name
	version=$(pinned kubernetes k8s.io/kubernetes)
	local ldflags="-s -w -X k8s.io/component-base/version.gitVersion=$version"
	ldflags+=" -X k8s.io/component-base/version.gitMajor=$(cut -d. -f1 <<<"${version#v}")"
	ldflags+=" -X k8s.io/component-base/version.gitMinor=$(cut -d. -f2 <<<"$version")"
	for name in "${KUBERNETES_COMMANDS[@]}"; do
		binary kubernetes "$name" "k8s.io/kubernetes/cmd/$name" "$ldflags"
	done
	binary etcd etcd go.etcd.io/etcd/server/v3
	for name in "${CONTAINERD_COMMANDS[@]}"; do
		binary containerd "$name" "github.com/containerd/containerd/v2/cmd/$name"
	done
	binary coredns coredns github.com/coredns/coredns
}

# pinned prints the version of module $2 in pins/$1.
pinned() { awk -v module="$2" '$1 == module { print $2; exit } $2 == module { print $3; exit }' "$HACK_CLUSTER/pins/$1/go.mod"; }

# binary builds one command of the pins module $1 unless a build of just these pins is there.
binary() {
	local pins=$HACK_CLUSTER/pins/$1 name=$2 package=$3 ldflags=${4:--s -w} key
	key=$(cat "$pins/go.mod" "$pins/go.sum" <(printf %s "$ldflags") | sha256sum | cut -c1-16)
	[[ -x $BIN/$name && $(cat "$BIN/.$name.key" 2>/dev/null) == "$key" ]] && return
	say "building $name"
	(cd "$pins" && CGO_ENABLED=0 quietly "$ROOT/bin/log/$name.log" \
		go build -trimpath -ldflags "$ldflags" -o "$BIN/$name" "$package")
	printf %s "$key" >"$BIN/.$name.key"
}
