-- TPC-H Q4 over tables about people, as it stands: an order and its lines are of one person.
select
    orderpriority,
    count(*) as order_count
from
    people_orders as o
where
    orderdate >= date '1993-07-01'
    and orderdate < date '1993-07-01' + interval '3' month
    and exists (
        select
            *
        from
            people_lineitem as l
        where
            l.orderkey = o.orderkey
            and l.commitdate < l.receiptdate
    )
group by
    orderpriority
order by
    orderpriority;
