// Package text makes foreign text fit for a terminal, a log and a status field: valid UTF-8, no ANSI sequences, no
// control or direction-changing characters, bounded. It knows bytes and runes; it never knows where they came from.
package text
