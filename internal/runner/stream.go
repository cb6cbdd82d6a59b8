package runner

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// stream is one output of a process, copied to a writer. It is a pipe of our own rather than one of os/exec, which
// waits for everybody who holds the other end before it says that the process has ended.
type stream struct {
	in, out *os.File
	to      io.Writer
	done    chan struct{}
}

func newStream(to io.Writer) (*stream, error) {
	out, in, err := os.Pipe()
	return &stream{in: in, out: out, to: to, done: make(chan struct{})}, err
}

// start begins to copy, once the process has its end of the pipe.
func (s *stream) start() {
	_ = s.in.Close()
	go func() {
		defer close(s.done)
		if _, err := io.Copy(s.to, s.out); errors.Is(err, os.ErrDeadlineExceeded) {
			s.rest()
		}
	}()
}

// finish returns when all that the process wrote is copied. Whoever else holds the pipe has to let go within linger.
func (s *stream) finish() {
	timer := time.NewTimer(linger)
	defer timer.Stop()
	select {
	case <-s.done:
	case <-timer.C:
		_ = s.out.SetReadDeadline(time.Unix(1, 0)) // long past: stop waiting
		<-s.done
	}
}

// rest copies what is in the pipe now, and no more than a pipe holds: what is behind came from somebody else.
func (s *stream) rest() {
	const most = 1 << 20
	_ = s.out.SetReadDeadline(time.Time{})
	raw, err := s.out.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 32<<10)
	for copied := 0; copied < most; {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			n, _ = syscall.Read(int(fd), buf)
			return true // also when there is nothing
		})
		if err != nil || n <= 0 {
			return
		}
		_, _ = s.to.Write(buf[:n])
		copied += n
	}
}

func (s *stream) close() {
	_ = s.in.Close()
	_ = s.out.Close()
}
