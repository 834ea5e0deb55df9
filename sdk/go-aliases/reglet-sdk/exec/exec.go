// Package exec is github.com/portcullis-rs/portcullis/sdk/go/exec.
package exec

import (
	"context"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/exec"
)

// All of these are those of the SDK.
type (
	CommandRequest  = exec.CommandRequest
	CommandResponse = exec.CommandResponse
	CapabilityError = exec.CapabilityError
	ExecError       = exec.ExecError
	RunOption       = exec.RunOption
	Process         = exec.Process
)

// Run is [exec.Run].
func Run(ctx context.Context, req CommandRequest, opts ...RunOption) (*CommandResponse, error) {
	return exec.Run(ctx, req, opts...)
}

// Start is [exec.Start].
func Start(ctx context.Context, req CommandRequest, opts ...RunOption) (*Process, error) {
	return exec.Start(ctx, req, opts...)
}

// WithWorkdir is [exec.WithWorkdir].
func WithWorkdir(dir string) RunOption { return exec.WithWorkdir(dir) }

// WithEnv is [exec.WithEnv].
func WithEnv(env []string) RunOption { return exec.WithEnv(env) }

// WithExecTimeout is [exec.WithExecTimeout].
func WithExecTimeout(d time.Duration) RunOption { return exec.WithExecTimeout(d) }

// WithRunner is [exec.WithRunner].
func WithRunner(r ports.CommandRunner) RunOption { return exec.WithRunner(r) }
