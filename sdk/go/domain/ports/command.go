// Package ports has what the rest of the SDK asks of its surroundings: interfaces and plain types, without a host. Package
// infrastructure/wasm implements each with functions of the host; a test implements them as it likes.
package ports

import (
	"context"
	"io"
)

// CommandRequest is a command to run.
type CommandRequest struct {
	// Command is the program: a name, or an absolute path. It is never given to a shell.
	Command string
	Args    []string
	// Dir is the working directory; the host's choice where it is empty.
	Dir string
	// Env are variables as "KEY=VALUE". Nothing else is passed on, but for what the policy says.
	Env []string
	// Stdin is all that it reads, for whoever waits for it; nil is end of file at once. One that is started is written to instead.
	Stdin []byte
	// Timeout is in seconds; 0: what the policy says, which a longer one does not change.
	Timeout int
}

// CommandResult is how a command ended.
type CommandResult struct {
	Stdout string
	Stderr string
	// ExitCode is -1 for a command that a signal or the host ended.
	ExitCode int
	// Signal is the one that ended it, or 0. A command whose time was over has none.
	Signal     int
	DurationMs int64
	// IsTimeout is true where its time was over. What it wrote until then is there.
	IsTimeout bool
}

// CommandRunner runs a command and waits for it.
//
// A command whose time is over has both: a result, with IsTimeout and what it wrote, and an error for which
// errors.Is(err, context.DeadlineExceeded) holds. One that was cancelled has an error for which
// errors.Is(err, context.Canceled) holds.
type CommandRunner interface {
	Run(ctx context.Context, req CommandRequest) (*CommandResult, error)
}

// CommandStarter starts a command and does not wait for it.
type CommandStarter interface {
	Start(ctx context.Context, req CommandRequest) (Process, error)
}

// Process is a command that runs. Its streams may be used by several goroutines, each stream by one at a time.
type Process interface {
	// Stdin is what the command reads. It waits while the command does not read, and ends with Close.
	Stdin() io.WriteCloser
	// Stdout is what it writes. It can still be read after Wait.
	Stdout() io.Reader
	Stderr() io.Reader
	// Wait closes Stdin and waits for the end. The result has no output: that is read from the streams.
	Wait() (*CommandResult, error)
	// Kill ends the command and all that it started.
	Kill()
}
