package main

import (
	"compress/gzip"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// options is what the command line asks for.
type options struct {
	out, ref, from, user, workdir, arch string
	env, entrypoint                     list
	layers                              []v1.Layer
}

// quick, because the tars never leave the machine: size hardly matters, time does.
var quick = tarball.WithCompressionLevel(gzip.BestSpeed)

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "imagetar:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	img, err := build(o)
	if err != nil {
		return fmt.Errorf("building %s: %w", o.ref, err)
	}
	tag, err := name.NewTag(o.ref)
	if err != nil {
		return fmt.Errorf("-ref %q: %w", o.ref, err)
	}
	if err := tarball.WriteToFile(o.out, tag, img); err != nil {
		return fmt.Errorf("writing %s: %w", o.out, err)
	}
	return nil
}

func parse(args []string) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("imagetar", flag.ContinueOnError)
	fs.StringVar(&o.out, "o", "", "tar file to write")
	fs.StringVar(&o.ref, "ref", "", "the image's name and tag")
	fs.StringVar(&o.from, "from", "", "tar file of an image to add to; empty starts from nothing")
	fs.StringVar(&o.user, "user", "", "user the image runs as; empty keeps that of -from")
	fs.StringVar(&o.arch, "arch", runtime.GOARCH, "the platform's architecture, as Go names it")
	fs.StringVar(&o.workdir, "workdir", "", "working directory; empty keeps that of -from")
	fs.Var(&o.env, "env", "K=V added to the environment; may be repeated")
	fs.Var(&o.entrypoint, "entrypoint", "an argument of the entry point; may be repeated")
	fs.Func("layer", "uncompressed layer tar to add; may be repeated", func(path string) error {
		layer, err := tarball.LayerFromFile(path, quick)
		o.layers = append(o.layers, layer)
		return err
	})
	fs.Func("file", "DST=SRC: a layer of one file; may be repeated", o.tree)
	fs.Func("dir", "DST=SRC: a layer of a folder's content; may be repeated", o.tree)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if o.out == "" || o.ref == "" || fs.NArg() > 0 {
		return nil, fmt.Errorf("-o and -ref are needed, and there are no further arguments; found %q", fs.Args())
	}
	return o, nil
}

// tree adds a layer that holds SRC at DST.
func (o *options) tree(spec string) error {
	dst, src, ok := strings.Cut(spec, "=")
	if !ok || !strings.HasPrefix(dst, "/") || src == "" {
		return fmt.Errorf("found %q, want /DST=SRC", spec)
	}
	layer, err := treeLayer(dst, src)
	if err != nil {
		return err
	}
	o.layers = append(o.layers, layer)
	return nil
}

// build returns the image that o describes.
func build(o *options) (v1.Image, error) {
	img := empty.Image
	if o.from != "" {
		base, err := tarball.ImageFromPath(o.from, nil)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", o.from, err)
		}
		img = base
	}
	img, err := mutate.AppendLayers(img, o.layers...)
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	// An image that does not name these is not unpacked.
	file.OS, file.Architecture = "linux", o.arch
	file.Config.Env = append(file.Config.Env, o.env...)
	if o.user != "" {
		file.Config.User = o.user
	}
	if o.workdir != "" {
		file.Config.WorkingDir = o.workdir
	}
	if len(o.entrypoint) > 0 {
		file.Config.Entrypoint, file.Config.Cmd = o.entrypoint, nil
	}
	return mutate.ConfigFile(img, file)
}
