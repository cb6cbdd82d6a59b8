# The own cluster's commands, in the order in which things come up.

DAEMONS=(etcd apiserver controller-manager scheduler containerd kubelet proxy coredns postgres postgres-tokens)

own_running() {
	local name
	for name in "${DAEMONS[@]}"; do alive "$name" || return 1; done
	[[ -f $STATE/complete ]] && recall
}

up_own() {
	if own_up; then
		own_load "$@"
	else
		host_check
		lock_state
		if own_up; then own_load "$@"; else own_make "$@"; fi
	fi
	say "ready: eval \"\$(hack/cluster/cluster env)\""
}

own_up() {
	own_running && node_ready || return
	say "the cluster is up already (state in $STATE)"
}

own_make() {
	host_packages
	binaries_build
	host_refuse_second
	# Whatever an earlier cluster of this folder left when it was killed.
	[[ ! -e $STATE/choices ]] || say "cleaning up after an earlier cluster"
	own_clean
	own_start "$@"
}

own_start() {
	local begun=$SECONDS
	mkdir -p "$STATE/log"
	host_sysctls_keep
	host_network
	own_ports
	say "making certificates"
	pki_make
	say "starting etcd, containerd, PostgreSQL and the API server"
	etcd_start
	containerd_start
	postgres_start
	tokens_start
	apiserver_start
	cp "$STATE/pki/admin.kubeconfig" "$OUR_KUBECONFIG"
	chmod 600 "$OUR_KUBECONFIG"
	await containerd 30 containerd_ready
	# The sandbox image must be there before the kubelet's first pod; the others can come later.
	image_load pause
	own_load "$@" 9>&- &
	local loading=$!
	# When `up` fails, images must not go on into the cluster that the next `up` makes.
	# shellcheck disable=SC2064
	trap "kill $loading 2>/dev/null || true" EXIT
	await apiserver 120 kubectl_admin get --raw /readyz
	say "starting the controllers, kubelet, kube-proxy and CoreDNS"
	controllers_start
	kubelet_start
	proxy_start
	await apiserver 30 services_apply
	coredns_start
	await postgres 30 postgres_psql -d postgres -c 'select 1'
	postgres_prepare
	tokens_prepare
	await kubelet 90 node_ready
	await controller-manager 30 kubectl_admin -n default get serviceaccount default
	printf own >"$STATE/provider"
	touch "$STATE/complete"
	say "the cluster is up after $((SECONDS - begun)) s"
	wait "$loading" || fail "the cluster is up, but an image could not be built or loaded; mend that, then: hack/cluster/cluster load"
	trap - EXIT
}

# own_ports chooses a free port for each listener.
own_ports() {
	remember APISERVER_PORT "$(free_port "$HOST_IP" 6443)"
	remember KUBELET_PORT "$(free_port "$HOST_IP" 10250)"
	remember POSTGRES_PORT "$(free_port "$HOST_IP" 15432)"
	remember TOKENS_PORT "$(free_port "$HOST_IP" $((POSTGRES_PORT + 1)))"
	remember DNS_PORT "$(free_port "$HOST_IP" 10053)"
	remember ETCD_PORT "$(free_port 127.0.0.1 12379)"
	remember ETCD_PEER_PORT "$(free_port 127.0.0.1 $((ETCD_PORT + 1)))"
	remember KUBELET_HEALTH_PORT "$(free_port 127.0.0.1 10248)"
	remember PROXY_METRICS_PORT "$(free_port 127.0.0.1 $((KUBELET_HEALTH_PORT + 1)))"
	remember PROXY_HEALTH_PORT "$(free_port 127.0.0.1 10256)"
	remember CONTROLLER_MANAGER_PORT "$(free_port 127.0.0.1 $((PROXY_HEALTH_PORT + 1)))"
	remember SCHEDULER_PORT "$(free_port 127.0.0.1 $((CONTROLLER_MANAGER_PORT + 2)))"
}

down_own() {
	host_check
	[[ -d $STATE ]] || {
		say "there is no cluster in $STATE"
		return 0
	}
	lock_state
	say "taking the cluster down"
	own_clean
	rm -rf --one-file-system "$STATE"
	say "it is down; nothing of it is left"
}

status_own() {
	local name pid ok=0
	if [[ ! -f $STATE/choices ]]; then
		echo "no cluster in $STATE"
		return 1
	fi
	recall
	for name in "${DAEMONS[@]}"; do
		if alive "$name"; then
			read -r pid _ <"$STATE/run/$name.pid"
			printf '%-20s running  pid %s\n' "$name" "$pid"
		else
			printf '%-20s stopped  see: hack/cluster/cluster logs %s\n' "$name" "$name"
			ok=1
		fi
	done
	printf '%-20s %s\n' "API server" "https://$HOST_IP:$APISERVER_PORT" PostgreSQL "$HOST_IP:$POSTGRES_PORT, in the cluster postgres.warehouse.svc:5432 (dbt/dbt, database warehouse)" \
		"PostgreSQL, tokens" "$HOST_IP:$TOKENS_PORT, in the cluster postgres-tokens.warehouse.svc:5432 (role shop for granted accounts, audience $TOKEN_AUDIENCE)" \
		kubeconfig "$OUR_KUBECONFIG"
	kubectl_admin get nodes || ok=1
	return $ok
}

load_own() {
	own_running || fail "the cluster is not up; start it with: hack/cluster/cluster up"
	own_load "$@"
}

# own_load builds and loads the named images, or all of them; what is loaded already costs nothing.
own_load() {
	local name
	[[ $# -gt 0 ]] || set -- "${IMAGES[@]}"
	for name in "$@"; do image_load "$name"; done
}

logs_own() {
	local name=${1:-}
	if [[ -z $name ]]; then
		(cd "$STATE/log" 2>/dev/null && ls -1 -- *.log | sed 's/\.log$//') || fail "there are no logs in $STATE/log"
		return
	fi
	[[ -f $STATE/log/$name.log ]] || fail "no part '$name'; the parts are: $(logs_own | tr '\n' ' ')"
	tail -n "${2:-50}" "$STATE/log/$name.log"
}

env_own() {
	[[ -f $STATE/choices ]] || fail "no cluster in $STATE; start it with: hack/cluster/cluster up"
	recall
	printf 'export KUBECONFIG=%q\n' "$OUR_KUBECONFIG"
	printf 'export PATH=%q:"$PATH"\n' "$BIN"
	printf 'export CLUSTER_POSTGRES=%q\n' "$HOST_IP:$POSTGRES_PORT"
	printf 'export CLUSTER_POSTGRES_TOKENS=%q\n' "$HOST_IP:$TOKENS_PORT"
}

images_own() { images_build "$@"; }

# restart_own ends a part as a crash would and starts it again. What runs in pods is not touched.
restart_own() {
	[[ ${1:-} == kubelet ]] || fail "restart: found '${1:-}', want kubelet"
	own_running || fail "the cluster is not up"
	stop kubelet KILL 5
	kubelet_start
	await kubelet 90 node_ready
}
