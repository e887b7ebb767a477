-- TPC-H Q5 over tables about people. Changed: the revenue is before discount, as arithmetic within a
-- sum is refused (S3.measure); lines come first, as it is they that are counted, and meet their
-- customer without the order between them, which would have several rows of a person on both sides
-- (S5.fan_out).
select
    n_name,
    sum(l.extendedprice) as revenue
from
    people_lineitem as l,
    people_orders as o,
    people_customer as c,
    supplier,
    nation,
    region
where
    c.custkey = l.custkey
    and l.orderkey = o.orderkey
    and l.suppkey = s_suppkey
    and c.nationkey = s_nationkey
    and s_nationkey = n_nationkey
    and n_regionkey = r_regionkey
    and r_name = 'ASIA'
    and o.orderdate >= date '1994-01-01'
    and o.orderdate < date '1994-01-01' + interval '1' year
group by
    n_name
order by
    revenue desc;
