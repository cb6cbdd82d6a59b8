// Command release makes and checks what lies beside a release's binaries. It knows images as tar files, SHA256SUMS,
// archives, krew's manifests, CycloneDX and in-toto; it never knows how a binary is built, a registry, or a key.
//
//	release archive -o OUT.tar.gz FILE…                a gzipped tar, the same bytes for the same files
//	release krew -version V -o OUT ARCHIVE…            the manifest by which krew installs the plugin
//	release index -o OUT.tar -ref NAME IMAGE.tar…      one OCI layout of an image for several platforms
//	release provenance -version V -commit C -o OUT FILE…   a SLSA v1 statement on files of a folder
//	release check DIR                                   whether the pieces of a release agree
package main
