package ui

import (
	"embed"
	"io/fs"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/dbt-operator/dbt-operator/internal/testutil/vendored"
)

// axe is Deque's checker of accessibility, by the rules of WCAG 2.2 and by what has proven itself beside them:
// https://github.com/dequelabs/axe-core/blob/develop/doc/rule-descriptions.md
//
//go:embed axe
var axe embed.FS

func TestAxeIsAsListed(t *testing.T) {
	t.Parallel()
	folder, err := fs.Sub(axe, "axe")
	if err != nil {
		t.Fatal(err)
	}
	// What is under MPL-2.0 is used in tests, and not shipped.
	vendored.Check(t, folder, "MPL-2.0")
}

// axeRun says what axe finds wrong: the rule, what it says, and where.
const axeRun = `axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"] })
	.then((r) => r.violations.flatMap((v) => v.nodes.slice(0, 3).map((n) => v.id + " (" + v.impact + "): " + v.help + ": " + n.target.join(" ") + ": " + (n.any[0] || n.all[0] || n.none[0] || {}).message + " of " + v.nodes.length)))`

// accessible has axe check a page, light and dark.
func (b *browser) accessible(page string) {
	b.Helper()
	script, err := axe.ReadFile("axe/axe.min.js")
	if err != nil {
		b.Fatal(err)
	}
	for _, scheme := range []string{"light", "dark"} {
		var found []string
		b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
			// What lies half below the header that stays is not too small: it is scrolled to when it is reached.
			chromedp.Evaluate(string(script)+";window.scrollTo(0, 0);0", nil),
			chromedp.Evaluate(axeRun, &found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
		for _, f := range found {
			b.Errorf("%s, %s: axe finds %s", page, scheme, f)
		}
	}
	b.do(emulation.SetEmulatedMedia())
}
