package arch

// module is this repository's module path; packages are named by what follows it.
const module = "github.com/dbt-operator/dbt-operator/"

// rule says what a package may know.
type rule struct {
	// imports are the packages of this module it may import.
	imports []string
	// external are prefixes of import paths outside this module that it may import, beside the standard library.
	external []string
	// never are prefixes of import paths it may not depend on, be it through other packages.
	never []string
	// pure packages decide, build or parse: they import nothing that does input or output.
	pure bool
}

var (
	// kubernetes is everything that speaks of Kubernetes at all.
	kubernetes = []string{"k8s.io/", "sigs.k8s.io/"}
	// clients are the ways to talk to an API server.
	clients = []string{"k8s.io/client-go/", "sigs.k8s.io/controller-runtime"}
	// impure are packages of the standard library that do input or output.
	impure = []string{"database/sql", "log", "log/slog", "net", "net/http", "os", "os/exec", "os/signal", "syscall"}
	// objects are the types of Kubernetes objects, without a client.
	objects = []string{"k8s.io/api/", "k8s.io/apimachinery/", "k8s.io/apiextensions-apiserver/pkg/apis/", "k8s.io/utils/ptr"}
)

// rules holds every package of the module. A folder's rule holds for what is below it as well, unless that has its own.
var rules = map[string]rule{
	"api/v1alpha1": {external: objects, never: clients},

	"cmd/manager": {
		imports: []string{
			"api/v1alpha1", "internal/collector", "internal/collector/cert", "internal/controller", "internal/controller/dbtproject",
			"internal/controller/dbtrun", "internal/controller/dbtschedule", "internal/controller/follow", "internal/controller/openlineage",
			"internal/controller/tracing", "internal/metrics", "internal/openlineage", "internal/openlineage/send", "internal/outbox", "internal/plan",
			"internal/runjob", "internal/store", "internal/tracing/send",
		},
		external: []string{"go.opentelemetry.io/otel", "k8s.io/", "sigs.k8s.io/controller-runtime"},
		never:    []string{module + "internal/runner"},
	},
	"cmd/runner": {
		imports: []string{"internal/runner", "internal/plan", "internal/journal"},
		never:   append([]string{module + "internal/controller", module + "api/"}, kubernetes...),
	},
	"cmd/kubectl-dbt": {
		imports: []string{"internal/cli/command"},
		external: []string{
			"golang.org/x/term", "k8s.io/cli-runtime/pkg/genericiooptions", "k8s.io/client-go/plugin/pkg/client/auth", "k8s.io/utils/clock",
		},
		never: []string{module + "internal/controller", module + "internal/runner", module + "internal/store"},
	},

	"internal/cli": {},
	"internal/cli/command": {
		imports: []string{
			"api/v1alpha1", "internal/cli/agent", "internal/cli/compare", "internal/cli/docsite", "internal/cli/doctor", "internal/cli/graph",
			"internal/cli/intent", "internal/cli/kept", "internal/cli/kube", "internal/cli/result", "internal/cli/ui", "internal/cli/view",
			"internal/conditions", "internal/dbt", "internal/dbt/text", "internal/journal",
		},
		external: append([]string{
			"github.com/modelcontextprotocol/go-sdk/mcp", "github.com/spf13/cobra", "k8s.io/cli-runtime/", "k8s.io/utils/clock", "sigs.k8s.io/yaml",
		}, objects...),
		never: []string{module + "internal/controller", module + "internal/runner", module + "internal/store"},
	},
	"internal/cli/compare": {
		imports: []string{"api/v1alpha1", "internal/dbt", "internal/journal"}, never: clients, pure: true,
	},
	"internal/cli/docsite": {never: append([]string{module + "api/"}, kubernetes...)},
	"internal/cli/doctor": {
		imports:  []string{"api/v1alpha1", "internal/cli/kept", "internal/cli/kube", "internal/cli/view"},
		external: objects,
		never:    []string{module + "internal/controller", module + "internal/runner"},
		pure:     true,
	},
	"internal/cli/graph": {imports: []string{"api/v1alpha1", "internal/dbt"}, never: clients, pure: true},
	"internal/cli/intent": {
		imports: []string{"api/v1alpha1", "internal/admission"}, external: append([]string{"go.yaml.in/yaml/v3"}, objects...), never: clients, pure: true,
	},
	"internal/cli/kept": {
		imports:  []string{"internal/journal"},
		external: append([]string{"k8s.io/client-go/rest", "k8s.io/utils/clock"}, objects...),
		never:    []string{module + "internal/controller", module + "internal/runner", module + "internal/cli/kube"},
	},
	"internal/cli/kube": {
		imports:  []string{"api/v1alpha1"},
		external: append([]string{"k8s.io/client-go/", "sigs.k8s.io/controller-runtime/pkg/client", "k8s.io/utils/clock"}, objects...),
		never:    []string{module + "internal/controller", module + "internal/runner"},
	},
	"internal/cli/ui": {
		imports:  []string{"api/v1alpha1", "internal/cli/compare", "internal/cli/graph", "internal/cli/ui/model", "internal/dbt", "internal/journal"},
		external: append([]string{"k8s.io/utils/clock"}, objects...),
		never:    append([]string{module + "internal/controller", module + "internal/runner"}, clients...),
	},
	"internal/cli/ui/model": {
		imports:  []string{"api/v1alpha1", "internal/cli/graph", "internal/dbt", "internal/dbt/text", "internal/journal", "internal/schedule"},
		external: objects, never: clients, pure: true,
	},
	"internal/cli/agent": {
		imports: []string{
			"api/v1alpha1", "internal/cli/graph", "internal/cli/intent", "internal/cli/kept", "internal/cli/kube", "internal/cli/result",
			"internal/cli/view", "internal/conditions", "internal/dbt/text",
		},
		external: append([]string{"github.com/modelcontextprotocol/go-sdk/mcp", "k8s.io/utils/clock"}, objects...),
		never:    []string{module + "internal/controller", module + "internal/runner", module + "internal/store"},
	},
	"internal/cli/result": {
		imports: []string{
			"api/v1alpha1", "internal/cli/compare", "internal/cli/graph", "internal/cli/kept", "internal/cli/kube", "internal/cli/view",
			"internal/dbt", "internal/journal",
		},
		external: objects,
		never:    []string{module + "internal/controller", module + "internal/runner", module + "internal/store"},
	},
	"internal/cli/view": {
		imports: []string{"api/v1alpha1", "internal/cli/compare"}, external: objects, never: clients, pure: true,
	},

	"internal/collector": {
		imports: []string{
			"api/v1alpha1", "internal/admission", "internal/collector/access", "internal/collector/caches", "internal/collector/live",
			"internal/journal", "internal/metrics", "internal/store",
		},
		external: append([]string{
			"sigs.k8s.io/controller-runtime", "k8s.io/utils/clock", "github.com/go-logr/logr", "golang.org/x/net/netutil",
			"golang.org/x/sync/semaphore", "golang.org/x/time/rate",
		}, objects...),
		never: []string{module + "internal/controller", module + "internal/runner"},
	},
	"internal/collector/access": {
		imports:  []string{"api/v1alpha1", "internal/journal"},
		external: append([]string{"sigs.k8s.io/controller-runtime", "k8s.io/utils/clock", "golang.org/x/time/rate"}, objects...),
		never:    []string{module + "internal/controller", module + "internal/runner"},
	},
	"internal/collector/caches": {
		imports: []string{"internal/store"},
		never:   append([]string{module + "internal/controller", module + "internal/runner"}, clients...),
	},
	"internal/collector/cert": {
		external: append([]string{"sigs.k8s.io/controller-runtime", "k8s.io/utils/clock", "github.com/go-logr/logr"}, objects...),
		never:    []string{module + "internal/controller", module + "internal/runner"},
	},
	"internal/collector/live": {
		imports:  []string{"internal/dbt/text", "internal/journal", "internal/store"},
		external: []string{"k8s.io/utils/clock"},
		never:    append([]string{module + "internal/controller", module + "internal/runner"}, clients...),
	},

	"internal/controller": {
		imports:  []string{"api/v1alpha1", "internal/conditions", "internal/lastgood"},
		external: append([]string{"sigs.k8s.io/controller-runtime", "k8s.io/client-go/tools/cache"}, objects...),
		never:    []string{module + "internal/runner"},
	},
	"internal/controller/dbtproject": {
		imports:  []string{"api/v1alpha1", "internal/admission", "internal/conditions", "internal/controller", "internal/lastgood", "internal/text"},
		external: append([]string{"sigs.k8s.io/controller-runtime", "k8s.io/client-go/", "k8s.io/utils/clock", "github.com/go-logr/logr"}, objects...),
		never:    []string{module + "internal/runner"},
	},
	"internal/controller/follow": {
		imports:  []string{"api/v1alpha1", "internal/journal", "internal/outbox", "internal/store"},
		external: append([]string{"sigs.k8s.io/controller-runtime", "k8s.io/utils/clock"}, objects...),
		never:    []string{module + "internal/runner"},
	},
	"internal/controller/openlineage": {
		imports: []string{
			"api/v1alpha1", "internal/controller/follow", "internal/openlineage", "internal/openlineage/send", "internal/outbox", "internal/store",
		},
		external: append([]string{"sigs.k8s.io/controller-runtime"}, objects...),
		never:    []string{module + "internal/runner"},
	},
	"internal/controller/tracing": {
		imports: []string{
			"api/v1alpha1", "internal/controller/follow", "internal/outbox", "internal/store", "internal/tracing", "internal/tracing/send",
		},
		external: append([]string{"sigs.k8s.io/controller-runtime"}, objects...),
		never:    []string{module + "internal/runner"},
	},
	"internal/controller/dbtrun": {
		imports: []string{
			"api/v1alpha1", "internal/admission", "internal/attempt", "internal/conditions", "internal/controller", "internal/journal",
			"internal/lastgood", "internal/lifecycle", "internal/metrics", "internal/plan", "internal/runjob", "internal/runstatus", "internal/text",
		},
		external: append([]string{"golang.org/x/time/rate", "sigs.k8s.io/controller-runtime", "k8s.io/client-go/", "k8s.io/utils/clock", "github.com/go-logr/logr"}, objects...),
		never:    []string{module + "internal/runner"},
	},

	"internal/controller/dbtschedule": {
		imports: []string{
			"api/v1alpha1", "internal/admission", "internal/conditions", "internal/controller", "internal/history",
			"internal/metrics", "internal/schedule", "internal/schedulestatus", "internal/text",
		},
		external: append([]string{"sigs.k8s.io/controller-runtime", "k8s.io/client-go/", "k8s.io/utils/clock", "github.com/go-logr/logr"}, objects...),
		never:    []string{module + "internal/runner"},
	},

	"internal/admission": {imports: []string{"api/v1alpha1", "internal/plan"}, external: []string{"mvdan.cc/sh/v3/syntax"}, never: clients, pure: true},
	"internal/attempt": {
		imports:  []string{"api/v1alpha1", "internal/journal", "internal/runjob", "internal/text"},
		external: objects,
		never:    clients,
		pure:     true,
	},
	"internal/conditions": {imports: []string{"api/v1alpha1"}, external: objects, never: clients, pure: true},
	"internal/history":    {imports: []string{"api/v1alpha1"}, external: objects, never: clients, pure: true},
	"internal/lastgood":   {imports: []string{"api/v1alpha1"}, external: objects, never: clients, pure: true},
	"internal/lifecycle": {
		imports: []string{
			"api/v1alpha1", "internal/attempt", "internal/conditions", "internal/journal", "internal/runjob", "internal/text",
		},
		external: objects,
		never:    clients,
		pure:     true,
	},
	"internal/metrics": {external: []string{"github.com/prometheus/client_golang/prometheus"}, never: clients},
	"internal/runjob":  {imports: []string{"api/v1alpha1", "internal/journal", "internal/lastgood", "internal/plan", "internal/text"}, external: objects, never: clients, pure: true},
	"internal/runstatus": {
		imports: []string{
			"api/v1alpha1", "internal/attempt", "internal/conditions", "internal/journal", "internal/runjob", "internal/text",
		},
		external: objects,
		never:    clients,
		pure:     true,
	},
	"internal/schedule": {
		imports:  []string{"api/v1alpha1", "internal/admission"},
		external: append([]string{"github.com/robfig/cron/v3"}, objects...),
		never:    clients,
		pure:     true,
	},
	"internal/schedulestatus": {
		imports:  []string{"api/v1alpha1", "internal/conditions", "internal/schedule", "internal/text"},
		external: objects,
		never:    clients,
		pure:     true,
	},
	"internal/store": {
		imports:  []string{"internal/store/layout"},
		external: []string{"gocloud.dev/blob", "gocloud.dev/gcerrors"},
		never:    append([]string{module + "api/"}, kubernetes...),
	},
	"internal/store/layout": {never: append([]string{"net/http"}, kubernetes...), pure: true},
	"internal/text":         {never: kubernetes, pure: true},

	"internal/dbt": {
		imports:  []string{"internal/dbt/text"},
		external: []string{"github.com/go-json-experiment/json", "go.yaml.in/yaml/v3"},
		never:    append([]string{"net/http"}, kubernetes...),
	},
	"internal/dbt/text": {never: append([]string{"net/http"}, kubernetes...), pure: true},
	"internal/journal":  {imports: []string{"internal/dbt", "internal/dbt/text"}, never: append([]string{"net/http"}, kubernetes...), pure: true},
	"internal/ship": {
		imports: []string{"internal/journal"},
		never:   append([]string{module + "internal/controller", module + "internal/runner", module + "api/", "os/exec"}, kubernetes...),
	},
	"internal/openlineage": {
		imports:  []string{"internal/dbt", "internal/dbt/text", "internal/journal"},
		external: []string{"github.com/google/uuid"},
		never:    append([]string{"net/http"}, kubernetes...),
		pure:     true,
	},
	"internal/openlineage/send": {
		imports: []string{"internal/dbt/text", "internal/journal", "internal/openlineage", "internal/outbox"},
		never:   append([]string{module + "internal/controller", module + "api/"}, kubernetes...),
	},
	"internal/outbox": {imports: []string{"internal/dbt/text"}, never: append([]string{"net/http", module + "api/"}, kubernetes...), pure: true},
	"internal/plan":   {never: append([]string{"net/http"}, kubernetes...), pure: true},
	"internal/runner": {
		imports:  []string{"internal/dbt", "internal/dbt/text", "internal/journal", "internal/plan", "internal/runner", "internal/ship"},
		external: []string{"github.com/go-git/", "github.com/go-json-experiment/json", "go.yaml.in/yaml/v3", "golang.org/x/crypto/ssh", "golang.org/x/sys/"},
		never:    append([]string{module + "internal/controller", module + "api/"}, kubernetes...),
	},
	// OpenTelemetry's own package for the header traceparent knows net/http's headers.
	"internal/tracing": {
		imports:  []string{"internal/dbt/text", "internal/journal"},
		external: []string{"go.opentelemetry.io/otel/attribute", "go.opentelemetry.io/otel/propagation", "go.opentelemetry.io/otel/semconv/", "go.opentelemetry.io/otel/trace"},
		never:    append([]string{"go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters"}, kubernetes...),
		pure:     true,
	},
	"internal/tracing/send": {
		imports:  []string{"internal/journal", "internal/outbox", "internal/tracing"},
		external: []string{"go.opentelemetry.io/otel/"},
		never:    append([]string{module + "internal/controller", module + "api/"}, kubernetes...),
	},
}

// outside are folders that build, run and test the operator: nothing of it may import them, and they may import all.
var outside = []string{"examples", "hack", "test", "internal/testutil"}
