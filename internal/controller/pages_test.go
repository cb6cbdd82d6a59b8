package controller

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/watchlist"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// served lists runs two by two, as an API server does with a limit, and remembers what it was asked for. It fails at the page
// with the number of fails, which counts from 1.
type served struct {
	runs  []v1alpha1.DbtRun
	fails int
	asked []metav1.ListOptions
}

var errGone = errors.New("410 Expired")

func (s *served) list(_ context.Context, options metav1.ListOptions) (runtime.Object, error) {
	s.asked = append(s.asked, options)
	if len(s.asked) == s.fails {
		return nil, errGone
	}
	from, _ := strconv.Atoi(options.Continue)
	to := min(from+2, len(s.runs))
	page := &v1alpha1.DbtRunList{ListMeta: metav1.ListMeta{ResourceVersion: "7"}}
	for i := from; i < to; i++ {
		page.Items = append(page.Items, *s.runs[i].DeepCopy())
	}
	if to < len(s.runs) {
		page.Continue, page.RemainingItemCount = strconv.Itoa(to), ptr.To(int64(len(s.runs)-to))
	}
	return page, nil
}

func (s *served) pages() pages {
	return pages{&toolscache.ListWatch{ListWithContextFunc: s.list}, slimRun(false, time.Now)}
}

func endedRuns(n int) []v1alpha1.DbtRun {
	var out []v1alpha1.DbtRun
	for i := range n {
		run := testutil.MakeDbtRun("shop-" + strconv.Itoa(i)).Namespace("a").UID("u" + strconv.Itoa(i)).Project("shop").Obj()
		run.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
		run.Status.Phase = v1alpha1.PhaseSucceeded
		out = append(out, *run)
	}
	return out
}

// The first list of DbtRuns is of pages, of what is there now, and no page is held as it came.
func TestRunsAreListedByPages(t *testing.T) {
	s := &served{runs: endedRuns(5)}
	got, err := s.pages().ListWithContext(t.Context(), metav1.ListOptions{ResourceVersion: "0", LabelSelector: "shard=a"})
	if err != nil {
		t.Fatal(err)
	}
	list, _ := got.(*v1alpha1.DbtRunList)
	var names []string
	for _, run := range list.Items {
		names = append(names, run.Name)
		if run.ManagedFields != nil {
			t.Errorf("%s is held as it came", run.Name)
		}
	}
	if diff := cmp.Diff([]string{"shop-0", "shop-1", "shop-2", "shop-3", "shop-4"}, names); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	// Else the reflector would ask for more.
	if list.ResourceVersion != "7" || list.Continue != "" {
		t.Errorf("the list has version %q and goes on at %q", list.ResourceVersion, list.Continue)
	}
	page := func(from string) metav1.ListOptions {
		return metav1.ListOptions{LabelSelector: "shard=a", Limit: pageSize, Continue: from}
	}
	if diff := cmp.Diff([]metav1.ListOptions{page(""), page("2"), page("4")}, s.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// What comes of a page that fails, such as of pages that took too long, is the reflector's to know: it begins anew.
func TestPageThatFails(t *testing.T) {
	s := &served{runs: endedRuns(5), fails: 2}
	if _, err := s.pages().ListWithContext(t.Context(), metav1.ListOptions{}); !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
}

// client-go lists first only where it is told so by a method that it looks for by its name.
func TestRunsAreListedBeforeTheyAreWatched(t *testing.T) {
	if !watchlist.DoesClientNotSupportWatchListSemantics((&served{}).pages()) {
		t.Error("DbtRuns come as the first events of a watch")
	}
}
