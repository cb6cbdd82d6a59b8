-- A view and not ephemeral: dbt 2.0 wraps a query with an ephemeral parent in a way that PostgreSQL 15 refuses.
{{ config(materialized='view') }}

select
    order_id,
    sum(quantity) as pieces,
    sum(amount_cents) as amount_cents
from {{ ref('stg_order_items') }}
group by order_id
