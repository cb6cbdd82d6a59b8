// Package commands tests that what the repository's pages say to type can be typed: that targets, commands, flags, files and
// tests of that name are there. It runs nothing of it. It holds tests only.
package commands
