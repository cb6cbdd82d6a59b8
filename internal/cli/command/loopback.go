package command

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"
)

// port is the flag of a command that serves pages on this machine.
type port int

// ports adds --port to a command.
func (a *app) ports(c *cobra.Command) *port {
	p := new(port)
	c.Flags().IntVar((*int)(p), "port", 0, "Port to serve at; 0 for one that is free.")
	a.complete(c, "port", nil)
	return p
}

func (p port) validate() error {
	if p < 0 || p > 65535 {
		return fmt.Errorf("--port: found %d: must be 1 to 65535, or 0 for one that is free", p)
	}
	return nil
}

// listen listens on this machine's loopback address alone.
func (p port) listen(ctx context.Context) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(p))))
	if err != nil {
		return nil, fmt.Errorf("--port: cannot listen: %w", err)
	}
	return l, nil
}
