package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	provenancev1 "github.com/in-toto/attestation/go/predicates/provenance/v1"
	statementv1 "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	repository    = "https://github.com/dbt-operator/dbt-operator"
	buildType     = repository + "/blob/main/docs/release.md#provenance"
	predicateType = "https://slsa.dev/provenance/v1"
)

// build is what a release was made from.
type build struct{ version, commit, builder, goVersion string }

var commitID = regexp.MustCompile(`^[0-9a-f]{40}$`)

// provenance returns an in-toto statement, in JSON on one line, that says of each file from what it was built. It holds
// no times, so that the same release gives the same bytes.
func provenance(b build, files []string) ([]byte, error) {
	if b.version == "" || !commitID.MatchString(b.commit) {
		return nil, fmt.Errorf("provenance: found version %q and commit %q, want a version and 40 hexadecimal digits", b.version, b.commit)
	}
	statement := &statementv1.Statement{Type: statementv1.StatementTypeUri, PredicateType: predicateType}
	slices.Sort(files)
	for _, path := range files {
		sum, err := digest(path)
		if err != nil {
			return nil, err
		}
		statement.Subject = append(statement.Subject, &statementv1.ResourceDescriptor{
			Name: filepath.Base(path), Digest: map[string]string{"sha256": sum},
		})
	}
	external, err := structpb.NewStruct(map[string]any{"version": b.version, "command": "make release"})
	if err != nil {
		return nil, err
	}
	predicate := &provenancev1.Provenance{
		BuildDefinition: &provenancev1.BuildDefinition{
			BuildType: buildType, ExternalParameters: external,
			ResolvedDependencies: []*statementv1.ResourceDescriptor{
				{Uri: "git+" + repository + "@" + b.commit, Digest: map[string]string{"gitCommit": b.commit}},
			},
		},
		RunDetails: &provenancev1.RunDetails{Builder: &provenancev1.Builder{Id: b.builder, Version: map[string]string{"go": b.goVersion}}},
	}
	if err := predicate.Validate(); err != nil {
		return nil, fmt.Errorf("provenance: %w", err)
	}
	if statement.Predicate, err = asStruct(predicate); err != nil {
		return nil, err
	}
	if err := statement.Validate(); err != nil {
		return nil, fmt.Errorf("provenance: %w", err)
	}
	return oneLine(statement)
}

func asStruct(p *provenancev1.Provenance) (*structpb.Struct, error) {
	raw, err := protojson.Marshal(p)
	if err != nil {
		return nil, err
	}
	s := &structpb.Struct{}
	return s, protojson.Unmarshal(raw, s)
}

// oneLine encodes a statement: protojson alone puts spaces in at random.
func oneLine(s *statementv1.Statement) ([]byte, error) {
	raw, err := protojson.Marshal(s)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// digest returns the SHA-256 of a file in hexadecimal.
func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // it was only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return strings.ToLower(hex.EncodeToString(h.Sum(nil))), nil
}
