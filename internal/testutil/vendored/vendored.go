// Package vendored checks files that others made and that are kept in the repository as they are: each folder has a list of
// them, vendor.txt, with a line of five fields, separated by tabs, for each: file, version, licence, SHA-256, where it is
// from. Lines that begin with # are comments.
package vendored

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// list is the name of the list of a folder's files.
const list = "vendor.txt"

// Check fails t for a file that is not as listed, not listed or not there, and for a licence (by its SPDX identifier) that is
// none of these.
func Check(t testing.TB, folder fs.FS, licences ...string) {
	t.Helper()
	raw, err := fs.ReadFile(folder, list)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{list: true}
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 5 {
			t.Fatalf("%q has %d fields: want file, version, licence, SHA-256, where from", line, len(fields))
		}
		name, version, licence, digest := fields[0], fields[1], fields[2], fields[3]
		listed[name] = true
		content, err := fs.ReadFile(folder, name)
		if err != nil {
			t.Errorf("%s is listed and not there", name)
			continue
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != digest {
			t.Errorf("%s (%s) has the SHA-256 %x, listed is %s", name, version, sum, digest)
		}
		if !slices.Contains(licences, licence) {
			t.Errorf("%s: licence %s, want one of %s", name, licence, strings.Join(licences, ", "))
		}
	}
	found, err := fs.ReadDir(folder, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if !listed[f.Name()] {
			t.Errorf("%s is not listed in %s", f.Name(), list)
		}
	}
}
