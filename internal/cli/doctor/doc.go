// Package doctor judges whether dbt-operator works in a cluster and for a person: version, CRDs, policies, rights, the
// operator, what it keeps, the clocks. Each finding says what would mend it. It is given what was found, and what the
// person may. It never asks anybody itself, and knows no terminal.
package doctor
