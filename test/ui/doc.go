// Package ui opens the pages of `kubectl dbt ui` in a real Chromium over recorded objects and clicks through them. With
// UI_SCREENSHOTS set to a folder it leaves pictures of them there: docs/images has those of docs/ui.md.
package ui
