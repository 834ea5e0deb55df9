// Package wasm implements the ports with functions of the host that runs the plugin.
//
// Built for a WebAssembly host it calls `portcullis:core/v1`, and with the build tag `reglet` it calls `reglet_host`. A plugin
// imports the functions of those adapters alone that it uses, and needs the grants for those alone. In a native build there is no
// host: every call ends with an error that is [ErrNoHost], and a test gives its own implementation instead.
package wasm

import (
	"errors"
	"fmt"
)

// ErrNoHost says that a plugin was built without a host to call, for tests: errors.Is(err, errors.ErrUnsupported) holds too.
var ErrNoHost = fmt.Errorf("there is no WASM host in a native build: %w", errors.ErrUnsupported)

type (
	// ExecAdapter runs commands.
	ExecAdapter struct{}
	// HTTPAdapter sends requests.
	HTTPAdapter struct{}
	// DNSAdapter looks names up.
	DNSAdapter struct{}
	// TCPAdapter tries connections.
	TCPAdapter struct{}
	// SMTPAdapter greets mail servers.
	SMTPAdapter struct{}
	// FSAdapter reads and writes files.
	FSAdapter struct{}
	// KVAdapter keeps values.
	KVAdapter struct{}
	// EnvAdapter reads variables.
	EnvAdapter struct{}
	// PromptAdapter asks questions.
	PromptAdapter struct{}
	// LogAdapter writes lines for the operator.
	LogAdapter struct{}
)

// NewExecAdapter gives what runs commands on the host.
func NewExecAdapter() *ExecAdapter { return &ExecAdapter{} }

// NewHTTPAdapter gives what sends requests from the host.
func NewHTTPAdapter() *HTTPAdapter { return &HTTPAdapter{} }
