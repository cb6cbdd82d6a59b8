// Package plane is what benchmarks without a kubelet share: an API server and an etcd of their own, the manager's own
// binary on them, and what each process takes. It knows processes; it never knows what is measured.
package plane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Plane is a control plane with the operator's resources in it, and a client without limits.
type Plane struct {
	client.WithWatch
	env *envtest.Environment
	// Version is the API server's.
	Version string
}

// Start starts kube-apiserver and etcd out of a folder. The working directory is the repository's.
func Start(assets string) (*Plane, error) {
	ctrl.SetLogger(logr.Discard())
	env := &envtest.Environment{BinaryAssetsDirectory: assets, CRDDirectoryPaths: []string{filepath.Join("config", "crd", "bases")}, ErrorIfCRDPathMissing: true}
	config, err := env.Start()
	if err != nil {
		return nil, fmt.Errorf("starting the API server: %w", err)
	}
	config.QPS = -1
	p := &Plane{env: env}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		p.Stop()
		return nil, err
	}
	if p.WithWatch, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		p.Stop()
		return nil, err
	}
	if p.Version, err = version(config); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// version returns the version of an API server.
func version(config *rest.Config) (string, error) {
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return "", err
	}
	v, err := d.ServerVersion()
	if err != nil {
		return "", err
	}
	return v.GitVersion, nil
}

// Stop ends both.
func (p *Plane) Stop() { _ = p.env.Stop() }

// Namespace is where benchmarks work.
const Namespace = "default"

// Shop is a project named shop, whose runs do not wait for each other.
func Shop() *v1alpha1.DbtProject {
	project := &v1alpha1.DbtProject{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: Namespace}}
	project.Spec.Image = "registry.example.com/dbt:1.11"
	project.Spec.Source.Image = &v1alpha1.ImageSource{Path: "/dbt"}
	project.Spec.Concurrency = &v1alpha1.Concurrency{Policy: v1alpha1.ConcurrencyAllow}
	return project
}

// CreateShop creates Shop, and the account of its pods, which no controller is there to make.
func (p *Plane) CreateShop(ctx context.Context) error {
	if err := p.Create(ctx, Shop()); err != nil {
		return err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: Namespace}}
	return client.IgnoreAlreadyExists(p.Create(ctx, account))
}

// writers is how many objects Each makes at a time.
const writers = 8

// Each makes n objects, by their numbers from 0, and returns the first error there was.
func Each(n int, one func(i int) error) error {
	var all errgroup.Group
	all.SetLimit(writers)
	for i := range n {
		all.Go(func() error { return one(i) })
	}
	return all.Wait()
}

// Manager is a manager at work.
type Manager struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	logs *os.File
	kube string
	// cgroup is nil where memory is not limited.
	cgroup *cgroup
}

// Setup is how a manager is started. The zero value is nothing special.
type Setup struct {
	Args []string
	Env  []string
	// MemoryLimit bounds its memory, in bytes, as that of a container; 0 does not.
	MemoryLimit int64
}

// Manager starts the manager's own binary. Its log is in the folder of temporary files, under the name.
func (p *Plane) Manager(name, binary string, setup Setup) (*Manager, error) {
	m := &Manager{done: make(chan struct{}), kube: filepath.Join(os.TempDir(), fmt.Sprintf("%s-%d.kubeconfig", name, os.Getpid()))}
	if err := os.WriteFile(m.kube, p.env.KubeConfig, 0o600); err != nil {
		return nil, err
	}
	var err error
	if m.logs, err = os.OpenFile(filepath.Join(os.TempDir(), name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return nil, err
	}
	command := append([]string{binary, "--runner-image=registry.example.com/dbt-operator:1", "--metrics-bind-address=0", "--health-probe-bind-address=0"}, setup.Args...)
	if setup.MemoryLimit > 0 {
		if m.cgroup, err = newCgroup(name, setup.MemoryLimit); err != nil {
			return nil, err
		}
		command = append([]string{"/bin/sh", "-c", `echo $$ >"$0" && exec "$@"`, m.cgroup.procs()}, command...)
	}
	m.cmd = exec.Command(command[0], command[1:]...) //nolint:noctx // Stop ends it
	m.cmd.Env = append(append(os.Environ(), "KUBECONFIG="+m.kube), setup.Env...)
	m.cmd.Stdout, m.cmd.Stderr = m.logs, m.logs
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", binary, err)
	}
	go func() {
		defer close(m.done)
		_ = m.cmd.Wait()
	}()
	return m, nil
}

// Stop kills it.
func (m *Manager) Stop() {
	_ = m.cmd.Process.Kill()
	<-m.done
	_ = m.logs.Close()
	_ = os.Remove(m.kube)
	if m.cgroup != nil {
		m.cgroup.remove()
	}
}

// Ended is closed when the process has ended, whether it was to or not.
func (m *Manager) Ended() <-chan struct{} { return m.done }

// Memory returns the resident set now and the largest there was, in bytes, as /proc/PID/status has them; shared is how much
// of it now is the binary itself, which the kernel can drop and read again.
func (m *Manager) Memory() (now, peak, shared int64, err error) {
	sizes, err := readStatus(m.cmd.Process.Pid, "VmRSS", "VmHWM", "RssFile")
	if err != nil {
		return 0, 0, 0, err
	}
	return sizes[0], sizes[1], sizes[2], nil
}

// Processors returns the processor time so far, user and system, of the processes that this one started, by name.
func Processors() map[string]time.Duration {
	out := map[string]time.Duration{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		// pid (name) state ppid …, proc(5); times are the 14th and 15th field, in hundredths of a second.
		name, rest, found := strings.Cut(string(b), ") ")
		_, name, _ = strings.Cut(name, "(")
		fields := strings.Fields(rest)
		if !found || len(fields) < 13 || fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		for _, field := range fields[11:13] {
			if ticks, err := strconv.ParseInt(field, 10, 64); err == nil {
				out[name] += time.Duration(ticks) * 10 * time.Millisecond
			}
		}
	}
	return out
}
