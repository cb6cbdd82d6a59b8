package plane

import (
	"bytes"
	"context"
	"fmt"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/kubernetes"
)

// Requests returns how many requests the API server has answered so far, by verb, watches aside, and how many bytes of
// objects etcd holds.
func (p *Plane) Requests(ctx context.Context) (byVerb map[string]float64, etcd float64, err error) {
	c, err := kubernetes.NewForConfig(p.env.Config)
	if err != nil {
		return nil, 0, err
	}
	b, err := c.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the API server's metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(b))
	if err != nil {
		return nil, 0, fmt.Errorf("reading the API server's metrics: %w", err)
	}
	byVerb = map[string]float64{}
	for _, m := range families["apiserver_request_total"].GetMetric() {
		if verb := labelOf(m, "verb"); verb != "WATCH" {
			byVerb[verb] += m.GetCounter().GetValue()
		}
	}
	for _, m := range families["apiserver_storage_size_bytes"].GetMetric() {
		etcd = m.GetGauge().GetValue()
	}
	return byVerb, etcd, nil
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}
