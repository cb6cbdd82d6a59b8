# etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes of the host.

etcd_start() {
	daemon etcd "$BIN/etcd" --data-dir "$STATE/etcd" --unsafe-no-fsync --log-level warn \
		--listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
		--listen-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" --initial-advertise-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" \
		--initial-cluster "default=http://127.0.0.1:$ETCD_PEER_PORT"
}

apiserver_start() {
	local extra=()
	read -r -a extra <<<"${CLUSTER_APISERVER_FLAGS:-}"
	# It listens on the bridge's address alone: the cluster is not to be seen from the machine's network.
	daemon apiserver "$BIN/kube-apiserver" \
		--etcd-servers "http://127.0.0.1:$ETCD_PORT" \
		--bind-address "$HOST_IP" --advertise-address "$HOST_IP" --secure-port "$APISERVER_PORT" \
		--tls-cert-file "$STATE/pki/apiserver.crt" --tls-private-key-file "$STATE/pki/apiserver.key" \
		--client-ca-file "$STATE/pki/ca.crt" \
		--service-account-issuer https://kubernetes.default.svc \
		--service-account-key-file "$STATE/pki/service-accounts.pub" \
		--service-account-signing-key-file "$STATE/pki/service-accounts.key" \
		--authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged \
		--kubelet-client-certificate "$STATE/pki/admin.crt" --kubelet-client-key "$STATE/pki/admin.key" \
		--kubelet-preferred-address-types InternalIP \
		--service-cluster-ip-range 10.96.0.0/16 "${extra[@]}"
}

controllers_start() {
	daemon controller-manager "$BIN/kube-controller-manager" --kubeconfig "$STATE/pki/controller-manager.kubeconfig" \
		--bind-address 127.0.0.1 --secure-port "$CONTROLLER_MANAGER_PORT" --leader-elect=false \
		--flex-volume-plugin-dir "$STATE/kubelet/volume-plugins" \
		--use-service-account-credentials --service-account-private-key-file "$STATE/pki/service-accounts.key" \
		--root-ca-file "$STATE/pki/ca.crt" \
		--cluster-signing-cert-file "$STATE/pki/ca.crt" --cluster-signing-key-file "$STATE/pki/ca.key"
	daemon scheduler "$BIN/kube-scheduler" --kubeconfig "$STATE/pki/scheduler.kubeconfig" \
		--bind-address 127.0.0.1 --secure-port "$SCHEDULER_PORT" --leader-elect=false
}
