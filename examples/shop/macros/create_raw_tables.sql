{#
  Makes the four source tables of the web shop, with rows computed from their numbers, so that every database holds the
  same data. Written in the SQL that PostgreSQL and DuckDB share. It changes nothing that is already there.
#}
{% macro create_raw_tables() %}
{% set raw = target.schema ~ '_raw' %}
create schema if not exists {{ raw }};

create table if not exists {{ raw }}.customers as
select
    i as id,
    'Customer ' || i as name,
    case i % 5 when 0 then 'PT' when 1 then 'DE' when 2 then 'FR' when 3 then 'NL' else 'SE' end as country,
    cast('2026-01-01' as date) + cast(i % 90 as integer) as signed_up_on,
    current_timestamp as loaded_at
from generate_series(1, 100) as numbers (i);

create table if not exists {{ raw }}.orders as
select
    i as id,
    1 + (i * 7) % 100 as customer_id,
    case when i % 20 = 0 then 'returned' when i % 3 = 0 then 'shipped' else 'completed' end as status,
    cast('2026-02-01' as date) + cast(i % 60 as integer) as ordered_on,
    current_timestamp as loaded_at
from generate_series(1, 500) as numbers (i);

create table if not exists {{ raw }}.order_items as
select
    i as id,
    1 + (i - 1) % 500 as order_id,
    'P' || (1 + i % 8) as product_code,
    1 + i % 3 as quantity,
    current_timestamp as loaded_at
from generate_series(1, 1200) as numbers (i);

create table if not exists {{ raw }}.payments as
select
    i as id,
    i as order_id,
    case i % 3 when 0 then 'card' when 1 then 'transfer' else 'voucher' end as method,
    current_timestamp as loaded_at
from generate_series(1, 500) as numbers (i);
{% endmacro %}
