package store

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
)

// BenchmarkAppend times appends to a folder, each of 2 KiB, to as many parts as there are runs at once; compactions included.
func BenchmarkAppend(b *testing.B) {
	for _, parts := range []int{1, 200} {
		b.Run(fmt.Sprintf("parts=%d", parts), func(b *testing.B) {
			s, err := Open(b.Context(), "file://"+b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			chunk := bytes.Repeat([]byte("x"), 2<<10)
			var next atomic.Int64
			b.SetParallelism(parts)
			b.RunParallel(func(pb *testing.PB) {
				run := Run{Namespace: "shop", UID: fmt.Sprintf("uid-%d", next.Add(1))}
				offset := int64(0)
				for pb.Next() {
					var err error
					if offset, err = s.Append(b.Context(), run, "journal", "pod", offset, chunk); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
