{# An amount in cents as a number with two decimals. #}
{% macro cents_to_money(column) %}
cast({{ column }} / 100.0 as numeric(12, 2))
{% endmacro %}
