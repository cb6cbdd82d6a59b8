# The node: containerd, the pod network, kubelet and kube-proxy, as processes of the host.

NODE=node-1
# containerd allows its shims' sockets a folder of 42 characters at most, so it cannot lie in a checkout of any depth.
SHIM_RUN=/run/dbt-operator-shim-$MARK

containerd_start() {
	mkdir -p "$STATE/containerd" "$SHIM_RUN"
	cat >"$STATE/containerd/config.toml" <<-T
		version = 4
		root = "$STATE/containerd/root"
		state = "$STATE/containerd/state"
		imports = []
		disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.image-verifier.v1.bindir"]

		[plugins."io.containerd.server.v1.grpc"]
		  address = "$STATE/containerd/grpc.sock"
		[plugins."io.containerd.server.v1.ttrpc"]
		  address = "$STATE/containerd/ttrpc.sock"
		[plugins."io.containerd.internal.v1.opt"]
		  path = "$STATE/containerd/opt"
		[plugins."io.containerd.shim.v1.manager"]
		  socket_dir = "$SHIM_RUN"
		[plugins."io.containerd.cri.v1.images".pinned_images]
		  sandbox = "localhost/pause:1"
		[plugins."io.containerd.cri.v1.runtime"]
		  disable_apparmor = true
		  restrict_oom_score_adj = true
		  netns_mounts_under_state_dir = true
		  cdi_spec_dirs = []
		[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
		  runtime_type = "io.containerd.runc.v2"
		  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
		    Root = "$STATE/containerd/runc"
		    SystemdCgroup = false
		[plugins."io.containerd.cri.v1.runtime".cni]
		  bin_dirs = ["/usr/lib/cni"]
		  conf_dir = "$STATE/cni"
		  use_internal_loopback = true
	T
	mkdir -p "$STATE/cni"
	# Masquerading is done by our own nftables table (host.sh); the plugin would write into the host's iptables.
	cat >"$STATE/cni/10-bridge.conflist" <<-T
		{"cniVersion": "1.0.0", "name": "dbt-operator-$MARK", "plugins": [
		  {"type": "bridge", "bridge": "cbr0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
		   "ipam": {"type": "host-local", "dataDir": "$STATE/cni/ipam", "routes": [{"dst": "0.0.0.0/0"}],
		            "ranges": [[{"subnet": "$SUBNET", "gateway": "$HOST_IP"}]]}}]}
	T
	PATH=$BIN:$PATH daemon containerd "$BIN/containerd" --config "$STATE/containerd/config.toml"
}

# containerd_ready says that containerd serves the kubelet: it answers also when the part for that could not be loaded.
containerd_ready() { "$BIN/ctr" --address "$STATE/containerd/grpc.sock" plugins ls | grep -Eq '^io\.containerd\.grpc\.v1 +cri .* ok *$'; }

# ctr_k8s is ctr on the images and containers that the kubelet sees.
ctr_k8s() { "$BIN/ctr" --address "$STATE/containerd/grpc.sock" --namespace k8s.io "$@"; }

# kubelet_disk gives the kubelet's folder a file system as nodes have, where the machine's is ext4 without a journal. Such a one
# walks, for each new file, over all that were deleted in the last minutes (recently_deleted in fs/ext4/ialloc.c), and pods make
# and delete many: 500 files took 0.25 s there, and 0.013 s with a journal.
kubelet_disk() {
	local device image=$STATE/kubelet.ext4
	mkdir -p "$STATE/kubelet"
	if mountpoint -q "$STATE/kubelet" || [[ $(stat -f -c %T "$STATE/kubelet") != ext2/ext3 ]]; then return; fi
	device=$(basename "$(readlink -f "/sys/dev/block/$(findmnt -n -o MAJ:MIN -T "$STATE/kubelet")")")
	if compgen -G "/proc/fs/jbd2/$device-*" >/dev/null; then return; fi
	# It takes the room of what is in it.
	truncate -s 32G "$image"
	if ! { mkfs.ext4 -q -F -J size=32 "$image" && mount -o loop,noinit_itable "$image" "$STATE/kubelet"; } >"$STATE/log/kubelet-disk.log" 2>&1; then
		rm -f "$image"
		say "the pods' folders stay on a file system without a journal, which is slow: $(tail -n 1 "$STATE/log/kubelet-disk.log")"
	fi
}

kubelet_start() {
	cgroup_make
	kubelet_disk
	cat >"$STATE/kubelet.yaml" <<-T
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		address: $HOST_IP
		port: $KUBELET_PORT
		healthzBindAddress: 127.0.0.1
		healthzPort: $KUBELET_HEALTH_PORT
		authentication:
		  anonymous: {enabled: false}
		  webhook: {enabled: true}
		  x509: {clientCAFile: $STATE/pki/ca.crt}
		authorization: {mode: Webhook}
		tlsCertFile: $STATE/pki/kubelet-serving.crt
		tlsPrivateKeyFile: $STATE/pki/kubelet-serving.key
		containerRuntimeEndpoint: unix://$STATE/containerd/grpc.sock
		cgroupDriver: cgroupfs
		cgroupRoot: /$CGROUP
		failCgroupV1: false
		failSwapOn: false
		makeIPTablesUtilChains: false
		podLogsDir: $STATE/podlogs
		volumePluginDir: $STATE/kubelet/volume-plugins
		clusterDomain: cluster.local
		clusterDNS: [10.96.0.10]
		maxPods: 200
		syncFrequency: 10s
		imageGCHighThresholdPercent: 100
		evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
	T
	daemon kubelet "$BIN/kubelet" --config "$STATE/kubelet.yaml" --kubeconfig "$STATE/pki/kubelet.kubeconfig" \
		--hostname-override "$NODE" --node-ip "$HOST_IP" --root-dir "$STATE/kubelet" --cert-dir "$STATE/pki" --oom-score-adj 0
}

proxy_start() {
	cat >"$STATE/proxy.yaml" <<-T
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		mode: nftables
		clientConnection: {kubeconfig: $STATE/pki/proxy.kubeconfig}
		hostnameOverride: $NODE
		clusterCIDR: $SUBNET
		healthzBindAddress: 127.0.0.1:$PROXY_HEALTH_PORT
		metricsBindAddress: 127.0.0.1:$PROXY_METRICS_PORT
		nodePortAddresses: [$HOST_IP/32]
		nftables: {masqueradeAll: $MASQUERADE_ALL}
		# Zero leaves the machine's own limits as they are.
		conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
	T
	daemon proxy "$BIN/kube-proxy" --config "$STATE/proxy.yaml"
}

node_ready() {
	[[ $(kubectl_admin get node "$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]
}
