{{ config(materialized='incremental', unique_key='order_id') }}

select
    orders.order_id,
    orders.customer_id,
    orders.status,
    orders.ordered_on,
    payments.method as payment_method,
    totals.pieces,
    totals.amount_cents,
    {{ cents_to_money('totals.amount_cents') }} as amount
from {{ ref('stg_orders') }} as orders
inner join {{ ref('order_totals') }} as totals on totals.order_id = orders.order_id
inner join {{ ref('stg_payments') }} as payments on payments.order_id = orders.order_id
{% if is_incremental() %}
-- The newest day is read again: its orders may have changed since.
where orders.ordered_on >= (select max(ordered_on) from {{ this }})
{% endif %}
