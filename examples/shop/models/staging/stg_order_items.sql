select
    items.id as order_item_id,
    items.order_id,
    items.product_code,
    items.quantity,
    items.quantity * products.price_cents as amount_cents
from {{ source('web_shop', 'order_items') }} as items
inner join {{ ref('products') }} as products on products.code = items.product_code
