-- TPC-H Q1 over tables about people. Left out: the discounted price and the charge, which are
-- arithmetic within a sum (S3.measure).
select
    returnflag,
    linestatus,
    sum(quantity) as sum_qty,
    sum(extendedprice) as sum_base_price,
    avg(quantity) as avg_qty,
    avg(extendedprice) as avg_price,
    avg(discount) as avg_disc,
    count(*) as count_order
from
    people_lineitem
where
    shipdate <= date '1998-12-01' - interval '90' day
group by
    returnflag,
    linestatus
order by
    returnflag,
    linestatus;
