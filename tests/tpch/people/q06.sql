-- TPC-H Q6 over tables about people. Changed: the price is summed, not its product with the discount
-- (S3.measure); constants are decimals as the columns are, so that no column is cast (S9.function).
select
    sum(extendedprice) as revenue
from
    people_lineitem
where
    shipdate >= date '1994-01-01'
    and shipdate < date '1994-01-01' + interval '1' year
    and discount between cast('0.05' as decimal(15, 2)) and cast('0.07' as decimal(15, 2))
    and quantity < cast('24' as decimal(15, 2));
