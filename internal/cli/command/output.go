package command

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/yaml"

	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
)

// How nothing, the client alone, or the API server tries a change.
const (
	dryNone   = "none"
	dryClient = "client"
	dryServer = "server"
)

// change are the flags of a command that changes an object of the cluster.
type change struct {
	print *genericclioptions.PrintFlags
	dry   string
}

// changes adds the flags of a change to a command. What was done is said in one word, such as created.
func changes(c *cobra.Command, done string) *change {
	f := &change{print: genericclioptions.NewPrintFlags(done).WithTypeSetter(kube.Scheme())}
	f.print.AddFlags(c)
	c.Flags().StringVar(&f.dry, "dry-run", dryNone, `Try it and keep nothing: "client" shows what would be sent, "server" has the API server check it, its policies as well.`)
	fixed(c, "dry-run", dryNone, dryClient, dryServer)
	return f
}

func (f *change) validate() error {
	return oneOf("--dry-run", f.dry, dryNone, dryClient, dryServer)
}

// say prints an object that was changed.
func (f *change) say(a *app, object runtime.Object) error {
	switch f.dry {
	case dryClient:
		if err := f.print.Complete("%s (dry run)"); err != nil {
			return err
		}
	case dryServer:
		if err := f.print.Complete("%s (server dry run)"); err != nil {
			return err
		}
	}
	p, err := f.print.ToPrinter()
	if err != nil {
		return err
	}
	return p.PrintObj(object, a.Out)
}

func oneOf(flag, found string, allowed ...string) error {
	if slices.Contains(allowed, found) {
		return nil
	}
	return fmt.Errorf("%s: found %q: must be one of %s", flag, found, strings.Join(allowed, ", "))
}

// read are the flags of a command that shows objects of the API.
type read struct {
	print *genericclioptions.PrintFlags
}

func reads(c *cobra.Command) *read {
	f := &read{print: genericclioptions.NewPrintFlags("").WithTypeSetter(kube.Scheme())}
	f.print.AddFlags(c)
	output := c.Flags().Lookup("output")
	output.Usage = strings.Replace(output.Usage, "(json", "("+wide+", json", 1)
	return f
}

const wide = "wide"

// format returns what --output says.
func (f *read) format() string { return *f.print.OutputFormat }

// forPeople reports whether it is text for people that is wanted.
func (f *read) forPeople() bool { return f.format() == "" || f.format() == wide }

func (f *read) say(a *app, object runtime.Object) error {
	p, err := f.print.ToPrinter()
	if err != nil {
		return err
	}
	return p.PrintObj(object, a.Out)
}

// Formats of what is no object of the API.
const (
	asText = ""
	asJSON = "json"
	asYAML = "yaml"
)

// formats adds --output to a command that shows what is no object of the API.
func formats(c *cobra.Command, into *string) {
	c.Flags().StringVarP(into, "output", "o", asText, "Output format: json or yaml. Default: text for people.")
	fixed(c, "output", asJSON, asYAML)
}

// data prints what is no object of the API. text is called if it is for people.
func (a *app) data(format string, value any, text func() string) error {
	if format == asText {
		return a.say(text())
	}
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	if format == asJSON {
		return a.say(string(raw) + "\n")
	}
	if err := oneOf("--output", format, asJSON, asYAML); err != nil {
		return err
	}
	if raw, err = yaml.JSONToYAML(raw); err != nil {
		return err
	}
	return a.say(string(raw))
}
