package ui

import (
	"fmt"
	"math/rand/v2"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

const (
	namespace = "team-a"
	failedRun = "shop-nightly-29400120"
	largeRun  = "warehouse-full-7fk2p"
	workRun   = "shop-x7k2p"
	hugeNodes = 5000
)

const ordersSQL = `with orders as (
    select * from "warehouse"."analytics"."stg_orders"
), payments as (
    select order_id, sum(amount) as amount  -- one row an order
    from "warehouse"."analytics"."stg_payments"
    where status <> 'failed'
    group by order_id
)
select orders.order_id, orders.ordered_at, payments.amount / orders.items as amount_per_item
from orders
left join payments using (order_id)`

// shop is a team's namespace: three schedules over some weeks, one run that failed, one under way, and one of 5,000 nodes.
func shop() *record {
	r := &record{journals: map[string]*journal.State{}, files: map[string][]byte{}, changed: make(chan *v1alpha1.DbtRun, 8)}
	r.history()
	r.failed()
	r.large()
	r.underWay()
	return r
}

func (r *record) history() {
	dice := rand.New(rand.NewPCG(3, 5)) //nolint:gosec // it makes up durations, the same each time
	for _, s := range []struct {
		name, cron, project, author string
		every                       time.Duration
		seconds, runs               int
	}{
		{"finance-hourly", "15 * * * *", "finance", "grace@example.com", time.Hour, 140, 30},
		{"shop-nightly", "0 2 * * *", "shop", "ada@example.com", 24 * time.Hour, 620, 24},
		{"warehouse-weekly", "30 4 * * 1", "warehouse", "team-platform@example.com", 7 * 24 * time.Hour, 5100, 9},
	} {
		schedule := testutil.MakeDbtSchedule(s.name, s.cron).Namespace(namespace).Zone("Europe/Lisbon").Author(s.author).
			Template(testutil.MakeDbtRun("").Project(s.project).Command("dbt build")).Obj()
		schedule.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Ticking"}}
		if s.name == "warehouse-weekly" {
			schedule.Status.MissedTotal = 2
		}
		r.schedules = append(r.schedules, *schedule)
		for i := s.runs; i > 0; i-- {
			at := today.Truncate(time.Hour).Add(-time.Duration(i) * s.every).Add(15 * time.Minute)
			run := scheduled(testutil.MakeDbtRun(fmt.Sprintf("%s-%d", s.name, at.Unix()/60)).Namespace(namespace).UID(s.name+at.String()).
				Project(s.project).RequestedBy(s.author).Command("dbt build").Created(at), s.name, at).Obj()
			took := time.Duration(float64(s.seconds)*(0.8+0.5*dice.Float64())) * time.Second
			phase, reason, message, bad := v1alpha1.PhaseSucceeded, "Succeeded", "All nodes ended well.", int32(0)
			switch dice.IntN(9) {
			case 0:
				phase, reason, message, bad = v1alpha1.PhaseFailed, v1alpha1.ReasonNodesFailed, "2 nodes failed: test.shop.unique_orders, model.shop.revenue.", 2
			case 1:
				if dice.IntN(3) == 0 {
					phase, reason, message = v1alpha1.PhaseCancelled, "Cancelled", "Cancelled by its requester."
				}
			}
			r.runs = append(r.runs, *status(run, phase, reason, message, at.Add(7*time.Second), at.Add(took), 28, bad))
		}
	}
	paused := testutil.MakeDbtSchedule("shop-freshness", "*/10 * * * *").Namespace(namespace).Author("ada@example.com").Suspend().
		Template(testutil.MakeDbtRun("").Project("shop").Command("dbt source freshness")).Obj()
	r.schedules = append(r.schedules, *paused)
}

// failed is the nightly run, in which a test and a model failed.
func (r *record) failed() {
	at := today.Add(-7*time.Hour - 41*time.Minute)
	run := scheduled(testutil.MakeDbtRun(failedRun).Namespace(namespace).UID("failed").Project("shop").RequestedBy("ada@example.com", "analytics").
		Command("dbt build").Created(at), "shop-nightly", at).Obj()
	nodes := shopNodes()
	ended := r.play(failedRun, at.Add(6*time.Second), 4, nodes)
	status(run, v1alpha1.PhaseFailed, v1alpha1.ReasonNodesFailed, "2 nodes failed: model.shop.order_amounts, test.shop.unique_customers_customer_id.", at.Add(6*time.Second), ended, 34, 2)
	run.Status.Results = &v1alpha1.Results{Success: 28, Warn: 1, Fail: 1, Error: 1, Skipped: 4}
	run.Status.Artifacts = artifacts
	run.Status.Revision = &v1alpha1.Revision{
		Source: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", Image: "registry.example.com/dbt-postgres@sha256:2c26b46b68ffc68ff99b453c1d304134",
		Dbt: "1.11.16", Adapter: "postgres=1.11.0",
	}
	began, over, code := metav1.NewTime(at.Add(6*time.Second)), metav1.NewTime(ended), int32(10)
	run.Status.Attempts = []v1alpha1.Attempt{{Pod: failedRun + "-0a1b2c3d-9wk4z", Node: "worker-2", StartTime: &began, EndTime: &over, ExitCode: &code, Reason: "NodesFailed"}}
	r.runs = append(r.runs, *run)
}

func (r *record) large() {
	at := today.Add(-3 * time.Hour)
	run := testutil.MakeDbtRun(largeRun).Namespace(namespace).UID("large").Project("warehouse").RequestedBy("grace@example.com").Command("dbt build --full-refresh").Created(at).Obj()
	ended := r.play(largeRun, at.Add(9*time.Second), 16, large(hugeNodes))
	status(run, v1alpha1.PhaseFailed, v1alpha1.ReasonNodesFailed, "Nodes failed.", at.Add(9*time.Second), ended, hugeNodes-417, 11)
	run.Status.Artifacts = artifacts
	r.runs = append(r.runs, *run)
}

// underWay is a run of which more is known each moment.
func (r *record) underWay() {
	at := today.Add(-95 * time.Second)
	run := testutil.MakeDbtRun(workRun).Namespace(namespace).UID("work").Project("shop").RequestedBy("ada@example.com").Command("dbt build --select orders+").Created(at).Obj()
	status(run, v1alpha1.PhaseRunning, "Running", "dbt is at work.", at.Add(5*time.Second), at, 0, 0)
	run.Status.Progress = &v1alpha1.Progress{Total: 14, Done: 5, Running: []string{"model.shop.orders"}}
	r.runs = append(r.runs, *run)
}

// shopNodes is the project shop, in the order in which dbt begins its nodes.
func shopNodes() []node {
	model := func(name string, seconds float64, parents ...string) node {
		return node{id: "model.shop." + name, kind: "model", status: "success", seconds: seconds, parents: parents}
	}
	test := func(name, of string, seconds float64) node {
		return node{id: "test.shop." + name, kind: "test", status: "pass", seconds: seconds, parents: []string{of}}
	}
	m := func(name string) string { return "model.shop." + name }
	var out []node
	for _, t := range []string{"orders", "order_items", "payments", "customers", "products", "events", "refunds"} {
		out = append(out, node{id: "source.shop.web_shop." + t, kind: "source"})
	}
	out = append(out, node{id: "seed.shop.countries", kind: "seed", status: "success", seconds: 2.1})
	for i, t := range []string{"orders", "order_items", "payments", "customers", "products", "events", "refunds"} {
		out = append(out, model("stg_"+t, 6+float64(i*i)*1.7, "source.shop.web_shop."+t))
	}
	broken := model("order_amounts", 14.3, m("stg_orders"), m("stg_payments"))
	broken.status, broken.sql = "error", ordersSQL
	broken.message = "Database Error in model order_amounts (models/marts/order_amounts.sql)\n  division by zero\n  compiled code at target/run/shop/models/marts/order_amounts.sql"
	unique := test("unique_customers_customer_id.c5af1ff4b1", m("customers"), 3.4)
	unique.status, unique.message = "fail", "Got 12 results, configured to fail if != 0"
	unique.sql = "select customer_id as unique_field, count(*) as n_records\nfrom \"warehouse\".\"analytics\".\"customers\"\nwhere customer_id is not null\ngroup by customer_id\nhaving count(*) > 1"
	warned := test("freshness_of_events.9d2", m("stg_events"), 1.2)
	warned.status = "warn"
	evil := model(hostile, 5.5, m("stg_products"))
	evil.message = hostile
	return append(out,
		test("not_null_stg_orders_order_id.e1", m("stg_orders"), 2.2), test("unique_stg_orders_order_id.e2", m("stg_orders"), 2.9), test("not_null_stg_payments_id.e3", m("stg_payments"), 1.8), warned,
		model("int_order_items", 21.5, m("stg_order_items"), m("stg_products")), broken, evil,
		model("int_sessions", 64.8, m("stg_events")), model("int_payments_by_day", 12.2, m("stg_payments"), m("stg_refunds")),
		model("customers", 18.4, m("stg_customers"), m("stg_orders"), "seed.shop.countries"), unique,
		model("orders", 33.1, m("int_order_items"), m("stg_orders")), test("not_null_orders_order_id.e4", m("orders"), 2.1), test("relationships_orders_customer.e5", m("orders"), 6.4),
		model("products", 9.7, m("int_order_items"), m("stg_products")), model("sessions", 41.9, m("int_sessions")), test("not_null_sessions_id.e6", m("sessions"), 3.3),
		model("revenue", 22.0, m("order_amounts"), m("orders")), model("revenue_by_country", 9.0, m("revenue"), "seed.shop.countries"),
		model("refund_rate", 7.7, m("int_payments_by_day"), m("orders")), model("conversion", 38.2, m("sessions"), m("orders")),
		model("customer_lifetime_value", 11.0, m("customers"), m("revenue")), model("churn", 15.0, m("customers"), m("sessions")),
		model("product_affinity", 44.0, m("products"), m("orders")), model("weekly_kpis", 12.9, m("conversion"), m("refund_rate"), m("product_affinity")),
		node{id: "exposure.shop.weekly_report", kind: "exposure", parents: []string{m("weekly_kpis"), m("revenue_by_country")}})
}
