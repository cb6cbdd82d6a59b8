package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

const commands = "archive, krew, index, provenance or check"

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("want %s", commands)
	}
	switch name, rest := args[0], args[1:]; name {
	case "archive":
		return runArchive(rest)
	case "krew":
		return runKrew(rest)
	case "index":
		return runIndex(rest)
	case "provenance":
		return runProvenance(rest)
	case "check":
		if len(rest) != 1 {
			return fmt.Errorf("check: want one folder, found %q", rest)
		}
		return check(rest[0])
	default:
		return fmt.Errorf("found %q, want %s", name, commands)
	}
}

func runArchive(args []string) error {
	fs := flag.NewFlagSet("archive", flag.ContinueOnError)
	out := fs.String("o", "", "file to write")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *out == "" || fs.NArg() == 0 {
		return fmt.Errorf("archive: -o and at least one file are needed")
	}
	return writeArchive(*out, fs.Args())
}

func runKrew(args []string) error {
	fs := flag.NewFlagSet("krew", flag.ContinueOnError)
	out, version := fs.String("o", "", "file to write"), fs.String("version", "", "the release's version")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *out == "" || *version == "" || fs.NArg() == 0 {
		return fmt.Errorf("krew: -o, -version and at least one archive are needed")
	}
	manifest, err := krew(*version, fs.Args())
	if err != nil {
		return err
	}
	return os.WriteFile(*out, manifest, 0o644)
}

func runIndex(args []string) error {
	fs := flag.NewFlagSet("index", flag.ContinueOnError)
	out, ref := fs.String("o", "", "tar file to write"), fs.String("ref", "", "the image's name and tag")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *out == "" || *ref == "" || fs.NArg() == 0 {
		return fmt.Errorf("index: -o, -ref and at least one image are needed")
	}
	return writeIndex(*out, *ref, fs.Args())
}

func runProvenance(args []string) error {
	fs := flag.NewFlagSet("provenance", flag.ContinueOnError)
	out := fs.String("o", "", "file to write")
	b := build{goVersion: runtime.Version()}
	fs.StringVar(&b.version, "version", "", "the release's version")
	fs.StringVar(&b.commit, "commit", "", "the commit that was built")
	fs.StringVar(&b.builder, "builder", repository+"/blob/main/hack/release.sh", "URI of who has built")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *out == "" || fs.NArg() == 0 {
		return fmt.Errorf("provenance: -o and at least one file are needed")
	}
	statement, err := provenance(b, fs.Args())
	if err != nil {
		return err
	}
	return os.WriteFile(*out, statement, 0o644)
}
