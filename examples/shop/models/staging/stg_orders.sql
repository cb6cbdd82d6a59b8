select
    id as order_id,
    customer_id,
    status,
    ordered_on
from {{ source('web_shop', 'orders') }}
