package plane

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"

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
	byVerb = map[string]float64{}
	lines := bufio.NewScanner(strings.NewReader(string(b)))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		name, value, ok := cutLast(line)
		if !ok {
			continue
		}
		switch {
		case strings.HasPrefix(name, "apiserver_request_total{"):
			_, after, _ := strings.Cut(name, `verb="`)
			verb, _, _ := strings.Cut(after, `"`)
			if verb != "WATCH" {
				byVerb[verb] += value
			}
		case strings.HasPrefix(name, "apiserver_storage_size_bytes{"):
			etcd = value
		}
	}
	return byVerb, etcd, lines.Err()
}

// cutLast splits a line of Prometheus' text format into the series and its value.
func cutLast(line string) (series string, value float64, ok bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 || strings.HasPrefix(line, "#") {
		return "", 0, false
	}
	value, err := strconv.ParseFloat(line[i+1:], 64)
	return line[:i], value, err == nil
}
