-- TPC-H Q14 over tables about people. Changed: prices are before discount (S3.measure), and the
-- condition is a FILTER, which leaves out what is not of the promotion instead of adding a zero.
select
    100.00 * sum(extendedprice) filter (where p_type like 'PROMO%') / sum(extendedprice)
        as promo_revenue
from
    people_lineitem,
    part
where
    partkey = p_partkey
    and shipdate >= date '1995-09-01'
    and shipdate < date '1995-09-01' + interval '1' month;
