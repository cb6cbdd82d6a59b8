# What an own cluster needs of the machine: root, Debian packages, an address range, kernel settings given back later.

PACKAGES=(debootstrap containernetworking-plugins nftables conntrack iptables iproute2 e2fsprogs runc postgresql openssl ca-certificates gcc libc6-dev libpam0g-dev)

# host_check says no early, with the remedy, where an own cluster cannot be had.
host_check() {
	[[ $(uname -s) == Linux ]] || fail "an own cluster needs Linux; here, start a Docker engine (kind is used then) or set KUBECONFIG"
	[[ $(id -u) == 0 ]] || fail "an own cluster needs root; run as root, start a Docker engine (kind is used then) or set KUBECONFIG"
	[[ $STATE != *[[:space:]]* ]] || fail "CLUSTER_DIR is '$STATE'; choose one without blanks"
	((${#STATE} <= 70)) || fail "CLUSTER_DIR is $STATE, ${#STATE} characters; sockets below it allow 70 at most, so choose a shorter one"
}

# host_packages installs what is missing, where that can be done.
host_packages() {
	local missing=() package
	for package in "${PACKAGES[@]}"; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
	done
	((${#missing[@]})) || return 0
	command -v apt-get >/dev/null || fail "these packages are missing and there is no apt-get to install them: ${missing[*]}"
	say "installing ${missing[*]}"
	quietly "$STATE/log/apt.log" apt-get update -q
	# Debian starts a database cluster of its own as it installs postgresql; ours is another, and the machine needs none.
	mkdir -p /etc/postgresql-common
	[[ -e /etc/postgresql-common/createcluster.conf ]] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
	DEBIAN_FRONTEND=noninteractive quietly "$STATE/log/apt.log" apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# host_refuse_second stops where another checkout's cluster is up on this machine, and cleans up after one that died.
host_refuse_second() {
	local other
	other=$( (ip -o link show cbr0 2>/dev/null || true) | sed -n 's/.*alias dbt-operator-cluster:\([^ ]*\).*/\1/p')
	if [[ -z $other ]]; then
		! ip link show cbr0 >/dev/null 2>&1 || fail "there is a network device cbr0 that is not ours; remove it (ip link del cbr0) or use a machine of its own"
	elif [[ $other != "$STATE" ]]; then
		if alive apiserver "$other" || alive kubelet "$other"; then
			fail "another cluster is up, with its state in $other; take it down first: CLUSTER_PROVIDER=own CLUSTER_DIR=$other hack/cluster/cluster down"
		fi
		say "cleaning up after a dead cluster in $other"
		CLUSTER_PROVIDER=own CLUSTER_DIR=$other "$HACK_CLUSTER/cluster" down
	fi
}

# host_network chooses an address range that nothing here uses, and makes the bridge of it.
host_network() {
	local n subnet=""
	for n in $(seq 88 127); do
		ip -4 -o addr show | grep -q "inet 10\.$n\." && continue
		ip -4 route show | grep -q "^10\.$n\." && continue
		subnet=10.$n
		break
	done
	[[ -n $subnet ]] || fail "no free address range among 10.88.0.0/16 to 10.127.0.0/16"
	remember SUBNET "$subnet.0.0/24"
	remember HOST_IP "$subnet.0.1"
	ip link add cbr0 type bridge
	ip link set cbr0 alias "dbt-operator-cluster:$STATE"
	ip addr add "$HOST_IP/24" dev cbr0
	ip link set cbr0 up
	# Between two pods of one bridge a Service's answer passes the address translation only with this.
	modprobe br_netfilter 2>/dev/null || true
	if ip link set cbr0 type bridge nf_call_iptables 1 2>/dev/null && [[ -d /proc/sys/net/bridge ]]; then
		remember MASQUERADE_ALL false
	else
		remember MASQUERADE_ALL true
	fi
	# One table of our own for what leaves the cluster: the host's own rules are not touched.
	nft -f - <<-T
		table ip dbt-operator-$MARK {
			chain postrouting {
				type nat hook postrouting priority srcnat; policy accept;
				ip saddr $SUBNET ip daddr != $SUBNET oifname != "cbr0" masquerade
			}
		}
	T
}

# Settings of the kernel that the cluster or its kubelet changes.
SYSCTLS=(net.ipv4.ip_forward vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes)

host_sysctls_keep() {
	# After a cluster that was killed the file is there, and says what the machine had before that one.
	if [[ ! -f $STATE/sysctls ]]; then
		sysctl "${SYSCTLS[@]}" >"$STATE/sysctls.new" 2>/dev/null || true
		mv "$STATE/sysctls.new" "$STATE/sysctls"
	fi
	sysctl -q -w net.ipv4.ip_forward=1
}

host_sysctls_restore() {
	[[ ! -f $STATE/sysctls ]] || sysctl -q -p "$STATE/sysctls" >/dev/null 2>&1 || true
	rm -f "$STATE/sysctls"
}

# --- cgroups: everything of the cluster lives below one group, so its processes are known exactly -----------------

CGROUP=dbt-operator-$MARK

# cgroup_roots prints the folders of all hierarchies, of version 1 and 2: the kubelet uses whichever are there.
cgroup_roots() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts; }

cgroup_make() {
	local root controller
	for root in $(cgroup_roots); do
		# Where version 2 is the one in use, a child has the controllers that its parent hands down.
		if [[ $root == /sys/fs/cgroup && -f $root/cgroup.subtree_control ]]; then
			for controller in $(cat "$root/cgroup.controllers"); do
				echo "+$controller" >"$root/cgroup.subtree_control" 2>/dev/null || true
			done
		fi
		mkdir -p "$root/$CGROUP"
		# A new cpuset of version 1 starts empty and holds no process until it is filled.
		if [[ -f $root/$CGROUP/cpuset.cpus && ! -f $root/cgroup.controllers ]]; then
			cat "$root/cpuset.cpus" >"$root/$CGROUP/cpuset.cpus"
			cat "$root/cpuset.mems" >"$root/$CGROUP/cpuset.mems"
		fi
	done
}

cgroup_pids() {
	local root
	for root in $(cgroup_roots); do
		[[ ! -d $root/$CGROUP ]] || find "$root/$CGROUP" -name cgroup.procs -exec cat {} + 2>/dev/null
	done | sort -un
}

# cgroup_kill ends every process in the group: those of all pods.
cgroup_kill() {
	local pids pid i
	for ((i = 0; i < 100; i++)); do
		pids=$(cgroup_pids)
		[[ -n $pids ]] || return 0
		for pid in $pids; do kill -KILL "$pid" 2>/dev/null || true; done
		sleep 0.05
	done
}

cgroup_remove() {
	local root
	cgroup_kill
	for root in $(cgroup_roots); do
		[[ ! -d $root/$CGROUP ]] || find "$root/$CGROUP" -depth -type d -exec rmdir {} \; 2>/dev/null || true
	done
}
