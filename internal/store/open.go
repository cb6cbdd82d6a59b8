package store

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"gocloud.dev/blob"
	// The drivers register themselves by URL scheme.
	_ "gocloud.dev/blob/azureblob"
	_ "gocloud.dev/blob/gcsblob"
	_ "gocloud.dev/blob/memblob"
	_ "gocloud.dev/blob/s3blob"
)

// buckets are the schemes that are left to the library.
var buckets = []string{"s3", "gs", "azblob", "mem"}

// openObjects opens what a URL names.
func openObjects(ctx context.Context, raw string) (objects, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The library's own error shows the URL.
		return nil, fmt.Errorf("the store's URL cannot be read: use file:///FOLDER, s3://BUCKET, gs://BUCKET or azblob://CONTAINER")
	}
	if u.User != nil {
		return nil, fmt.Errorf("the store's URL holds a user: credentials never belong there; they come from the environment or the pod's identity")
	}
	shown := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	switch {
	case u.Scheme == "file":
		return openFolderURL(u, shown)
	case !slices.Contains(buckets, u.Scheme):
		return nil, fmt.Errorf("the store's URL %q has the scheme %q: use file:///FOLDER, s3://BUCKET, gs://BUCKET or azblob://CONTAINER", shown, u.Scheme)
	case u.Path != "" && u.Path != "/":
		return nil, fmt.Errorf("the store's URL %q has a path, which is not used: put ?prefix=%s/ after the bucket", shown, strings.Trim(u.Path, "/"))
	case u.Host == "" && u.Scheme != "mem":
		return nil, fmt.Errorf("the store's URL %q names no bucket", shown)
	}
	q := u.Query()
	if q.Get("prefix") != "" {
		q.Set("prefix", strings.Trim(q.Get("prefix"), "/")+"/")
	}
	const checksums = "response_checksum_validation"
	if u.Scheme == "s3" && q.Get(checksums) == "" {
		// The driver would write a line to stderr for each object that was uploaded in parts. Artifacts have digests of ours.
		q.Set(checksums, "when_required")
	}
	u.RawQuery = q.Encode()
	bucket, err := blob.DefaultURLMux().OpenBucketURL(ctx, u)
	if err != nil {
		return nil, failed(err, "opening the store %s", shown)
	}
	return &blobs{bucket: bucket}, nil
}

func openFolderURL(u *url.URL, shown string) (objects, error) {
	dir := filepath.Clean(filepath.FromSlash(u.Path))
	switch {
	case u.Host != "" && u.Host != "localhost", u.Opaque != "", !filepath.IsAbs(dir):
		return nil, fmt.Errorf("the store's URL %q is not of the form file:///FOLDER, with three slashes", shown)
	case dir == string(filepath.Separator):
		return nil, fmt.Errorf("the store's URL %q names the root folder: give the store one of its own", shown)
	case u.RawQuery != "":
		return nil, fmt.Errorf("the store's URL %q has parameters, and a folder takes none: leave out what follows the ?", shown)
	}
	f, err := openFolder(dir)
	if err != nil {
		return nil, failed(err, "opening the store %s", shown)
	}
	return f, nil
}
