"""What another process runs in the test of plans that DuckDB might never finish: a root → each plan and its rows."""

import sys

import ibis

from metaplatform.resources.storage.warehouse import Warehouse

ROWS = 1_500_000
PLANS = {
    "anti and semi": "select t.k from t anti join r using (k) union all (select max(k) from t semi join r using (k))",
    "once each": "with r as not materialized (select k from t group by k having count(*) > 1), ranked as not "
    "materialized (select t.*, row_number() over (partition by k order by k) as n from t semi join r using (k)) "
    "select t.k from t anti join r using (k) union all select k from ranked where n = 1",
    "full": "select t.k from t full join (select k + 10 as k from t) as o using (k)",
    "ranked": "select k, lag(k) over (order by k) as before from t qualify before is not null",
    "distinct": "select distinct k from (select k from t union all select k from t)",
    "recursive": "select * from (with recursive c as (select k, 0 as n from t "
    "union all select k, n + 1 from c where n < 0) select k from c)",
    "ordered": "select k from t order by hash(k)",
}

if __name__ == "__main__":
    with Warehouse(root=sys.argv[1]).session() as session:
        session.backend.create_table("t", ibis.range(ROWS).unnest().name("k").as_table())
        session.backend.raw_sql("create table r as select 5 as k")
        for name, plan in PLANS.items():
            rows = sum(batch.num_rows for batch in session.stream(session.backend.sql(plan)))
            sys.stdout.write(f"{name}:{rows}\n")
