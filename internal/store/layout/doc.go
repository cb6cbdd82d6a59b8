// Package layout is how a run's data is laid out in a store: which names there are, and what a listing of them means. It
// knows names, sizes and offsets; it never knows how objects are read or written, and trusts nothing that it is shown.
package layout
