// Package collector is the HTTPS server that the pods of runs report to, and that people read logs and artifacts from. It
// knows HTTP, the protocol of internal/journal, limits of time, size and rate, and how long what is kept is kept. It never
// knows a controller: whoever wants to hear that a run went on is called.
//
// Its parts are packages of their own: cert (the server's certificate), access (who may do what) and live (what runs have
// reported so far, over a store).
package collector
