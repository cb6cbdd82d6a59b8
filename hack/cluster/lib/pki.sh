# Certificates and kubeconfigs of the own cluster, made new for each one.

pki_make() {
	mkdir -p "$STATE/pki"
	chmod 700 "$STATE/pki"
	quietly "$STATE/log/pki.log" openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$STATE/pki/ca.key" -out "$STATE/pki/ca.crt" -subj "/CN=dbt-operator-cluster" -days 365
	local local_names=DNS:localhost,IP:127.0.0.1,IP:$HOST_IP
	certificate apiserver /CN=kube-apiserver "$local_names,IP:10.96.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
	certificate kubelet-serving "/CN=$NODE" "DNS:$NODE,$local_names"
	certificate postgres-tokens /CN=postgres-tokens "DNS:postgres-tokens.warehouse.svc,$local_names"
	quietly "$STATE/log/pki.log" openssl genrsa -out "$STATE/pki/service-accounts.key" 2048
	quietly "$STATE/log/pki.log" openssl rsa -in "$STATE/pki/service-accounts.key" -pubout -out "$STATE/pki/service-accounts.pub"
	identity admin /O=system:masters/CN=admin
	identity controller-manager /CN=system:kube-controller-manager
	identity scheduler /CN=system:kube-scheduler
	identity kubelet "/O=system:nodes/CN=system:node:$NODE"
	identity proxy /CN=system:kube-proxy
	identity coredns /CN=system:coredns
}

# certificate NAME SUBJECT [ALTERNATIVE-NAMES] makes a key and a certificate signed by the cluster's authority.
certificate() {
	local base=$STATE/pki/$1
	quietly "$STATE/log/pki.log" openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$base.key" -out "$base.csr" -subj "$2"
	printf 'subjectAltName=%s\n' "${3:-DNS:localhost}" >"$base.ext"
	quietly "$STATE/log/pki.log" openssl x509 -req -in "$base.csr" -CA "$STATE/pki/ca.crt" -CAkey "$STATE/pki/ca.key" \
		-CAcreateserial -out "$base.crt" -days 365 -extfile "$base.ext"
	rm "$base.csr" "$base.ext"
}

# identity NAME SUBJECT makes a client certificate and a kubeconfig that holds it.
identity() {
	certificate "$1" "$2"
	cat >"$STATE/pki/$1.kubeconfig" <<-T
		apiVersion: v1
		kind: Config
		current-context: local
		clusters:
		  - name: local
		    cluster:
		      server: https://$HOST_IP:$APISERVER_PORT
		      certificate-authority-data: $(base64 -w0 "$STATE/pki/ca.crt")
		users:
		  - name: $1
		    user:
		      client-certificate-data: $(base64 -w0 "$STATE/pki/$1.crt")
		      client-key-data: $(base64 -w0 "$STATE/pki/$1.key")
		contexts:
		  - name: local
		    context: {cluster: local, user: $1}
	T
}
