package runner

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// pinned is the local name of what was fetched.
const pinned = plumbing.ReferenceName("refs/dbt-operator/source")

// gitPatience bounds one fetch, so that a server that goes silent does not hold the run for ever: in that time the largest
// project that is written out, of maxCheckoutBytes, comes at little more than 1 MiB a second.
const gitPatience = 15 * time.Minute

var errSilent = fmt.Errorf("it has not ended within %s", gitPatience)

func init() {
	// Azure DevOps needs these; go-git supports them well enough for a fetch without history.
	// https://pkg.go.dev/github.com/go-git/go-git/v5/plumbing/transport#pkg-variables
	transport.UnsupportedCapabilities = []capability.Capability{capability.ThinPack}
}

// fetchGit fetches one commit, without its history where the server allows that, and writes its files out. Nothing
// of the fetch but these stays: the repository's configuration and history are no concern of dbt's.
func (r *Runner) fetchGit(ctx context.Context, g plan.Git) (project, error) {
	p, err := r.clone(ctx, g)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return project{}, &stopped{journal.Interrupted, "stopped while fetching the source"}
	default:
		return project{}, err
	}
	for _, leftover := range []string{"git", "known_hosts"} {
		if err := os.RemoveAll(filepath.Join(r.folders.workspace, leftover)); err != nil {
			return project{}, unavailable("removing what the fetch left: %w", err)
		}
	}
	return p, nil
}

func (r *Runner) clone(ctx context.Context, g plan.Git) (project, error) {
	if g.Path != "" && !filepath.IsLocal(g.Path) {
		return project{}, refused("spec.source.git.path: found %.80q, want a folder inside the repository", g.Path)
	}
	auth, err := r.gitAuth(g)
	if err != nil {
		return project{}, err
	}
	store := filesystem.NewStorage(osfs.New(filepath.Join(r.folders.workspace, "git")), cache.NewObjectLRU(8*cache.MiByte))
	repo, err := git.Init(store, nil)
	if err != nil {
		return project{}, unavailable("making the local repository: %w", err)
	}
	remote, err := repo.CreateRemoteAnonymous(&config.RemoteConfig{Name: "anonymous", URLs: []string{g.URL}})
	if err != nil {
		return project{}, refused("url %s: %w", r.redact.String(g.URL), err)
	}
	bounded, stop := r.bounded(ctx)
	defer stop()
	if err := r.gitFetch(bounded, remote, g, auth); err != nil {
		if cause := context.Cause(bounded); errors.Is(cause, errSilent) {
			err = cause
		}
		return project{}, r.gitError(g, err)
	}
	commit, err := commitOf(repo, g)
	if err != nil {
		return project{}, r.gitError(g, err)
	}
	tree, err := commit.Tree()
	if err != nil {
		return project{}, r.gitError(g, err)
	}
	if err := r.checkout(tree); err != nil {
		return project{}, refused("commit %s of %s: %w", commit.Hash, r.redact.String(g.URL), err)
	}
	return project{Dir: filepath.Join(r.folders.project(), filepath.FromSlash(g.Path)), Revision: commit.Hash.String()}, nil
}

// bounded returns a context that is done with ctx, or with errSilent as its cause when gitPatience is over.
func (r *Runner) bounded(ctx context.Context) (_ context.Context, stop func()) {
	out, end := context.WithCancelCause(ctx)
	over := r.after(gitPatience)
	go func() {
		select {
		case <-over:
			end(errSilent)
		case <-out.Done():
		}
	}()
	return out, func() { end(nil) }
}

// gitFetch fetches what g names. A commit is asked for by its name, which servers may refuse; then all branches and
// tags are fetched, and it is looked for in them.
func (r *Runner) gitFetch(ctx context.Context, remote *git.Remote, g plan.Git, auth transport.AuthMethod) error {
	fetch := func(depth int, specs ...config.RefSpec) error {
		err := remote.FetchContext(ctx, &git.FetchOptions{
			RemoteURL: g.URL, RefSpecs: specs, Depth: depth, Auth: auth, CABundle: r.gitCA(g), Tags: git.NoTags, Force: true,
		})
		if errors.Is(err, git.NoErrAlreadyUpToDate) {
			return nil
		}
		return err
	}
	if g.Commit == "" {
		return fetch(1, config.RefSpec("+"+refOf(g)+":"+string(pinned)))
	}
	err := fetch(1, config.RefSpec(g.Commit+":"+string(pinned)))
	var network net.Error
	if err == nil || ctx.Err() != nil || isAuth(err) || errors.As(err, &network) {
		return err
	}
	r.print.line("info", "The server does not give out single commits ("+err.Error()+"): fetching all branches and tags")
	return fetch(0, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
}

func refOf(g plan.Git) string {
	switch {
	case g.Branch != "":
		return "refs/heads/" + g.Branch
	case g.Tag != "":
		return "refs/tags/" + g.Tag
	case g.Ref != "":
		return g.Ref
	default:
		return "HEAD"
	}
}

// commitOf returns the fetched commit: the one named, or the one that the fetched branch or tag points to.
func commitOf(repo *git.Repository, g plan.Git) (*object.Commit, error) {
	hash := plumbing.NewHash(g.Commit)
	if g.Commit == "" {
		ref, err := repo.Reference(pinned, true)
		if err != nil {
			return nil, err
		}
		hash = ref.Hash()
	}
	for {
		tag, err := repo.TagObject(hash)
		if err != nil {
			return repo.CommitObject(hash)
		}
		hash = tag.Target
	}
}

func isAuth(err error) bool {
	return errors.Is(err, transport.ErrAuthenticationRequired) || errors.Is(err, transport.ErrAuthorizationFailed) ||
		errors.Is(err, transport.ErrInvalidAuthMethod) || errors.Is(err, transport.ErrRepositoryNotFound)
}

// gitError says what kept a fetch from its end, and what would do. A remote that is not there may be there later; one
// that says no will say it again.
func (r *Runner) gitError(g plan.Git, err error) error {
	url := r.redact.String(g.URL)
	credentials := "name a Secret in spec.source.git.credentialsSecretRef"
	if g.Credentials {
		credentials = "check the Secret that spec.source.git.credentialsSecretRef names"
	}
	var noRef git.NoMatchingRefSpecError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed), errors.Is(err, transport.ErrInvalidAuthMethod):
		return refused("git at %s refused access (%s): %s", url, strings.TrimSuffix(err.Error(), ": "), credentials)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return refused("git at %s has no such repository, or does not show it: check spec.source.git.url, or %s", url, credentials)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return refused("git at %s is an empty repository", url)
	case errors.As(err, &noRef), errors.Is(err, plumbing.ErrReferenceNotFound):
		return refused("git at %s has no %s: check spec.source.git.ref and spec.revision", url, refOf(g))
	case errors.Is(err, plumbing.ErrObjectNotFound):
		return refused("git at %s has no commit %s: check spec.source.git.ref and spec.revision", url, firstNonEmpty(g.Commit, refOf(g)))
	case errors.Is(err, errForbiddenHost):
		return refused("git at %s: %w", url, errForbiddenHost)
	case errors.As(err, &certificate):
		return refused("git at %s has a certificate that is not trusted (%w): put the certificate of its authority into the Secret that spec.source.git.credentialsSecretRef names, under the key ca.crt", url, certificate)
	default:
		return unavailable("fetching %s from git at %s: %w", firstNonEmpty(g.Commit, refOf(g)), url, err)
	}
}

func firstNonEmpty(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// checkoutLimits bound what one commit may write.
const (
	maxCheckoutFiles = 200_000
	maxCheckoutBytes = 1 << 30
)

var errTooLarge = fmt.Errorf("holds more than %d files or %d MiB: give dbt a repository of its own", maxCheckoutFiles, maxCheckoutBytes>>20)
