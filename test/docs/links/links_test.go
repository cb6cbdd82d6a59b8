package links

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/dbt-operator/dbt-operator/test/docs/pages"
)

// Every link of every page leads somewhere: to a file or folder of the repository, and where it names a heading, to one that
// the page has. What lies in the network is not asked for.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	r, err := pages.Read(t.Context(), filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range broken(r.Pages, r.Files) {
		t.Error(finding)
	}
}

// named is a file or folder of the repository in a code span: what begins with one of its folders, without placeholders.
var named = regexp.MustCompile(`^(?:\.ci|api|charts|cmd|config|docs|examples|hack|internal|test)/[A-Za-z0-9_./-]+$`)

// made is what benchmarks leave behind, and git ignores.
const made = "test/bench/results"

// Files and folders that pages name are there.
func TestNamedFilesAreThere(t *testing.T) {
	t.Parallel()
	r, err := pages.Read(t.Context(), filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, p := range r.Pages {
		for _, s := range p.Spans {
			if !named.MatchString(s.Text) {
				continue
			}
			found++
			name := strings.TrimSuffix(s.Text, "/")
			if name == made {
				continue
			}
			if !r.Files[name] && !r.Files[path.Join(path.Dir(p.Path), name)] {
				t.Errorf("%s:%d: there is no file or folder %s", p.Path, s.Line, s.Text)
			}
		}
	}
	if found < 50 {
		t.Errorf("found %d names of files in all pages: the expression that looks for them is wrong", found)
	}
}

// A page of docs that no other page of docs leads to is not found by whoever reads.
func TestEveryPageIsLinkedTo(t *testing.T) {
	t.Parallel()
	r, err := pages.Read(t.Context(), filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	index := map[string]bool{}
	for _, p := range r.Pages {
		if p.Path != "docs/README.md" {
			continue
		}
		for _, l := range p.Links {
			target, _, _ := strings.Cut(l.Target, "#")
			index[path.Join("docs", target)] = true
		}
	}
	for _, p := range r.Pages {
		if strings.HasPrefix(p.Path, "docs/") && p.Path != "docs/README.md" && !index[p.Path] {
			t.Errorf("docs/README.md has no link to %s", p.Path)
		}
	}
}

// The site's menu has every page. What it names and is not there the site leaves out.
func TestEveryPageIsInTheMenu(t *testing.T) {
	t.Parallel()
	r, err := pages.Read(t.Context(), filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(r.Root, "hack", "site", "hugo.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Params struct {
			Nav []struct{ Pages []string }
		}
	}
	if err := yaml.Unmarshal(content, &config); err != nil {
		t.Fatal(err)
	}
	menu := map[string]bool{}
	for _, part := range config.Params.Nav {
		for _, page := range part.Pages {
			menu["docs/"+page+".md"] = true
		}
	}
	for _, p := range r.Pages {
		if strings.HasPrefix(p.Path, "docs/") && p.Path != "docs/README.md" && !menu[p.Path] {
			t.Errorf("hack/site/hugo.yaml does not say where in the menu %s stands", p.Path)
		}
	}
}

func TestBrokenLinksAreFound(t *testing.T) {
	t.Parallel()
	files := map[string]bool{".": true, "README.md": true, "docs": true, "docs/a.md": true, "docs/b.md": true, "hack": true, "hack/x.sh": true}
	for name, tc := range map[string]struct{ reason, target, want string }{
		"Page":          {"beside it", "b.md", ""},
		"Heading":       {"the page has it", "b.md#there", ""},
		"OwnHeading":    {"this page has it", "#own", ""},
		"File":          {"outside docs", "../hack/x.sh", ""},
		"Folder":        {"with a slash at the end, as GitHub takes it", "../hack/", ""},
		"Web":           {"not asked for", "https://example.com/a#b", ""},
		"Mail":          {"not asked for", "mailto:security@example.com", ""},
		"Gone":          {"renamed", "c.md", "docs/a.md:7: c.md leads to docs/c.md, which is not there"},
		"HeadingGone":   {"reworded", "b.md#gone", "docs/a.md:7: docs/b.md has no heading #gone"},
		"OwnGone":       {"reworded", "#gone", "docs/a.md:7: docs/a.md has no heading #gone"},
		"HeadingOfCode": {"a line of a file moves", "../hack/x.sh#L3", "docs/a.md:7: ../hack/x.sh#L3 names a place in a file that has no headings"},
		"Outside":       {"not of this repository", "../../x", "docs/a.md:7: ../../x leads out of the repository"},
		"Absolute":      {"of the server that shows it", "/docs/b.md", "docs/a.md:7: /docs/b.md is absolute: write it relative to the page"},
		"PlainHTTP":     {"anybody on the way may change it", "http://example.com", "docs/a.md:7: http://example.com is not https"},
		"Loopback":      {"what runs on the reader's machine", "http://127.0.0.1:8080", ""},
		"OtherScheme":   {"a slip", "htps://example.com", "docs/a.md:7: htps://example.com has a scheme other than https"},
		"NoURL":         {"a slip", "https://exa mple.com/%zz", "docs/a.md:7: https://exa mple.com/%zz is no URL"},
		"Case":          {"some file systems take it, others do not", "B.md", "docs/a.md:7: B.md leads to docs/B.md, which is not there"},
	} {
		linking := pages.Page{Path: "docs/a.md", Anchors: map[string]bool{"own": true}, Links: []pages.Link{{Line: 7, Target: tc.target}}}
		linked := pages.Page{Path: "docs/b.md", Anchors: map[string]bool{"there": true}}
		got := strings.Join(broken([]pages.Page{linking, linked}, files), "; ")
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", name, tc.reason, diff)
		}
	}
}

// broken says of each link that leads nowhere where it stands, and what is wrong with it.
func broken(all []pages.Page, files map[string]bool) []string {
	anchors := map[string]map[string]bool{}
	for _, p := range all {
		anchors[p.Path] = p.Anchors
	}
	var findings []string
	for _, p := range all {
		for _, l := range p.Links {
			if why := wrong(p.Path, l.Target, files, anchors); why != "" {
				findings = append(findings, fmt.Sprintf("%s:%d: %s", p.Path, l.Line, why))
			}
		}
	}
	return findings
}

// wrong says what is wrong with a link of a page; nothing if it leads somewhere.
func wrong(page, target string, files map[string]bool, anchors map[string]map[string]bool) string {
	u, err := url.Parse(target)
	switch {
	case err != nil:
		return target + " is no URL"
	case u.Scheme == "https", u.Scheme == "mailto", u.Scheme == "http" && (u.Hostname() == "127.0.0.1" || u.Hostname() == "localhost"):
		return ""
	case u.Scheme == "http":
		return target + " is not https"
	case u.Scheme != "" || u.Host != "":
		return target + " has a scheme other than https"
	case strings.HasPrefix(u.Path, "/"):
		return target + " is absolute: write it relative to the page"
	}
	at := page
	if u.Path != "" {
		at = path.Join(path.Dir(page), u.Path)
	}
	headings, isPage := anchors[at]
	switch {
	case at == "..", strings.HasPrefix(at, "../"):
		return target + " leads out of the repository"
	case !files[at]:
		return fmt.Sprintf("%s leads to %s, which is not there", target, at)
	case u.Fragment == "" || headings[u.Fragment]:
		return ""
	case !isPage:
		return target + " names a place in a file that has no headings"
	}
	return fmt.Sprintf("%s has no heading #%s", at, u.Fragment)
}
