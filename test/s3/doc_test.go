// Package s3 proves internal/store against a real S3 server, versitygw, that runs on this machine for the length of the
// test: the same contract that a folder and memory are held to.
package s3
