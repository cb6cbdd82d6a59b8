select orders.order_id
from {{ ref('stg_orders') }} as orders
left join {{ ref('stg_payments') }} as payments on payments.order_id = orders.order_id
group by orders.order_id
having count(payments.payment_id) <> 1
