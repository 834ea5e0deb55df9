package exec_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/exec"
)

// disk answers as df does, without a host.
type disk struct{}

func (disk) Run(ctx context.Context, req ports.CommandRequest) (*ports.CommandResult, error) {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < time.Second {
		return &ports.CommandResult{Stdout: "Filesystem", ExitCode: -1, IsTimeout: true}, context.DeadlineExceeded
	}
	return &ports.CommandResult{Stdout: "Filesystem Size\n/dev/vda 252G\n"}, nil
}

func (disk) Start(context.Context, ports.CommandRequest) (ports.Process, error) {
	return started{strings.NewReader("/dev/vda\n")}, nil
}

type started struct{ stdout io.Reader }

func (started) Stdin() io.WriteCloser               { return nil }
func (s started) Stdout() io.Reader                 { return s.stdout }
func (started) Stderr() io.Reader                   { return strings.NewReader("") }
func (started) Wait() (*ports.CommandResult, error) { return &ports.CommandResult{}, nil }
func (started) Kill()                               {}

func ExampleRun() {
	req := exec.CommandRequest{Command: "df", Args: []string{"-h", "/"}}
	result, err := exec.Run(context.Background(), req, exec.WithRunner(disk{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, line := range strings.Split(strings.TrimSpace(result.Stdout), "\n")[1:] {
		fmt.Println(strings.Fields(line)[1])
	}
	// Output: 252G
}

func ExampleWithExecTimeout() {
	req := exec.CommandRequest{Command: "df"}
	result, err := exec.Run(context.Background(), req,
		exec.WithRunner(disk{}), exec.WithExecTimeout(300*time.Millisecond))
	if errors.Is(err, context.DeadlineExceeded) && result.IsTimeout {
		fmt.Println("it had written", result.Stdout)
	}
	// Output: it had written Filesystem
}

func ExampleStart() {
	p, err := exec.Start(context.Background(), exec.CommandRequest{Command: "df"}, exec.WithRunner(disk{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, _ := io.ReadAll(p.Stdout())
	result, err := p.Wait()
	fmt.Printf("%s%d %v", text, result.ExitCode, err)
	// Output:
	// /dev/vda
	// 0 <nil>
}
