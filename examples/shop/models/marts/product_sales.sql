select
    products.code as product_code,
    products.name as product,
    products.category,
    sum(items.quantity) as pieces,
    {{ cents_to_money('sum(items.amount_cents)') }} as revenue
from {{ ref('stg_order_items') }} as items
inner join {{ ref('products') }} as products on products.code = items.product_code
group by 1, 2, 3
