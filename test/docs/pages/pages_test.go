package pages_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/test/docs/pages"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const source = `# What is *here*: ` + "`spec.tokens`" + `, and (more)
See [one](a.md#b "title"), <https://example.com/x>
and ![a picture](p.svg) and ` + "`make a`" + `.

## Twice
## Twice

<picture><source srcset="dark.svg"><img src="light.svg" alt=""></picture>
<a id="mark"></a>

> [quoted][ref]

[ref]: b.md

- a list

  ` + "```sh" + `
  make b
  make c
  ` + "```" + `

` + "```" + `
[no](link.md)
` + "```" + `
`
	want := pages.Page{
		Path:    "docs/x.md",
		Anchors: map[string]bool{"what-is-here-spectokens-and-more": true, "twice": true, "twice-1": true, "mark": true},
		Links: []pages.Link{
			{Line: 2, Target: "a.md#b"}, {Line: 2, Target: "https://example.com/x"}, {Line: 3, Target: "p.svg"}, {Line: 8, Target: "dark.svg"},
			{Line: 8, Target: "light.svg"}, {Line: 11, Target: "b.md"},
		},
		Blocks: []pages.Block{{Line: 18, Language: "sh", Text: "make b\nmake c\n"}, {Line: 23, Text: "[no](link.md)\n"}},
		Spans:  []pages.Span{{Line: 1, Text: "spec.tokens"}, {Line: 3, Text: "make a"}},
	}
	if diff := cmp.Diff(want, pages.Parse("docs/x.md", []byte(source))); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}
