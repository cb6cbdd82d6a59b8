package collector

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/netutil"
)

// Time limits of connections. What a handler needs beside them it asks for.
const (
	headerTime = 10 * time.Second
	writeTime  = 60 * time.Second
	idleTime   = 2 * time.Minute
	// stopTime is how long requests under way may take when the server stops.
	stopTime = 8 * time.Second
	// maxHeader bounds a request's header in bytes, token included.
	maxHeader = 32 << 10
	// maxConnections bounds how many there are at a time.
	maxConnections = 4096
	// maxStreams bounds how many requests share a connection: the API server's proxy has one for many people.
	maxStreams = 100
)

// Start serves until ctx ends, then lets requests under way finish for a short time.
func (c *Collector) Start(ctx context.Context) error {
	var l net.ListenConfig
	listener, err := l.Listen(ctx, "tcp", c.config.Address)
	if err != nil {
		return fmt.Errorf("the collector cannot listen at %s: %w", c.config.Address, err)
	}
	return c.Serve(ctx, listener)
}

// NeedLeaderElection says that every replica listens; those that do not lead answer 503.
func (c *Collector) NeedLeaderElection() bool { return false }

// Serve is Start with a listener, which it closes.
func (c *Collector) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           c,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.config.Certificate},
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       c.limits.read,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          log.New(c, "", 0),
	}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(netutil.LimitListener(listener, maxConnections), "", "") }()
	c.config.Log.Info("the collector listens", "address", listener.Addr().String())
	select {
	case err := <-served:
		c.live.Close()
		return fmt.Errorf("serving at %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		c.config.Log.Info("requests under way were cut off at the stop", "after", stopTime)
		_ = server.Close() // what could be wrong is that it is closed
	}
	c.live.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving at %s: %w", listener.Addr(), err)
	}
	return nil
}

// Write takes the server's own log: handshakes that failed, for one, which anybody can cause.
func (c *Collector) Write(b []byte) (int, error) {
	c.config.Log.V(1).Info(strings.TrimSpace(string(b)))
	return len(b), nil
}
