-- TPC-H Q12 over tables about people. Changed: lines of the other priorities are all lines less the
-- urgent ones, from what is released, as one question has one condition (S3.condition).
select
    shipmode,
    high_line_count,
    line_count - high_line_count as low_line_count
from
    (
        select
            l.shipmode,
            count(*) filter (where o.orderpriority in ('1-URGENT', '2-HIGH')) as high_line_count,
            count(*) as line_count
        from
            people_lineitem as l,
            people_orders as o
        where
            o.orderkey = l.orderkey
            and l.shipmode in ('MAIL', 'SHIP')
            and l.commitdate < l.receiptdate
            and l.shipdate < l.commitdate
            and l.receiptdate >= date '1994-01-01'
            and l.receiptdate < date '1994-01-01' + interval '1' year
        group by
            l.shipmode
    ) as counted
order by
    shipmode;
