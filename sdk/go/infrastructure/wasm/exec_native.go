//go:build !wasip1

package wasm

import (
	"context"
	"fmt"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
)

// Run runs nothing.
func (a *ExecAdapter) Run(context.Context, ports.CommandRequest) (*ports.CommandResult, error) {
	return nil, fmt.Errorf("exec: %w; use WithRunner to inject a mock", ErrNoHost)
}

// Start starts nothing.
func (a *ExecAdapter) Start(context.Context, ports.CommandRequest) (ports.Process, error) {
	return nil, fmt.Errorf("exec: %w; use WithRunner to inject a mock", ErrNoHost)
}
