# What the scripts that write transcripts share. They set namespace and have the cluster's KUBECONFIG.

# transcript TITLE COMMAND: what the command prints, under a heading. Some commands are meant to be refused.
transcript() {
  printf '\n## %s\n\n```console\n$ %s\n' "$1" "$2"
  { bash -c "$2" 2>&1 || true; } | sed 's/[[:space:]]*$//'
  printf '```\n'
}

# user_context NAME: a kubeconfig of its own with $namespace set, as a user has it, in $KUBECONFIG; removed at the end.
user_context() {
  kubectl config view --raw >"$(dirname "$KUBECONFIG")/$1.kubeconfig"
  KUBECONFIG=$(dirname "$KUBECONFIG")/$1.kubeconfig
  export KUBECONFIG
  kubectl config set-context --current --namespace "$namespace" >/dev/null
  trap 'rm -f "$KUBECONFIG"' EXIT
}
