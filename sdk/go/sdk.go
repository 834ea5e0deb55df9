// Package sdk is for plugins in Go that run on Portcullis, and on Reglet's hosts.
//
// A plugin checks something:
//
//	type disk struct{}
//
//	func (disk) Check(ctx context.Context, config sdk.Config) (sdk.Evidence, error) {
//		result, err := exec.Run(ctx, exec.CommandRequest{Command: "df", Args: []string{"-P", "/"}})
//		if err != nil {
//			return sdk.Failure("exec", err.Error()), nil
//		}
//		return sdk.Success(map[string]any{"stdout": result.Stdout}), nil
//	}
//
//	func init() { sdk.Register(disk{}) }
//	func main() {}
//
// or does whatever its arguments say ([RegisterFunc]). It is registered in an init function: main is not called.
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm .
//	portcullis run --allow-exec=df plugin.wasm --config '{}'
//
// # Hosts
//
// The default is a host with `portcullis:core/v1`. With the build tag `reglet` the same source is a plugin for Reglet's hosts, of all
// of their generations, and for Portcullis as it takes those; what such hosts have no function for ends with errors.ErrUnsupported. Each
// package says what differs.
package sdk

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go/internal/requestid"
)

// Version is that of the SDK.
const Version = "0.1.0"

// Config is what the plugin is told to check: an object of JSON.
type Config map[string]any

// Evidence is what a check found.
//
// Its keys in JSON are those that Reglet's first hosts read; later ones, and Portcullis, are told the same in a [Result].
type Evidence struct {
	// Status is whether it could be checked.
	Status bool
	// Error is why not.
	Error *ErrorDetail
	// Timestamp is when it was checked. Success and Failure set it.
	Timestamp time.Time
	// Data is what was found.
	Data map[string]any
	// Raw is what it was found in, if that is worth keeping.
	Raw *string
}

// ErrorDetail is why a check has no result.
type ErrorDetail struct {
	Message string `json:"message"`
	// Type is a word such as exec, config, network or internal.
	Type string `json:"type"`
	Code string `json:"code"`
	// Stack is where a plugin panicked.
	Stack []byte `json:"stack,omitempty"`
}

func (e *ErrorDetail) Error() string {
	if e.Type == "" || e.Type == "internal" {
		return e.Message
	}
	return e.Type + ": " + e.Message
}

// Success is the evidence of a check that was made, whatever it found.
func Success(data map[string]any) Evidence {
	return Evidence{Status: true, Timestamp: time.Now(), Data: data}
}

// Failure is the evidence of a check that could not be made. kind says what failed, such as "exec".
func Failure(kind, message string) Evidence {
	return Evidence{Timestamp: time.Now(), Error: &ErrorDetail{Message: message, Type: kind}}
}

// Checker is the least that a plugin has.
type Checker interface {
	// Check makes the check. An error is a check that could not be made.
	Check(ctx context.Context, config Config) (Evidence, error)
}

// Describer tells who the plugin is and what it needs.
type Describer interface {
	Describe(ctx context.Context) (Metadata, error)
}

// Schemer tells what a config has to look like, as JSON Schema.
type Schemer interface {
	Schema(ctx context.Context) ([]byte, error)
}

// Plugin has all of it. [Register] takes what has less.
type Plugin interface {
	Checker
	Describer
	Schemer
}

// Metadata is who the plugin is.
type Metadata struct {
	Name           string       `json:"name"`
	Version        string       `json:"version"`
	Description    string       `json:"description"`
	SDKVersion     string       `json:"sdk_version"`
	MinHostVersion string       `json:"min_host_version,omitempty"`
	Capabilities   []Capability `json:"capabilities"`
}

// Capability is something that the plugin needs, as Reglet writes it: a kind, such as "exec", and a pattern, such as "/usr/bin/df".
type Capability struct {
	Kind    string `json:"kind"`
	Pattern string `json:"pattern"`
}

// WithRequestID gives the work that is done under a context a name. The host's audit trail has it with each command that is run under the
// context: its first 128 bytes.
//
// A value that is already there under the plain key "request_id" counts too.
func WithRequestID(ctx context.Context, id string) context.Context {
	return requestid.With(ctx, id)
}

// Status is how a check went, in a [Result].
type Status string

// How a check can go.
const (
	// StatusSuccess: it was made.
	StatusSuccess Status = "success"
	// StatusFailure: it could not be made.
	StatusFailure Status = "failure"
	// StatusError: the plugin itself failed.
	StatusError Status = "error"
)

// Result is what the host is told of a check.
type Result struct {
	Timestamp time.Time       `json:"timestamp"`
	Status    Status          `json:"status"`
	Message   string          `json:"message,omitempty"`
	Data      map[string]any  `json:"data,omitempty"`
	Error     *ErrorDetail    `json:"error,omitempty"`
	Metadata  *ResultMetadata `json:"metadata,omitempty"`
}

// ResultMetadata is when a check was made.
type ResultMetadata struct {
	StartTime  time.Time     `json:"start_time"`
	EndTime    time.Time     `json:"end_time"`
	SDKVersion string        `json:"sdk_version,omitempty"`
	Duration   time.Duration `json:"duration_ns"`
}

var registered Checker

// Register makes a plugin known to the host. It belongs into an init function; the first one counts.
func Register(plugin Checker) {
	if registered == nil {
		registered = plugin
	}
}

// describe is what the plugin says of itself, or of one that says nothing.
func describe(ctx context.Context, plugin Checker) (Metadata, error) {
	metadata := Metadata{Name: "plugin", Version: "0.0.0"}
	if describer, ok := plugin.(Describer); ok {
		var err error
		if metadata, err = describer.Describe(ctx); err != nil {
			return metadata, err
		}
	}
	metadata.SDKVersion = Version
	if metadata.Capabilities == nil {
		metadata.Capabilities = []Capability{}
	}
	return metadata, nil
}

// schema is what a config has to look like; that of a plugin that does not say is any object.
func schema(ctx context.Context, plugin Checker) ([]byte, error) {
	if schemer, ok := plugin.(Schemer); ok {
		return schemer.Schema(ctx)
	}
	return []byte(`{"type":"object"}`), nil
}

// check makes the check. Its evidence has an error wherever it could not be made.
func check(ctx context.Context, plugin Checker, config Config) Evidence {
	if config == nil {
		config = Config{}
	}
	evidence, err := plugin.Check(ctx, config)
	if err != nil {
		evidence = Failure("plugin_error", err.Error())
	}
	if !evidence.Status && evidence.Error == nil {
		evidence.Error = &ErrorDetail{Message: "the check could not be made", Type: "plugin_error"}
	}
	if evidence.Timestamp.IsZero() {
		evidence.Timestamp = time.Now()
	}
	return evidence
}

// result is evidence in the later form.
func (e Evidence) result() Result {
	result := Result{Timestamp: e.Timestamp, Status: StatusSuccess, Data: e.Data, Error: e.Error}
	switch {
	case e.Error != nil && e.Error.Type == "panic":
		result.Status, result.Message = StatusError, e.Error.Message
	case !e.Status:
		result.Status, result.Message = StatusFailure, e.Error.Error()
	}
	return result
}

// panicked is the evidence of a plugin that did.
func panicked(what any, stack []byte) Evidence {
	evidence := Failure("panic", fmt.Sprintf("plugin panic: %v", what))
	evidence.Error.Stack = stack
	return evidence
}

// grants are capabilities as later hosts of Reglet read them.
func grants(capabilities []Capability) map[string]any {
	type rules = []map[string][]string
	var (
		commands, vars []string
		files, network rules
	)
	for _, capability := range capabilities {
		word, rest, _ := strings.Cut(capability.Pattern, ":")
		switch capability.Kind {
		case "exec":
			commands = append(commands, capability.Pattern)
		case "env":
			vars = append(vars, capability.Pattern)
		case "fs":
			files = append(files, map[string][]string{word: {rest}})
		case "network":
			network = append(network, map[string][]string{"hosts": {"*"}, "ports": strings.Split(rest, ",")})
		}
	}
	set := map[string]any{}
	if commands != nil {
		set["exec"] = map[string]any{"commands": commands}
	}
	if vars != nil {
		set["env"] = map[string]any{"vars": vars}
	}
	if files != nil {
		set["fs"] = map[string]any{"rules": files}
	}
	if network != nil {
		set["network"] = map[string]any{"rules": network}
	}
	return set
}
