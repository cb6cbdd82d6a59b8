// Package tracing tells the sender of traces what is known of DbtRuns. It knows DbtRuns and where the store has their journals;
// it never knows what a span is made of, nor the receiver.
package tracing
