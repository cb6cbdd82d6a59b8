package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// writeEvents writes so many bytes of events: the captures of whole builds, over and over, each time of other nodes.
func writeEvents(name string, size int64, captures string) error {
	files, err := filepath.Glob(filepath.Join(captures, "*-build-ok.jsonl"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no captures in %s", captures)
	}
	if err != nil {
		return err
	}
	var rounds [][]byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		rounds = append(rounds, b)
	}
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out, 1<<20)
	for n, round := int64(0), 0; n < size; round++ {
		// Some thousand nodes, as a large project has.
		b := bytes.ReplaceAll(rounds[round%len(rounds)], []byte(`.shop.`), fmt.Appendf(nil, ".shop%d.", round%200))
		if _, err := w.Write(b); err != nil {
			return err
		}
		n += int64(len(b))
	}
	return errors.Join(w.Flush(), out.Close())
}

// writeManifest writes a manifest of so many bytes: models with their code, columns and descriptions, and two tests for
// each, as dbt writes them.
func writeManifest(name string, size int64) error {
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out, 1<<20)
	code := strings.Repeat("select customer_id, sum(amount) as amount from {{ ref('orders') }} where status != 'returned'\n", 60)
	var columns strings.Builder
	for c := range 30 {
		fmt.Fprintf(&columns, `,"column_%d":{"name":"column_%d","description":"what the column with number %d is about, in a sentence or two","meta":{},"data_type":"text","constraints":[],"quote":null,"tags":[]}`, c, c, c)
	}
	_, _ = w.WriteString(`{"metadata":{"dbt_schema_version":"https://schemas.getdbt.com/dbt/manifest/v12.json","adapter_type":"postgres"},"nodes":{"seed.shop.s":{"resource_type":"seed","relation_name":"\"db\".\"s\".\"s\"","depends_on":{"nodes":[]}}`)
	written := int64(0)
	for n := 0; written < size; n++ {
		parent := "seed.shop.s"
		if n > 0 {
			parent = fmt.Sprintf("model.shop.m%d", n*7/8)
		}
		if n > 0 && n*7/8 == n {
			parent = fmt.Sprintf("model.shop.m%d", n-1)
		}
		model := fmt.Sprintf(`,"model.shop.m%d":{"database":"db","schema":"s","name":"m%d","resource_type":"model","path":"marts/m%d.sql","raw_code":%q,"compiled_code":%q,"relation_name":"\"db\".\"s\".\"m%d\"","columns":{%s},"depends_on":{"macros":["macro.dbt.run_query"],"nodes":[%q]},"config":{"enabled":true,"materialized":"table","tags":[],"meta":{}}}`,
			n, n, n, code, code, n, columns.String()[1:], parent)
		for k := range 2 {
			model += fmt.Sprintf(`,"test.shop.t%d_%d":{"resource_type":"test","name":"t%d_%d","raw_code":"{{ test_not_null(**_dbt_generic_test_kwargs) }}","depends_on":{"macros":["macro.dbt.test_not_null"],"nodes":["model.shop.m%d"]}}`, n, k, n, k, n)
		}
		if _, err := w.WriteString(model); err != nil {
			return err
		}
		written += int64(len(model))
	}
	_, _ = w.WriteString(`},"sources":{},"macros":{},"docs":{}}`)
	return errors.Join(w.Flush(), out.Close())
}
