package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

// canary is a secret that has what encoders treat differently, and nothing that would end SQL's or Jinja's strings.
const canary = `k4n@ry/bird+in~a(mine)%&=?!42`

// hostile says the canary in every form that redaction promises to find: as it is, for URLs, and in base64 at each
// distance from a boundary, in a log line, a warning, a failure's message, and what is kept in the manifest.
const hostile = `{{ config(materialized='table', meta={'bird': env_var('BIRD')}) }}
{% set bird = env_var('BIRD') %}
{% if execute %}
{% set encoded = run_query("select to_base64(encode('" ~ bird ~ "')), to_base64(encode('x" ~ bird ~ "y')), to_base64(encode('xy" ~ bird ~ "z'))").rows[0] %}
{% set said = ['canary:', bird, bird|urlencode, encoded[0], encoded[1], encoded[2]]|join(' ') %}
{{ log(said, info=true) }}
{% do exceptions.warn(said) %}
select cast('{{ said }}' as integer) as bird
{% else %}
select 1 as bird
{% endif %}`

// What a hostile project says of a secret is in nothing that leaves its pod: not in the run's status, events, Job or pod,
// not in the operator's own log, not in the pod's log, nor in the log and the artifacts that are kept.
func TestCanaryIsNowhere(t *testing.T) {
	w := newWorld(t)
	files := fixtures.Shop()
	files["models/hostile.sql"] = []byte(hostile)
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "canary", Namespace: w.namespace}, StringData: map[string]string{"bird": canary}})
	w.project(duckdb111, files, func(p *v1alpha1.DbtProject) {
		p.Spec.Env = append(p.Spec.Env, corev1.EnvVar{Name: "BIRD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "canary"}, Key: "bird",
		}}})
	})
	w.run("hostile", commands("dbt build --select hostile"))
	r := w.over("hostile")
	w.ended(r, v1alpha1.PhaseFailed, v1alpha1.ReasonNodesFailed)
	pod := w.pods()[0]
	log := w.log(pod.Name, 1000)
	if !strings.Contains(log, "canary: *** *** ***") {
		t.Errorf("the log does not show where the canary was said:\n%s", log)
	}
	w.noCanary("the pod's log", log)
	for name, content := range w.kept(r) {
		w.noCanary(name, content)
	}
	for name, list := range map[string]client.ObjectList{
		"runs": &v1alpha1.DbtRunList{}, "events": &corev1.EventList{}, "Jobs": &batchv1.JobList{}, "pods": &corev1.PodList{},
	} {
		if err := cluster.List(t.Context(), list, client.InNamespace(w.namespace)); err != nil {
			t.Fatal(err)
		}
		all, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		w.noCanary(name, string(all))
	}
	w.noCanary("the operator's log", w.operatorLog())
}

// kept returns the log and the artifacts of a run that the collector keeps, by name.
func (w *world) kept(r *v1alpha1.DbtRun) map[string]string {
	w.Helper()
	w.eventually("the results of "+r.Name, patience, func() (bool, string) {
		r = w.get(r.Name)
		return reasonOf(r, v1alpha1.ConditionResultsAvailable) == v1alpha1.ReasonStored, fmt.Sprint(r.Status.Conditions)
	})
	reader := w.token("reader", true)
	out := map[string]string{"the log that is kept": w.served(w.T, reader, r.Name+"/log")}
	for _, a := range r.Status.Artifacts {
		out[a.Name] = w.served(w.T, reader, r.Name+"/artifacts/"+a.Name)
	}
	if _, ok := out["manifest.json"]; !ok {
		w.Errorf("no manifest.json among %d artifacts: it holds the model's meta and its compiled code", len(out))
	}
	return out
}

// operatorLog returns what the operator's pods have printed.
func (w *world) operatorLog() string {
	w.Helper()
	pods := &corev1.PodList{}
	if err := cluster.List(w.Context(), pods, client.InNamespace(system)); err != nil {
		w.Fatal(err)
	}
	var all strings.Builder
	for _, p := range pods.Items {
		b, err := cluster.logs.CoreV1().Pods(system).GetLogs(p.Name, &corev1.PodLogOptions{}).DoRaw(context.Background())
		if err != nil {
			w.Fatalf("reading the log of %s: %v", p.Name, err)
		}
		all.Write(b)
	}
	if all.Len() == 0 {
		w.Error("the operator has logged nothing: the test looks in the wrong place")
	}
	return all.String()
}

// noCanary fails when the canary is in s in a form that redaction promises to find.
func (w *world) noCanary(where, s string) {
	w.Helper()
	needles := map[string]string{
		"plain": canary, "query": url.QueryEscape(canary), "path": url.PathEscape(canary),
		// A database that cuts the SQL it quotes leaves a piece.
		"a piece": canary[:8], "a piece, encoded": "k4n%40ry",
	}
	for before := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), canary...))
		// Characters at the ends may hold bits of a neighbour.
		needles[fmt.Sprintf("base64 at distance %d", before)] = encoded[4 : len(encoded)-2]
	}
	for form, needle := range needles {
		if i := strings.Index(s, needle); i >= 0 {
			w.Errorf("%s holds the canary (%s): …%s…", where, form, s[max(0, i-80):min(len(s), i+len(needle)+20)])
		}
	}
}
