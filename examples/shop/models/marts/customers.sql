select
    customers.customer_id,
    customers.customer_name,
    countries.name as country,
    customers.signed_up_on,
    count(orders.order_id) as orders
from {{ ref('stg_customers') }} as customers
inner join {{ ref('countries') }} as countries on countries.code = customers.country_code
left join {{ ref('stg_orders') }} as orders on orders.customer_id = customers.customer_id
group by 1, 2, 3, 4
