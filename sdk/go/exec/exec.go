// Package exec runs commands on the host, each with a grant: nothing is given to a shell, and nothing is run that the operator's
// policy does not name.
//
//	result, err := exec.Run(ctx, exec.CommandRequest{Command: "ls", Args: []string{"-la", "/tmp"}})
//
// # Time
//
// The least of the context's deadline, [CommandRequest.Timeout] and [WithExecTimeout] reaches the host, which ends the command and
// all that it started. A command whose time was over has both: a result, with IsTimeout and what it had written, and an error for
// which errors.Is(err, context.DeadlineExceeded) holds.
//
// Cancelling the context ends a running command, and errors.Is(err, context.Canceled) holds. This takes a host with
// `portcullis:core/v1`, which the SDK is built for by default. With the build tag `reglet` a call to the host cannot be broken off:
// there only deadlines end a command, and of a context that is cancelled meanwhile nothing is known until the call returns.
//
// # Errors
//
// [CapabilityError] for what was not granted, [ExecError] for what could not be run or was ended by the host. An exit code that is not
// 0 is no error, but for [Output].
package exec

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/fault"
	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/infrastructure/wasm"
)

type (
	// CommandRequest is a command to run.
	CommandRequest = ports.CommandRequest
	// CommandResponse is how it ended.
	CommandResponse = ports.CommandResult
	// CapabilityError says that the plugin was not granted the command.
	CapabilityError = fault.CapabilityError
	// ExecError says that the command was not run, or was ended by the host.
	ExecError = fault.ExecError
)

// RunOption is a setting of one call.
type RunOption func(*settings)

type settings struct {
	dir     string
	env     []string
	timeout time.Duration
	runner  ports.CommandRunner
}

// WithWorkdir sets the working directory of a request that has none.
func WithWorkdir(dir string) RunOption {
	return func(s *settings) { s.dir = dir }
}

// WithEnv sets the variables of a request that has none, as "KEY=VALUE".
func WithEnv(env []string) RunOption {
	return func(s *settings) { s.env = env }
}

// WithExecTimeout ends the command after this time, if nothing else does before. Less than a second is less than a second. What is not
// positive is no limit.
func WithExecTimeout(d time.Duration) RunOption {
	return func(s *settings) { s.timeout = d }
}

// WithRunner has something else run the command, such as a mock in a test. nil is the host.
//
// [Start] takes it if it is a [ports.CommandStarter] too.
func WithRunner(r ports.CommandRunner) RunOption {
	return func(s *settings) { s.runner = r }
}

// Run runs a command on the host and waits for it.
func Run(ctx context.Context, req CommandRequest, opts ...RunOption) (*CommandResponse, error) {
	ctx, cancel, req, runner := prepared(ctx, req, opts)
	defer cancel()
	return runner.Run(ctx, req)
}

// ExitError says that a command ran and was no success.
type ExitError struct {
	Command string
	// Response is how it ended, with all that it wrote.
	Response *CommandResponse
}

func (e *ExitError) Error() string {
	text := fmt.Sprintf("exec %q: exit status %d", e.Command, e.Response.ExitCode)
	if e.Response.Signal != 0 {
		text = fmt.Sprintf("exec %q: signal %d", e.Command, e.Response.Signal)
	}
	if stderr := strings.TrimSpace(e.Response.Stderr); stderr != "" {
		text += ": " + stderr
	}
	return text
}

// Output runs a command that has to succeed and gives what it wrote. An exit code other than 0 is an [ExitError].
func Output(ctx context.Context, req CommandRequest, opts ...RunOption) (string, error) {
	response, err := Run(ctx, req, opts...)
	switch {
	case err != nil:
		return "", err
	case response.ExitCode != 0:
		return "", &ExitError{Command: req.Command, Response: response}
	}
	return response.Stdout, nil
}

// Process is a command that runs beside the plugin.
type Process struct {
	process ports.Process
	cancel  context.CancelFunc
}

// Start starts a command on the host, whose streams can be used while it runs. It has to be waited for.
//
// What it writes to one stream while another is read is held, up to 10 MiB; what is more is lost, and the stream ends with an error.
// With the build tag `reglet` there is no such call, and errors.Is(err, errors.ErrUnsupported) holds.
func Start(ctx context.Context, req CommandRequest, opts ...RunOption) (*Process, error) {
	ctx, cancel, req, runner := prepared(ctx, req, opts)
	if req.Stdin != nil {
		cancel()
		return nil, &ExecError{Command: req.Command, Kind: fault.Invalid, Reason: "a command that is started has a pipe instead of Stdin"}
	}
	starter, ok := runner.(ports.CommandStarter)
	if !ok {
		cancel()
		return nil, &ExecError{Command: req.Command, Kind: fault.Invalid, Reason: "the runner does not start commands"}
	}
	process, err := starter.Start(ctx, req)
	if err != nil {
		cancel()
		return nil, err
	}
	return &Process{process, cancel}, nil
}

// Stdin is what the command reads. It waits while the command does not read. Close is end of file.
func (p *Process) Stdin() io.WriteCloser { return p.process.Stdin() }

// Stdout is what the command writes, also after Wait.
func (p *Process) Stdout() io.Reader { return p.process.Stdout() }

// Stderr is what the command writes for people, also after Wait.
func (p *Process) Stderr() io.Reader { return p.process.Stderr() }

// Wait closes Stdin and waits for the end of the command. Output is not in the result, but in the streams.
func (p *Process) Wait() (*CommandResponse, error) {
	defer p.cancel()
	return p.process.Wait()
}

// Kill ends the command and all that it started. Wait then has an error for which errors.Is(err, context.Canceled) holds.
func (p *Process) Kill() { p.process.Kill() }

func prepared(
	ctx context.Context, req CommandRequest, opts []RunOption,
) (context.Context, context.CancelFunc, CommandRequest, ports.CommandRunner) {
	var s settings
	for _, opt := range opts {
		opt(&s)
	}
	if req.Dir == "" {
		req.Dir = s.dir
	}
	if req.Env == nil {
		req.Env = s.env
	}
	if s.runner == nil {
		s.runner = wasm.NewExecAdapter()
	}
	cancel := func() {}
	if s.timeout > 0 {
		// Seconds are for runners that look at no context; the context has all of it.
		if seconds := int((s.timeout + time.Second - 1) / time.Second); req.Timeout <= 0 || seconds < req.Timeout {
			req.Timeout = seconds
		}
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
	}
	return ctx, cancel, req, s.runner
}
