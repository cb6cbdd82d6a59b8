"""An API in front of dbt-operator: people log in by OpenID Connect, and the cluster sees them, not this service."""
