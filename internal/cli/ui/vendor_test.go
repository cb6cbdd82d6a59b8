package ui

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/testutil/vendored"
)

// What others made is here as they made it, and under a licence that lets us ship it.
func TestVendoredFilesAreAsListed(t *testing.T) {
	t.Parallel()
	folder, err := fs.Sub(web, "web/vendor")
	if err != nil {
		t.Fatal(err)
	}
	vendored.Check(t, folder, "MIT", "BSD-3-Clause", "Apache-2.0")
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
