// Package pages reads the repository's Markdown as GitHub does: which headings can be linked to, where links lead, and what
// stands in fenced blocks and code spans. It knows Markdown and git's list of files; it never judges what it reads.
package pages
