package pages

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// Page is one Markdown file.
type Page struct {
	// Path is relative to the repository's root, with slashes.
	Path string
	// Anchors are what can be linked to behind a #.
	Anchors map[string]bool
	// Links are in the order of the page, those of raw HTML and of pictures among them.
	Links []Link
	// Blocks are the fenced blocks.
	Blocks []Block
	// Spans are the code spans of the text.
	Spans []Span
}

// Link is where a link leads, as the page writes it.
type Link struct {
	Line   int
	Target string
}

// Block is a fenced block. Line is that of its first line of content, from 1.
type Block struct {
	Line int
	// Language is the first word behind the fence, in lower case; empty if there is none.
	Language string
	Text     string
}

// Span is a code span.
type Span struct {
	Line int
	Text string
}

// Repository is what a checkout has, before the next commit as well: files that git ignores are not part of it.
type Repository struct {
	// Root is the folder of the checkout.
	Root string
	// Files are paths relative to the root, with slashes; those of folders end without one.
	Files map[string]bool
	// Pages are the Markdown files, in the order of their paths.
	Pages []Page
}

// Read reads a checkout. It needs git.
func Read(ctx context.Context, root string) (*Repository, error) {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the files of %s by git: %w", root, err)
	}
	r := &Repository{Root: root, Files: map[string]bool{".": true}}
	for name := range strings.SplitSeq(string(out), "\x00") {
		full := filepath.Join(root, filepath.FromSlash(name))
		if name == "" || !exists(full) {
			continue
		}
		for at := name; at != "."; at = path.Dir(at) {
			r.Files[at] = true
		}
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		source, err := os.ReadFile(full)
		if err != nil {
			return nil, err
		}
		r.Pages = append(r.Pages, Parse(name, source))
	}
	if len(r.Pages) == 0 {
		return nil, fmt.Errorf("%s has no Markdown files", root)
	}
	return r, nil
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

var (
	// attribute is a link of raw HTML; srcset holds one without a size here.
	attribute = regexp.MustCompile(`\b(?:href|src|srcset)="([^"]*)"`)
	// identity is an anchor of raw HTML.
	identity = regexp.MustCompile(`\b(?:id|name)="([^"]*)"`)
)

// Parse reads one page, by GitHub's flavour of Markdown.
func Parse(name string, source []byte) Page {
	p := Page{Path: name, Anchors: map[string]bool{}}
	root := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	line := func(at int) int { return 1 + strings.Count(string(source[:max(at, 0)]), "\n") }
	html := func(at int, raw []byte) {
		for _, m := range attribute.FindAllSubmatch(raw, -1) {
			p.Links = append(p.Links, Link{line(at), string(m[1])})
		}
		for _, m := range identity.FindAllSubmatch(raw, -1) {
			p.Anchors[string(m[1])] = true
		}
	}
	seen := map[string]int{}
	// The walker below returns no error.
	_ = ast.Walk(root, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := node.(type) {
		case *ast.Heading:
			slug := Slug(plain(n, source))
			if again := seen[slug]; again > 0 {
				p.Anchors[fmt.Sprintf("%s-%d", slug, again)] = true
			} else {
				p.Anchors[slug] = true
			}
			seen[slug]++
		case *ast.Link:
			p.Links = append(p.Links, Link{line(position(n)), string(n.Destination)})
		case *ast.Image:
			p.Links = append(p.Links, Link{line(position(n)), string(n.Destination)})
		case *ast.AutoLink:
			p.Links = append(p.Links, Link{line(position(n)), string(n.URL(source))})
		case *ast.RawHTML:
			html(position(n), n.Segments.Value(source))
		case *ast.HTMLBlock:
			html(position(n), n.Lines().Value(source))
		case *ast.CodeSpan:
			p.Spans = append(p.Spans, Span{line(position(n)), plain(n, source)})
		case *ast.FencedCodeBlock:
			if n.Lines().Len() > 0 {
				p.Blocks = append(p.Blocks, Block{
					line(n.Lines().At(0).Start), strings.ToLower(string(n.Language(source))), string(n.Lines().Value(source)),
				})
			}
		}
		return ast.WalkContinue, nil
	})
	return p
}

// position returns where in the source a node stands, or else the nearest around it.
func position(n ast.Node) int {
	for ; n != nil; n = n.Parent() {
		if at := n.Pos(); at >= 0 {
			return at
		}
		if n.Type() == ast.TypeBlock && n.Lines() != nil && n.Lines().Len() > 0 {
			return n.Lines().At(0).Start
		}
	}
	return 0
}

// plain returns the text of a node without its marks.
func plain(n ast.Node, source []byte) string {
	var out strings.Builder
	_ = ast.Walk(n, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		switch t := node.(type) {
		case *ast.Text:
			if entering {
				out.Write(t.Segment.Value(source))
				if t.SoftLineBreak() {
					out.WriteByte(' ')
				}
			}
		case *ast.String:
			if entering {
				out.Write(t.Value)
			}
		}
		return ast.WalkContinue, nil
	})
	return out.String()
}

// Slug returns the anchor that GitHub gives to a heading: lower case, without what is neither letter, digit, dash nor
// underscore, and with a dash for each space.
func Slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}
