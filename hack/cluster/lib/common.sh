# Settings, messages, and processes known by pid file. Sourced by ../cluster; knows nothing of Kubernetes.

STATE=${CLUSTER_DIR:-$ROOT/.cluster}
[[ $STATE == /* ]] || STATE=$PWD/$STATE
BIN=$ROOT/bin/k8s
OUR_KUBECONFIG=$STATE/kubeconfig
# Several checkouts may have a cluster one after the other: names outside the state folder carry this mark.
MARK=$(printf %s "$STATE" | sha256sum | cut -c1-8)

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
fail() {
	printf 'cluster: %s\n' "$*" >&2
	exit 1
}

# quietly runs a command with its output in a log, and shows the log's end when it fails.
quietly() {
	local log=$1
	shift
	mkdir -p "$(dirname "$log")"
	"$@" >>"$log" 2>&1 && return
	printf -- '--- last lines of %s\n' "$log" >&2
	tail -n 25 "$log" >&2
	fail "failed: $*"
}

# provider prints which kind of cluster this is about: external, kind or own.
provider() {
	if [[ -n ${CLUSTER_PROVIDER:-} ]]; then
		printf %s "$CLUSTER_PROVIDER"
	elif [[ -n ${KUBECONFIG:-} && $(readlink -f "$KUBECONFIG" || true) != "$(readlink -f "$OUR_KUBECONFIG" || true)" ]]; then
		printf external
	elif [[ -f $STATE/provider ]]; then
		cat "$STATE/provider"
	elif command -v docker >/dev/null && timeout 10 docker info >/dev/null 2>&1; then
		printf kind
	else
		printf own
	fi
}

# --- daemons -----------------------------------------------------------------------------------------------------

# A pid file holds "PID STARTTIME EXE": pids are used again, so the pid alone never says that a process is ours.
started_at() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	# The command's name may hold blanks; what follows its closing bracket does not.
	set -- ${stat##*) }
	# A zombie has ended, though it still has a pid.
	[[ $1 != Z ]] && printf %s "${20}"
}

# daemon starts a long-lived process: daemon NAME COMMAND ARG…  Where COMMAND becomes another program, DAEMON_EXE names it.
daemon() {
	local name=$1
	shift
	mkdir -p "$STATE/run" "$STATE/log"
	# Its own session: it outlives the terminal and never gets a Ctrl-C meant for this script. Of what is open here it keeps
	# nothing: neither the display of hack/test.sh (3) nor the lock (9).
	setsid "$@" </dev/null >>"$STATE/log/$name.log" 2>&1 3>&- 9>&- &
	local pid=$!
	disown "$pid"
	printf '%s %s %s\n' "$pid" "$(started_at "$pid" || printf 0)" "${DAEMON_EXE:-$1}" >"$STATE/run/$name.pid"
}

# alive says whether the daemon NAME is the very process that was started.
alive() {
	local pid start exe
	read -r pid start exe 2>/dev/null <"${2:-$STATE}/run/$1.pid" || return 1
	[[ $(started_at "$pid") == "$start" ]] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$(basename "$exe")"
}

# stop ends the daemon NAME and waits for its end: stop NAME [SIGNAL [SECONDS]]
stop() {
	local name=$1 signal=${2:-TERM} patience=${3:-10} pid
	if alive "$name"; then
		read -r pid _ <"$STATE/run/$name.pid"
		kill "-$signal" "$pid" 2>/dev/null || true
		for ((i = 0; i < patience * 20; i++)); do
			alive "$name" || break
			sleep 0.05
		done
		if alive "$name"; then
			kill -KILL "$pid" 2>/dev/null || true
			while alive "$name"; do sleep 0.05; done
		fi
	fi
	rm -f "$STATE/run/$name.pid"
}

# await waits until a command succeeds while the daemon NAME lives: await NAME SECONDS COMMAND ARG…
await() {
	local name=$1 seconds=$2 deadline=$((SECONDS + $2))
	shift 2
	until "$@" >/dev/null 2>&1; do
		if ! alive "$name" || ((SECONDS >= deadline)); then
			printf -- '--- last lines of %s\n' "$STATE/log/$name.log" >&2
			tail -n 25 "$STATE/log/$name.log" >&2
			alive "$name" || fail "$name has ended; its log is $STATE/log/$name.log"
			fail "$name was not ready after $seconds seconds (waited for: $*); its log is $STATE/log/$name.log"
		fi
		sleep 0.1
	done
}

# lock_state lets one 'up' or 'down' at a time work on the state folder; the others wait.
lock_state() {
	while :; do
		mkdir -p "$STATE"
		exec 9>"$STATE/lock"
		flock -n 9 || {
			say "waiting for another 'cluster up' or 'down' on $STATE"
			flock 9
		}
		# `down` removes the folder: a lock on a file that is gone is none.
		[[ $STATE/lock -ef /proc/self/fd/9 ]] && return
	done
}

# kubectl_admin talks to the cluster of this state folder, whatever KUBECONFIG says.
kubectl_admin() { "$BIN/kubectl" --kubeconfig "$OUR_KUBECONFIG" "$@"; }

# --- what was chosen at `up` ------------------------------------------------------------------------------------

# remember NAME VALUE keeps a choice for the commands that come after; recall reads them all into variables.
remember() {
	printf -v "$1" %s "$2"
	printf '%s=%q\n' "$1" "$2" >>"$STATE/choices"
}
recall() {
	# shellcheck source=/dev/null
	[[ ! -f $STATE/choices ]] || source "$STATE/choices"
}

# free_port prints the first port from $2 on which nothing listens, at address $1 or at any address.
free_port() {
	local port=$2
	while ss -Hltn "sport = :$port" | awk '{print $4}' | grep -qE "^(\*|0\.0\.0\.0|\[::\]|$1):"; do
		port=$((port + 1))
	done
	printf %s "$port"
}
