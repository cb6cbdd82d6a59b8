# Taking the own cluster down, in whatever state it is: whole, half made, or killed. Everything is found by pid file, by
# the cluster's own cgroup or below its own folder; nothing is ever looked for by its name.

own_clean() {
	recall
	# All state goes, so nothing needs a slow farewell but the database's and containerd's sockets and mounts. The kubelet
	# first, so that it starts nothing again.
	local name
	for name in kubelet apiserver controller-manager scheduler proxy coredns etcd; do stop "$name" KILL 5; done
	cgroup_kill
	stop containerd TERM 10
	shims_remove
	cgroup_remove
	stop postgres INT 10
	stop postgres-tokens INT 10
	rm -f "$(pam_service)"
	mounts_remove
	network_remove
	host_sysctls_restore
	local leftover
	# Links that the kubelet makes outside its folder.
	for leftover in /var/log/containers/*; do
		[[ $(readlink "$leftover" 2>/dev/null) != "$STATE"/* ]] || rm -f "$leftover"
	done
	rmdir /var/log/containers 2>/dev/null || true
	# The kubelet's socket for device plugins has a fixed place; it is left where another kubelet listens on it.
	if [[ -f $STATE/kubelet.yaml ]] && ! ss -Hxl | grep -qF /var/lib/kubelet/device-plugins/kubelet.sock; then
		rm -f /var/lib/kubelet/device-plugins/kubelet.sock
		rmdir /var/lib/kubelet/device-plugins /var/lib/kubelet 2>/dev/null || true
	fi
	find "$STATE" -mindepth 1 -maxdepth 1 ! -name lock ! -name log -exec rm -rf --one-file-system {} +
	rm -f "$STATE"/log/*.log
}

# shims_remove ends containerd's shims, which outlive it: those of our binary whose -address is our socket.
shims_remove() {
	local dir pid
	for dir in /proc/[0-9]*; do
		pid=${dir#/proc/}
		[[ $(readlink "$dir/exe" 2>/dev/null) == "$BIN/containerd-shim-runc-v2"* ]] || continue
		tr '\0' '\n' <"$dir/cmdline" 2>/dev/null | grep -qxF -- "$STATE/containerd/grpc.sock" || continue
		kill -KILL "$pid" 2>/dev/null || true
	done
}

# mounts_remove unmounts everything below our folders, the deepest first, until nothing is left.
mounts_remove() {
	local point
	for _ in 1 2 3; do
		while read -r point; do
			umount "$point" 2>/dev/null || umount -l "$point" 2>/dev/null || true
		done < <(awk -v a="$STATE/" -v b="$PG_RUN/" 'index($5, a) == 1 || index($5, b) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
	done
	! awk -v a="$STATE/" 'index($5, a) == 1 { found = 1 } END { exit !found }' /proc/self/mountinfo ||
		fail "something below $STATE is still mounted and in use; see: grep $STATE /proc/self/mountinfo"
	rm -rf --one-file-system "$PG_RUN" "$SHIM_RUN"
}

network_remove() {
	local family
	nft delete table ip "dbt-operator-$MARK" 2>/dev/null || true
	# The kube-proxy tables are ours only if we started one.
	if [[ -f $STATE/proxy.yaml ]]; then
		for family in ip ip6; do nft delete table "$family" kube-proxy 2>/dev/null || true; done
	fi
	if ip -o link show cbr0 2>/dev/null | grep -qF "alias dbt-operator-cluster:$STATE"; then ip link del cbr0; fi
	rm -f /var/lib/cni/results/"dbt-operator-$MARK"-*
	rmdir /var/lib/cni/results /var/lib/cni 2>/dev/null || true
}
