// Package cert keeps the collector's certificate: one of its own making, kept in a Secret and renewed without a restart and
// without breaking the trust of pods that run, or one that is given in a folder. It knows X.509, a Secret and a folder; it
// never knows what the certificate is used for.
package cert
