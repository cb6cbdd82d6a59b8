// Package docsite serves the pages that `dbt docs generate` made, out of artifacts that somebody else opens. It knows HTTP
// and the names of those files. It never knows a client or a terminal. The pages come from a pod that may be hostile: they
// may talk to nobody but this site, and nobody else's page may read it.
package docsite
