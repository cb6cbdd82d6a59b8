# What the cluster offers its pods: names (CoreDNS) and a warehouse (PostgreSQL). Both run on the host, bound to the
# bridge's address, behind Services without a selector, so that neither needs an image. tokens.sh has a second warehouse.

coredns_start() {
	cat >"$STATE/Corefile" <<-T
		.:$DNS_PORT {
		  bind $HOST_IP
		  errors
		  kubernetes cluster.local in-addr.arpa ip6.arpa {
		    kubeconfig $STATE/pki/coredns.kubeconfig
		    ttl 5
		  }
		  forward . /etc/resolv.conf
		  cache 5
		}
	T
	daemon coredns "$BIN/coredns" -conf "$STATE/Corefile"
}

# services_apply makes the namespace, the Services and the addresses behind them, and volumes.
services_apply() {
	mkdir -p "$STATE"/volumes/{1,2,3,4}
	sed -e "s/HOST_IP/$HOST_IP/; s/DNS_PORT/$DNS_PORT/; s/POSTGRES_PORT/$POSTGRES_PORT/; s/TOKENS_PORT/$TOKENS_PORT/; s|VOLUMES|$STATE/volumes|" "$HACK_CLUSTER/manifests/own.yaml" |
		kubectl_admin apply --server-side -f - >>"$STATE/log/kubectl.log"
}

# --- PostgreSQL 15 ------------------------------------------------------------------------------------------------

PG_RUN=/run/dbt-operator-$MARK

pg_bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1; }

postgres_start() {
	local bin
	bin=$(pg_bin)
	[[ -x $bin/postgres ]] || fail "no PostgreSQL server below /usr/lib/postgresql; install the package postgresql"
	# The user postgres may not reach the checkout (below /root, say), so it gets the data folder at a place it can.
	mkdir -p "$STATE/postgres" "$PG_RUN/data"
	mount --bind "$STATE/postgres" "$PG_RUN/data"
	chown postgres: "$PG_RUN" "$PG_RUN/data"
	chmod 755 "$PG_RUN"
	if [[ ! -f $STATE/postgres/PG_VERSION ]]; then
		quietly "$STATE/log/initdb.log" runuser -u postgres -- "$bin/initdb" -D "$PG_RUN/data" -U postgres \
			--encoding UTF8 --locale C.UTF-8 --auth-local trust --auth-host scram-sha-256 --no-sync
		echo "host all all ${SUBNET%.0/24}.0/24 scram-sha-256" >>"$STATE/postgres/pg_hba.conf"
	fi
	DAEMON_EXE=$bin/postgres daemon postgres setpriv --reuid postgres --regid postgres --init-groups "$bin/postgres" -D "$PG_RUN/data" \
		-c "listen_addresses=$HOST_IP" -c "port=$POSTGRES_PORT" -c "unix_socket_directories=$PG_RUN" \
		-c fsync=off -c full_page_writes=off -c max_connections=300 -c shared_buffers=128MB
}

# postgres_psql runs psql as the superuser, over the socket.
postgres_psql() { runuser -u postgres -- psql -h "$PG_RUN" -p "$POSTGRES_PORT" -v ON_ERROR_STOP=1 -X -q -A -t "$@"; }

postgres_prepare() {
	[[ -z $(postgres_psql -d postgres -c "select 1 from pg_database where datname = 'warehouse'") ]] || return 0
	# A superuser: end-to-end tests look at other sessions and end them.
	postgres_psql -d postgres -c "create role dbt superuser login password 'dbt'" -c "create database warehouse owner dbt"
}
