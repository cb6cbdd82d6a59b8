# A second PostgreSQL, whose only login over the network is the token of a pod's ServiceAccount: PAM asks test/pgtoken,
# which holds the token against the API server's keys and a list of grants. No role in it has a password.

TOKEN_AUDIENCE=postgres.warehouse

# pgtoken_build makes the PAM module and the verifier, where the user postgres and its backends can load them.
pgtoken_build() {
	mkdir -p "$STATE/pgtoken"
	quietly "$STATE/log/pgtoken.log" cc -shared -fPIC -Wall -Wextra -Werror -O2 -o "$STATE/pgtoken/pam_pgtoken.so" \
		"$ROOT/test/pgtoken/pam/pam_pgtoken.c" -lpam
	(cd "$ROOT" && CGO_ENABLED=0 quietly "$STATE/log/pgtoken.log" go build -trimpath -o "$STATE/pgtoken/pgtoken" ./test/pgtoken/cmd/pgtoken)
	printf '# NAMESPACE/SERVICEACCOUNT ROLE\n' >"$STATE/pgtoken/grants"
	# Until the API server has said its keys there are none.
	printf '{"keys":[]}\n' >"$STATE/pgtoken/jwks.json"
	chmod 755 "$STATE/pgtoken"
	chmod 644 "$STATE/pgtoken"/{grants,jwks.json}
	# Not copied to /run: that may be mounted so that nothing in it can be run.
	mkdir -p "$PG_RUN/pgtoken"
	mount --bind "$STATE/pgtoken" "$PG_RUN/pgtoken"
}

# pam_service is the file in which PAM looks for the service that pg_hba.conf names. It knows no other place.
pam_service() { printf /etc/pam.d/dbt-operator-%s "$MARK"; }

# tokens_start follows postgres_start, which makes the folder of the sockets.
tokens_start() {
	local bin tools=$PG_RUN/pgtoken
	bin=$(pg_bin)
	pgtoken_build
	cat >"$(pam_service)" <<-T
		auth required $tools/pam_pgtoken.so $tools/pgtoken -jwks $tools/jwks.json -issuer https://kubernetes.default.svc -audience $TOKEN_AUDIENCE -grants $tools/grants
		account required $tools/pam_pgtoken.so
	T
	mkdir -p "$STATE/postgres-tokens" "$PG_RUN/tokens"
	mount --bind "$STATE/postgres-tokens" "$PG_RUN/tokens"
	chown postgres: "$PG_RUN/tokens"
	quietly "$STATE/log/initdb.log" runuser -u postgres -- "$bin/initdb" -D "$PG_RUN/tokens" -U postgres \
		--encoding UTF8 --locale C.UTF-8 --auth-local trust --auth-host reject --no-sync
	install -o postgres -m 600 "$STATE/pki/postgres-tokens.key" "$PG_RUN/tokens/server.key"
	install -o postgres -m 644 "$STATE/pki/postgres-tokens.crt" "$PG_RUN/tokens/server.crt"
	# A token is a password in clear: it goes through TLS or not at all.
	cat >"$PG_RUN/tokens/pg_hba.conf" <<-T
		local   all all trust
		hostssl all all ${SUBNET%.0/24}.0/24 pam pamservice=$(basename "$(pam_service)")
	T
	DAEMON_EXE=$bin/postgres daemon postgres-tokens setpriv --reuid postgres --regid postgres --init-groups "$bin/postgres" -D "$PG_RUN/tokens" \
		-c "listen_addresses=$HOST_IP" -c "port=$TOKENS_PORT" -c "unix_socket_directories=$PG_RUN" \
		-c ssl=on -c ssl_cert_file=server.crt -c ssl_key_file=server.key \
		-c log_connections=on -c "log_line_prefix=%m [%p] %a " \
		-c fsync=off -c full_page_writes=off -c max_connections=100 -c shared_buffers=32MB
}

# tokens_prepare learns the API server's keys, and makes the role that tests are granted.
tokens_prepare() {
	kubectl_admin get --raw /openid/v1/jwks >"$STATE/pgtoken/jwks.json"
	await postgres-tokens 30 tokens_psql -d postgres -c 'select 1'
	tokens_psql -d postgres -c "create role shop login" -c "create database warehouse owner shop"
}

# tokens_psql runs psql as the superuser, over the socket.
tokens_psql() { runuser -u postgres -- psql -h "$PG_RUN" -p "$TOKENS_PORT" -v ON_ERROR_STOP=1 -X -q -A -t "$@"; }

# grant_own lets a ServiceAccount log in as a role from now on.
grant_own() {
	[[ ${1:-} == */* && -n ${2:-} ]] || fail "grant: found '$*', want NAMESPACE/SERVICEACCOUNT ROLE"
	own_running || fail "the cluster is not up"
	printf '%s %s\n' "$1" "$2" >>"$STATE/pgtoken/grants"
}
