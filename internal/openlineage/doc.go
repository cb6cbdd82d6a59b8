// Package openlineage knows OpenLineage run events: how a run and its nodes are named, which facets say what, and in
// which order the events of a run come. It builds them from what is known of a run, its journal and its lineage
// document, one by one. It never knows Kubernetes, HTTP, files or a clock: the same run gives the same events, byte for
// byte, however often they are built.
//
// Facts and names follow the OpenLineage specification 2-0-2 and its dbt integration; docs/lineage.md says which.
package openlineage
