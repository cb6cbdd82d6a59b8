package ui

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"strings"
	"testing"
)

// What others made is here as they made it, and under a licence that lets us ship it.
func TestVendoredFilesAreAsListed(t *testing.T) {
	t.Parallel()
	const folder = "web/vendor/"
	raw, err := web.ReadFile(folder + "vendor.txt")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{"vendor.txt": true}
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
		content, err := web.ReadFile(folder + name)
		if err != nil {
			t.Errorf("%s is listed and not there", name)
			continue
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != digest {
			t.Errorf("%s (%s) has the SHA-256 %x, listed is %s", name, version, sum, digest)
		}
		if licence != "MIT" && licence != "BSD-3-Clause" && licence != "Apache-2.0" {
			t.Errorf("%s: licence %s", name, licence)
		}
	}
	found, err := fs.ReadDir(web, strings.TrimSuffix(folder, "/"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if !listed[f.Name()] {
			t.Errorf("%s%s is not listed in vendor.txt", folder, f.Name())
		}
	}
}

// The pages are to work without a network, and to put text in as text.
func TestPagesNameNoOtherSiteAndMakeNoHTMLOfText(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(web, "web/*.*")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d files (error %v)", len(files), err)
	}
	for _, name := range files {
		raw, err := web.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(raw), "http://www.w3.org/2000/svg", "")
		for _, bad := range []string{"http:", "https:", "innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "new Function", "style=", "onclick=\""} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %q", name, bad)
			}
		}
	}
}
