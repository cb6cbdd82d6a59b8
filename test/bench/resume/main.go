// Command resume measures what a pod that is lost costs: a run of many models, whose pod is killed by SIGKILL after 70 % of
// them, is timed from there to its end, beside the whole run of the same models. It runs on the cluster's node, and prints a table in Markdown whose rows end in "met" or "not met".
//
//	go run ./test/bench/resume
package main

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil/podkill"
	"github.com/dbt-operator/dbt-operator/test/bench/kit"
	"github.com/dbt-operator/dbt-operator/test/bench/report"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

// maxRatio is the budget of design: going on takes at most so much of the time of a whole run.
const maxRatio = 0.45

// share of the models is made when the pod is killed.
const share = 0.7

func main() {
	models := flag.Int("models", 200, "models of the project, each of which takes a second")
	images := flag.String("images", "localhost/dbt:1.12,localhost/dbt:2.0", "dbt's images")
	flag.Parse()
	met, err := bench(context.Background(), *models, strings.Split(*images, ","))
	report.Exit("resume", met, err)
}

func bench(ctx context.Context, models int, images []string) (met bool, err error) {
	found := report.New("resume")
	table := found.Table(fmt.Sprintf("%d models of a second each, one thread, PostgreSQL, pod killed after %d; dbt", models, killAfter(models)),
		"whole run, s", "after the pod's loss, s", "models run again", "ratio", "budget")
	for _, image := range images {
		whole, rest, again, err := measure(ctx, models, image)
		if err != nil {
			return false, fmt.Errorf("%s: %w", image, err)
		}
		ratio := rest.Seconds() / whole.Seconds()
		ok := ratio <= maxRatio && again <= models-killAfter(models)
		table.Row(ok, image[strings.LastIndexByte(image, ':')+1:], report.Seconds(whole, 1), report.Seconds(rest, 1), strconv.Itoa(again),
			fmt.Sprintf("%.3f", ratio), fmt.Sprintf("%.2f", maxRatio))
	}
	return found.Finish()
}

func killAfter(models int) int { return int(share * float64(models)) }

// measure times a whole run and what is left of one whose pod was lost, and says how many models the second pod made.
func measure(ctx context.Context, models int, image string) (whole, rest time.Duration, again int, err error) {
	place, err := kit.Open(ctx, "bench-resume")
	if err != nil {
		return 0, 0, 0, err
	}
	defer place.Close()
	b := benchmark{place}
	if err := b.setUp(ctx, models, image); err != nil {
		return 0, 0, 0, err
	}
	watch, err := b.Watch(ctx, &v1alpha1.DbtRunList{}, client.InNamespace(b.Namespace))
	if err != nil {
		return 0, 0, 0, err
	}
	defer watch.Stop()
	start := time.Now()
	if err := b.Create(ctx, b.run("whole")); err != nil {
		return 0, 0, 0, err
	}
	if whole, err = kit.Await(watch, start, kit.Succeeded("whole")); err != nil {
		return 0, 0, 0, err
	}
	if err := b.Create(ctx, b.run("lost")); err != nil {
		return 0, 0, 0, err
	}
	if _, err := kit.Await(watch, start, func(o runtime.Object) (bool, error) {
		r, ok := o.(*v1alpha1.DbtRun)
		return ok && r.Name == "lost" && r.Status.Progress != nil && int(r.Status.Progress.Done) >= killAfter(models), nil
	}); err != nil {
		return 0, 0, 0, err
	}
	pods := &corev1.PodList{}
	if err := b.List(ctx, pods, client.InNamespace(b.Namespace), client.MatchingLabels{v1alpha1.LabelRun: "lost"}); err != nil || len(pods.Items) != 1 {
		return 0, 0, 0, fmt.Errorf("%d pods of the run, want one: %w", len(pods.Items), err)
	}
	start = time.Now()
	if err := podkill.Kill(string(pods.Items[0].UID)); err != nil {
		return 0, 0, 0, err
	}
	if rest, err = kit.Await(watch, start, kit.Succeeded("lost")); err != nil {
		return 0, 0, 0, err
	}
	again, err = b.madeAgain(ctx)
	return whole, rest, again, err
}

type benchmark struct{ *kit.Place }

// setUp makes the project.
func (b benchmark) setUp(ctx context.Context, models int, image string) error {
	files := fixtures.Files{"dbt_project.yml": []byte("name: many\nversion: '1.0.0'\nconfig-version: 2\nprofile: shop\n")}
	// A view would sleep when it is read, and not when it is made.
	const model = "{{ config(materialized='table') }}\nselect 1 as one from (select pg_sleep(1)) as nap\n"
	for i := range models {
		files[fmt.Sprintf("models/m%03d.sql", i)] = []byte(model)
	}
	packed, err := files.Pack()
	if err != nil {
		return err
	}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: b.Namespace, Name: name} }
	for _, o := range []client.Object{
		&corev1.ConfigMap{ObjectMeta: meta("source"), BinaryData: map[string][]byte{fixtures.ArchiveKey: packed}},
		&corev1.ConfigMap{ObjectMeta: meta("profiles"), Data: map[string]string{"profiles.yml": string(fixtures.Shop()["profiles/profiles.yml"])}},
		&corev1.Secret{ObjectMeta: meta("warehouse"), StringData: map[string]string{"password": "dbt"}},
		&v1alpha1.DbtProject{
			ObjectMeta: meta("many"),
			Spec: v1alpha1.DbtProjectSpec{
				Source: v1alpha1.Source{ConfigMap: &v1alpha1.ConfigMapSource{Name: "source"}},
				Image:  image, ImagePullPolicy: corev1.PullIfNotPresent,
				Profiles: &v1alpha1.Profiles{ConfigMapRef: &v1alpha1.KeySelector{Name: "profiles"}},
				Target:   "postgres",
				Threads:  ptr.To[int32](1),
				Env: []corev1.EnvVar{
					{Name: "SHOP_SCHEMA", Value: strings.ReplaceAll(b.Namespace, "-", "_")},
					{Name: "SHOP_POSTGRES_PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
						LocalObjectReference: corev1.LocalObjectReference{Name: "warehouse"}, Key: "password",
					}}},
				},
			},
		},
	} {
		if err := b.Create(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func (b benchmark) run(name string) *v1alpha1.DbtRun {
	return &v1alpha1.DbtRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: name},
		Spec:       v1alpha1.DbtRunSpec{ProjectRef: &v1alpha1.ProjectReference{Name: "many"}, Commands: []string{"dbt run"}},
	}
}

// madeAgain returns how many models the run's second pod had to make, by its own word.
func (b benchmark) madeAgain(ctx context.Context) (int, error) {
	r := &v1alpha1.DbtRun{}
	if err := b.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: "lost"}, r); err != nil {
		return 0, err
	}
	var left, of int
	for _, c := range r.Status.Commands {
		if _, err := fmt.Sscanf(c.Note, "%d of %d nodes were left", &left, &of); err == nil {
			return left, nil
		}
	}
	return 0, fmt.Errorf("the run did not go on: %+v", r.Status.Commands)
}
