{{/* The operator's image; the runner comes from the same. */}}
{{- define "dbt-operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Files of config/, as `hack/chart.sh files` copied them, in the release's namespace. */}}
{{- define "dbt-operator.files" -}}
{{- range $path, $content := .root.Files.Glob .glob }}
---
{{ $content | toString | trimPrefix "---\n" | replace "dbt-operator-system" $.root.Release.Namespace }}
{{- end }}
{{- end -}}

{{/* Nine tenths of the memory's limit, in MiB; empty where it is not written in Mi or Gi. */}}
{{- define "dbt-operator.goMemLimit" -}}
{{- $limit := dig "limits" "memory" "" .Values.resources | toString -}}
{{- if regexMatch "^[0-9]+Mi$" $limit -}}
{{ div (mul (trimSuffix "Mi" $limit | int64) 9) 10 }}MiB
{{- else if regexMatch "^[0-9]+Gi$" $limit -}}
{{ div (mul (trimSuffix "Gi" $limit | int64) 1024 9) 10 }}MiB
{{- end -}}
{{- end -}}

{{/* Values that the schema lets pass and that cannot work, each refused with what to do. */}}
{{- define "dbt-operator.check" -}}
{{- with .Values -}}
{{- if and (eq .store.kind "Bucket") (not .store.url) -}}
{{- fail "store.url is not set: name the bucket of store.kind Bucket, such as s3://bucket?region=eu-west-1" -}}
{{- end -}}
{{- if and (ne .store.kind "Bucket") .store.url -}}
{{- fail (printf "store.url is set and store.kind is %s: set store.kind to Bucket, or leave the URL out" .store.kind) -}}
{{- end -}}
{{- if and (gt (int .replicas) 1) (eq .store.kind "Volume") (not .store.volume.existingClaim) (not (has "ReadWriteMany" .store.volume.accessModes)) -}}
{{- fail (printf "replicas is %v and the store's volume is one node's at a time: set store.volume.accessModes to [ReadWriteMany], use a bucket, or one replica" .replicas) -}}
{{- end -}}
{{- if and .openLineage.url (eq .store.kind "None") -}}
{{- fail "openLineage.url needs a store: events are made of the journals that are kept there" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.policies.stamping (semverCompare "<1.36.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "Kubernetes %s has no MutatingAdmissionPolicy in v1: set policies.stamping to false; when rendering for a newer cluster, pass --kube-version" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end -}}
