package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Shard is the part of all objects that one manager works on, where several divide them by v1alpha1.LabelShard. The zero
// value is all of them.
type Shard struct{ selector labels.Selector }

// ParseShard reads a label selector, as kubectl's -l has it, by v1alpha1.LabelShard alone: that label is handed on to Jobs
// and pods, and the admission policies keep it as it is. Empty means everything.
func ParseShard(selector string) (Shard, error) {
	parsed, err := labels.Parse(selector)
	if err != nil {
		return Shard{}, fmt.Errorf("%q is no label selector: %w", selector, err)
	}
	if parsed.Empty() {
		return Shard{}, nil
	}
	requirements, _ := parsed.Requirements()
	for _, r := range requirements {
		if r.Key() != v1alpha1.LabelShard {
			return Shard{}, fmt.Errorf("%q selects by the label %s: must be by %s alone, such as %s=a or !%s", selector, r.Key(), v1alpha1.LabelShard, v1alpha1.LabelShard, v1alpha1.LabelShard)
		}
	}
	return Shard{parsed}, nil
}

// All reports whether there is only this shard.
func (s Shard) All() bool { return s.selector == nil }

// Selector returns the selector; that of the zero value matches everything.
func (s Shard) Selector() labels.Selector {
	if s.All() {
		return labels.Everything()
	}
	return s.selector
}

// Has reports whether an object belongs to the shard by its labels.
func (s Shard) Has(object client.Object) bool {
	return s.Selector().Matches(labels.Set(object.GetLabels()))
}

// Name returns a name that managers of one shard share and those of others do not: base itself for everything.
func (s Shard) Name(base string) string {
	if s.All() {
		return base
	}
	sum := sha256.Sum256([]byte(s.selector.String()))
	return base + "-" + hex.EncodeToString(sum[:4])
}
