// Package store keeps what runs leave behind: append-only streams (journal, log), artifacts and one small document per
// run, and artifacts of projects, as names and bytes over gocloud.dev/blob, in a folder or in S3, GCS or Azure. It knows names, offsets and bytes;
// it never knows Kubernetes, what a journal means, who may read or write, or what time it is.
//
// # Layout
//
// All of a run lies below runs/NAMESPACE/UID/ and nowhere else; what is kept of a project from one run to the next lies
// below projects/NAMESPACE/UID/ and consists of artifacts alone:
//
//	streams/STREAM/.order/ORDINAL-PART   empty; the order in which parts began
//	streams/STREAM/PART/FROM.seg         one append: bytes that begin at offset FROM
//	streams/STREAM/PART/TO-RANDOM.base   the bytes from 0 to TO, in one object
//	artifacts/NAME/current               JSON: size, sha256, and the object that holds the bytes
//	artifacts/NAME/RANDOM.data           the bytes
//	meta.json                            the run's small document
//
// # Appending where nothing can be appended to
//
// Blob stores cannot append, so each append is an object, a segment, named by the offset it begins at and created only if
// no object of that name exists. A stream is its largest base and then the segments that follow it without a gap: a
// segment counts only if it begins exactly where what is before it ends. One process writes, but two may for a moment
// believe that they are the one. Both then try to create the same name, and one of them is told so.
//
// Compaction writes a new base, then deletes the older bases, then the segments that it holds, in this order. A process
// that appends looks after its write whether the base it started from is still there (every stream begins with an empty
// one). If it is, no segment has been deleted since, so its write met whoever else wrote there. If not, it looks anew, and
// compares bytes before it says that they are kept. The base with the greatest name is never deleted, and base names are
// never used twice. So a death at any line leaves either old objects that are passed over, or new ones that nobody was
// told of.
//
// # The folder
//
// A folder needs a file system with atomic rename and with flock; files appear whole or not at all. Creating only if absent
// is two steps in the library, and listing is many, so processes that share a folder take turns by a lock on the file .lock.
// A file system that hangs holds its callers until it goes on, whatever their contexts say. What is acknowledged as an artifact,
// a document or a base has been synced to disk before; an append has not: after a power failure of the machine the last
// appends of running streams may be missing (the stream then ends earlier, and its writer is told the offset to go on
// from), nothing else. A process that dies loses nothing. It may leave files that end in .tmp, and bytes that no
// artifact names, which go with their run; DeleteLeftovers deletes them before.
package store
