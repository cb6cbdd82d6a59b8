#!/usr/bin/env bash
# Makes config/prometheus/rules.yaml, a PrometheusRule, of the groups in config/prometheus/rules.plain.yaml.
set -euo pipefail
cd "$(dirname "$0")/../config/prometheus"

{
  cat <<'HEADER'
# Alerts for the Prometheus operator, made of rules.plain.yaml: kubectl apply -f config/prometheus/rules.yaml
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: dbt-operator
  namespace: dbt-operator-system
  labels:
    app.kubernetes.io/name: dbt-operator
spec:
HEADER
  sed -n '/^groups:/,$p' rules.plain.yaml | sed 's/^./  &/'
} >rules.yaml
