select
    ordered_on,
    count(*) as orders,
    sum(amount) as revenue
from {{ ref('orders') }}
where status <> 'returned'
    and amount_cents >= {{ var('minimum_order_cents') }}
group by ordered_on
