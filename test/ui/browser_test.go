package ui

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	testingclock "k8s.io/utils/clock/testing"

	pages "github.com/dbt-operator/dbt-operator/internal/cli/ui"
)

// patience is how long a page may take to show what is waited for, on a machine that has much else to do.
const patience = 60 * time.Second

// browser is a Chromium with one page of the site. It fails the test for what a page should not do: errors on the
// console, requests to anywhere but the site.
type browser struct {
	*testing.T
	ctx   context.Context
	home  string
	mu    sync.Mutex
	wrong []string
}

// open starts a site over a record, and a browser. Without one the test is skipped.
func open(t *testing.T, r *record) *browser {
	t.Helper()
	path := chromium(t)
	server, err := pages.New(pages.Config{Source: r, Namespace: namespace, Context: "prod-eu", Version: "test", Clock: testingclock.NewFakeClock(today)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	profile, err := os.MkdirTemp("", "ui-test-")
	if err != nil {
		t.Fatal(err)
	}
	// Processes of a browser that was told to end may still write.
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	allocator, end := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1360, 860), chromedp.UserDataDir(profile),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("lang", "en-GB"), chromedp.Env("TZ=Europe/Lisbon", "LANG=en_GB.UTF-8"),
		chromedp.WSURLReadTimeout(patience))...)
	t.Cleanup(end)
	page, closePage := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(func() { _ = chromedp.Cancel(page); closePage() })
	b := &browser{T: t, ctx: page, home: server.URL(l.Addr())}
	chromedp.ListenTarget(page, b.sees(l.Addr().String()))
	b.do(emulation.SetLocaleOverride().WithLocale("en-GB"), chromedp.Navigate(b.home))
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, w := range b.wrong {
			t.Error(w)
		}
	})
	return b
}

// chromium returns the path of a Chromium.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	t.Skip("there is no Chromium: install the package chromium (hack/deps.sh does on Debian), or name one in CHROMIUM")
	return ""
}

// sees notes what a page should not do.
func (b *browser) sees(site string) func(any) {
	note := func(format string, args ...any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
	}
	return func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			note("a script failed: %s", e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
				for _, a := range e.Args {
					note("the console has %s: %s", e.Type, a.Value)
				}
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError {
				note("the console has an error: %s (%s)", e.Entry.Text, e.Entry.URL)
			}
		case *network.EventRequestWillBeSent:
			if u, err := url.Parse(e.Request.URL); err != nil || u.Host != site && u.Scheme != "data" {
				note("a page asked for %s, which is not this site's", e.Request.URL)
			}
		}
	}
}

func (b *browser) do(actions ...chromedp.Action) {
	b.Helper()
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	if b.ctx.Err() == nil && chromedp.FromContext(b.ctx).Target == nil {
		// The first use starts the browser, which lives as long as the context it is started with.
		if err := chromedp.Run(b.ctx, log.Enable(), network.Enable(), runtime.Enable()); err != nil {
			b.Fatalf("starting Chromium: %v", err)
		}
	}
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

// text returns what a page shows within an element.
func (b *browser) text(selector string) string {
	b.Helper()
	var out string
	b.do(chromedp.Text(selector, &out, chromedp.ByQuery))
	return out
}

// value returns what an expression comes to.
func value[T any](b *browser, expression string) T {
	b.Helper()
	var out T
	b.do(chromedp.Evaluate(expression, &out))
	return out
}

// until waits for an expression to be true.
func (b *browser) until(what, expression string) {
	b.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if value[bool](b, "Boolean("+expression+")") {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s: not so after %s. The page has:\n%s", what, patience, b.text("body"))
		}
	}
}

// sound checks what a person with a screen reader or a keyboard needs of any page, by axe and by what axe does not look at.
func (b *browser) sound(page string) {
	b.Helper()
	b.accessible(page)
	for _, finding := range value[[]string](b, `(() => {
		const out = [], say = (text, e) => out.push(text + (e ? ": " + e.outerHTML.slice(0, 120) : ""));
		const named = (e) => (e.getAttribute("aria-label") || e.textContent || "").trim() || e.getAttribute("title");
		if (!document.documentElement.lang) say("the page has no language");
		if (document.querySelectorAll("h1").length !== 1) say("it has " + document.querySelectorAll("h1").length + " h1");
		for (const tag of ["main", "header", "nav"]) if (!document.querySelector(tag)) say("it has no " + tag);
		for (const e of document.querySelectorAll("input, select, textarea")) if (!e.labels.length && !e.getAttribute("aria-label")) say("it has no label", e);
		for (const e of document.querySelectorAll("button, a[href]")) if (!named(e)) say("it has no name", e);
		for (const e of document.querySelectorAll("img")) if (!e.hasAttribute("alt")) say("it has no alt", e);
		for (const e of document.querySelectorAll("svg:not([aria-hidden]):not([aria-label])")) if (!e.closest("[aria-hidden]")) say("it is neither hidden nor named", e);
		for (const e of document.querySelectorAll("nav")) if (!e.getAttribute("aria-label")) say("it has no label", e);
		for (const e of document.querySelectorAll("table")) if (!e.caption) say("it has no caption", e);
		for (const e of document.querySelectorAll("[tabindex]")) if (e.tabIndex > 0) say("it jumps the order of focus", e);
		for (const e of document.querySelectorAll("[tabindex='0']")) if (!e.getAttribute("aria-label")) say("it takes focus and has no name", e);
		const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
		for (const id of new Set(ids)) if (ids.filter((i) => i === id).length > 1) say("two have the id " + id);
		let level = 0;
		for (const e of document.querySelectorAll("main h1, main h2, main h3, main h4")) { const l = Number(e.tagName[1]); if (l > level + 1) say("a level of headings is left out", e); level = l; }
		if (document.title.includes("owned")) say("what a node is called was run as a script");
		return out;
	})()`) {
		b.Errorf("%s: %s", page, finding)
	}
}

// picture keeps pictures of a page, light and dark, where they are asked for.
func (b *browser) picture(name string) {
	b.Helper()
	folder := os.Getenv("UI_SCREENSHOTS")
	if folder == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		var raw []byte
		b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
			chromedp.Sleep(400*time.Millisecond), chromedp.CaptureScreenshot(&raw))
		if err := os.WriteFile(filepath.Join(folder, "ui-"+name+"-"+scheme+".png"), raw, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	b.do(emulation.SetEmulatedMedia())
}

// click clicks a link or button.
func (b *browser) click(selector string) {
	b.Helper()
	b.do(chromedp.Evaluate(fmt.Sprintf(`document.querySelector(%q).scrollIntoView({block: "center"})`, selector), nil), chromedp.Click(selector, chromedp.ByQuery))
}

// fill puts text into a field as if it were typed.
func (b *browser) fill(selector, text string) {
	b.Helper()
	b.do(chromedp.Evaluate(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.focus(); e.select(); })()`, selector), nil), chromedp.KeyEvent(text))
}

// pick chooses of a list.
func (b *browser) pick(selector, value string) {
	b.Helper()
	b.do(chromedp.Evaluate(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.value = %q; e.dispatchEvent(new Event("change")); })()`, selector, value), nil))
}

func has(t *testing.T, what, in string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(in, w) {
			t.Errorf("%s has no %q:\n%s", what, w, in)
		}
	}
}
