// Command imagetar writes a container image as a tar file that "ctr images import" and "docker load" read. It knows
// layers and an image's configuration; it never knows what is inside a layer, a registry, or a container engine.
//
//	imagetar -o out.tar -ref localhost/name:tag [-from base.tar] [-layer layer.tar] [-file /dst=src] [-dir /dst=src]
//	         [-env K=V] [-user UID] [-workdir DIR] [-entrypoint ARG] [-arch ARCH]
//
// Each -layer, -file and -dir makes one layer, in the order given. Layers of -file and -dir are the same bytes for the
// same content: owner root, no times.
package main
