package integration

import (
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/types"
)

// That the CRDs apply at all is proved by start; this proves that the API server then found nothing to say about them.
func TestCRDsAreEstablished(t *testing.T) {
	for _, name := range []string{"dbtprojects.dbtoperator.dev", "dbtruns.dbtoperator.dev", "dbtschedules.dbtoperator.dev"} {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := admin.Get(t.Context(), types.NamespacedName{Name: name}, crd); err != nil {
			t.Fatalf("reading CRD %s: %v", name, err)
		}
		for _, c := range crd.Status.Conditions {
			if c.Type == apiextensionsv1.NonStructuralSchema && c.Status == apiextensionsv1.ConditionTrue {
				t.Errorf("CRD %s: %s", name, c.Message)
			}
		}
	}
}
