select ordered_on, revenue
from {{ ref('daily_revenue') }}
where revenue < 0
