// Package manifest reads manifests of any kinds, and creates what they hold. It knows YAML and a client, and is imported by
// tests only.
package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Objects returns the objects of a manifest in order, without empty documents. Errors say of which manifest they are.
func Objects(content []byte, of string) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for docs := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096); ; {
		object := &unstructured.Unstructured{}
		if err := docs.Decode(&object.Object); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading %s: %w", of, err)
		}
		if len(object.Object) > 0 {
			out = append(out, object)
		}
	}
}

// Create creates every object of a manifest, in order.
func Create(ctx context.Context, c client.Client, content []byte, of string) error {
	objects, err := Objects(content, of)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := c.Create(ctx, object); err != nil {
			return fmt.Errorf("creating %s %s of %s: %w", object.GetKind(), object.GetName(), of, err)
		}
	}
	return nil
}
