//go:build wasip1 && reglet

package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/fault"
	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/internal/memory"
	"github.com/portcullis-rs/portcullis/sdk/go/internal/requestid"
)

//go:wasmimport reglet_host exec_command
func execCommand(request uint64) uint64

//go:wasmimport reglet_host http_request
func httpRequest(request uint64) uint64

//go:wasmimport reglet_host dns_lookup
func dnsLookup(request uint64) uint64

//go:wasmimport reglet_host tcp_connect
func tcpConnect(request uint64) uint64

//go:wasmimport reglet_host smtp_connect
func smtpConnect(request uint64) uint64

//go:wasmimport reglet_host log_message
func logMessage(record uint64)

// wireContext is what of a context crosses to the host.
type wireContext struct {
	Deadline  *time.Time `json:"deadline,omitempty"`
	TimeoutMs int64      `json:"timeout_ms,omitempty"`
	RequestID string     `json:"request_id,omitempty"`
	Canceled  bool       `json:"canceled,omitempty"`
}

func wired(ctx context.Context, limit time.Duration) wireContext {
	wire := wireContext{RequestID: requestid.From(ctx), Canceled: ctx.Err() != nil}
	if limit > 0 {
		wire.TimeoutMs = int64(math.Ceil(float64(limit) / float64(time.Millisecond)))
		end := time.Now().Add(limit)
		wire.Deadline = &end
	}
	return wire
}

// left is what the context has of its time; 0: it has no end.
func left(ctx context.Context) time.Duration {
	return timeLimit(ctx, ports.CommandRequest{})
}

// wireError is `error` of an answer: an object, or a word with `message` beside it, as one generation of hosts has it.
type wireError struct {
	Message    string `json:"message"`
	Type       string `json:"type"`
	Code       string `json:"code"`
	IsTimeout  bool   `json:"is_timeout"`
	IsNotFound bool   `json:"is_not_found"`
}

// One call at a time: while room is made for an answer, other goroutines may run.
var calls sync.Mutex

// ask calls a function of the host. An error of the host is the second result.
func ask[T any](call func(uint64) uint64, request any) (T, *wireError, error) {
	var answer T
	asked, err := json.Marshal(request)
	if err != nil {
		return answer, nil, err
	}
	calls.Lock()
	bytes := memory.Take(call(memory.Pack(asked)))
	calls.Unlock()
	runtime.KeepAlive(asked)
	if bytes == nil {
		return answer, nil, errors.New("the host gave no answer")
	}
	var head struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
	}
	if err := json.Unmarshal(bytes, &head); err != nil {
		return answer, nil, err
	}
	if len(head.Error) > 0 && string(head.Error) != "null" {
		var why wireError
		if json.Unmarshal(head.Error, &why) != nil {
			var word string
			_ = json.Unmarshal(head.Error, &word)
			why = wireError{Message: head.Message, Code: word}
			// Hosts of that kind say so of everything that they refuse.
			if word == "VALIDATION_ERROR" {
				why.Type = "capability"
			}
		}
		return answer, &why, nil
	}
	return answer, nil, json.Unmarshal(bytes, &answer)
}

// Run runs a command and waits for it. The host cannot be told meanwhile that the context was cancelled.
func (a *ExecAdapter) Run(ctx context.Context, req ports.CommandRequest) (*ports.CommandResult, error) {
	if err := ctx.Err(); err != nil {
		return nil, ended(req.Command, err)
	}
	if _, err := pairs(req.Command, req.Env); err != nil {
		return nil, err
	}
	if req.Stdin != nil {
		return nil, notHere("standard input")
	}
	limit := timeLimit(ctx, req)
	wire := wired(ctx, limit)
	result, why, err := ask[struct {
		Stdout     string `json:"stdout"`
		Stderr     string `json:"stderr"`
		ExitCode   int    `json:"exit_code"`
		DurationMs int64  `json:"duration_ms"`
		IsTimeout  bool   `json:"is_timeout"`
	}](execCommand, struct {
		Command   string      `json:"command"`
		Args      []string    `json:"args"`
		Dir       string      `json:"dir,omitempty"`
		Env       []string    `json:"env,omitempty"`
		TimeoutMs int64       `json:"timeout_ms,omitempty"`
		Context   wireContext `json:"context"`
	}{req.Command, req.Args, req.Dir, req.Env, wire.TimeoutMs, wire})
	if err != nil {
		return nil, &fault.ExecError{Command: req.Command, Kind: fault.IO, Reason: err.Error()}
	}
	if why != nil {
		return nil, execFailed(req.Command, why)
	}
	response := ports.CommandResult{
		Stdout:     result.Stdout,
		Stderr:     result.Stderr,
		ExitCode:   result.ExitCode,
		DurationMs: result.DurationMs,
		IsTimeout:  result.IsTimeout,
	}
	if response.IsTimeout {
		return &response, ended(req.Command, context.DeadlineExceeded)
	}
	return &response, nil
}

func execFailed(command string, why *wireError) error {
	switch {
	case why.Type == "timeout" || why.IsTimeout:
		return ended(command, context.DeadlineExceeded)
	case why.Type == "capability":
		return &fault.CapabilityError{Capability: "exec", Object: command, Reason: why.Message}
	case why.Code == "INVALID_REQUEST" || why.Type == "validation":
		return &fault.ExecError{Command: command, Kind: fault.Invalid, Reason: why.Message}
	case why.Type == "execution" || why.Code == "EXECUTION_FAILED":
		return &fault.ExecError{Command: command, Kind: fault.NotFound, Reason: why.Message}
	}
	return &fault.ExecError{Command: command, Kind: fault.IO, Reason: why.Message}
}

func notHere(what string) error {
	return fmt.Errorf("%s: a host of Reglet has no such function: %w", what, errors.ErrUnsupported)
}

// Start is for hosts with `portcullis:core/v1`.
func (a *ExecAdapter) Start(context.Context, ports.CommandRequest) (ports.Process, error) {
	return nil, notHere("exec.Start")
}

// netFailed is what a probe that failed is to the plugin.
func netFailed(function, object string, why *wireError, err error) error {
	switch {
	case err != nil:
		return &fault.CallError{Function: function, Object: object, Kind: "io", Reason: err.Error()}
	case why.Type == "capability", why.Type == "ssrf_protection":
		return &fault.CapabilityError{Capability: "network", Object: object, Reason: why.Message}
	case why.Type == "timeout" || why.IsTimeout:
		return fmt.Errorf("%s %q: %w", function, object, context.DeadlineExceeded)
	case why.IsNotFound:
		return &fault.CallError{Function: function, Object: object, Kind: "not-found", Reason: why.Message}
	}
	return &fault.CallError{Function: function, Object: object, Kind: why.Type, Reason: why.Message}
}

// Do sends a request.
func (a *HTTPAdapter) Do(ctx context.Context, req ports.HTTPRequest) (*ports.HTTPResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	headers := map[string][]string{}
	for _, header := range req.Headers {
		headers[header[0]] = append(headers[header[0]], header[1])
	}
	answer, why, err := ask[struct {
		StatusCode    int                 `json:"status_code"`
		Headers       map[string][]string `json:"headers"`
		Body          []byte              `json:"body"`
		BodyTruncated bool                `json:"body_truncated"`
	}](httpRequest, struct {
		Method  string              `json:"method"`
		URL     string              `json:"url"`
		Headers map[string][]string `json:"headers,omitempty"`
		Body    []byte              `json:"body,omitempty"`
		Context wireContext         `json:"context"`
	}{req.Method, req.URL, headers, req.Body, wired(ctx, left(ctx))})
	if err != nil || why != nil {
		return nil, netFailed("http_request", req.Method+" "+shownURL(req.URL), why, err)
	}
	response := ports.HTTPResponse{Status: answer.StatusCode, Body: answer.Body, Truncated: answer.BodyTruncated}
	for name, values := range answer.Headers {
		for _, value := range values {
			response.Headers = append(response.Headers, [2]string{name, value})
		}
	}
	return &response, nil
}

// Lookup looks a name up.
func (DNSAdapter) Lookup(
	ctx context.Context, name string, kind ports.DNSRecordType, nameserver string,
) (*ports.DNSRecords, error) {
	answer, why, err := ask[struct {
		Records []string   `json:"records"`
		MX      []ports.MX `json:"mx_records"`
	}](dnsLookup, struct {
		Hostname   string              `json:"hostname"`
		Type       ports.DNSRecordType `json:"type"`
		Nameserver string              `json:"nameserver,omitempty"`
		Context    wireContext         `json:"context"`
	}{name, kind, nameserver, wired(ctx, left(ctx))})
	if err != nil || why != nil {
		return nil, netFailed("dns_lookup", name, why, err)
	}
	return &ports.DNSRecords{Records: answer.Records, MX: answer.MX}, nil
}

type probe struct {
	Host      string      `json:"host"`
	Port      string      `json:"port"`
	TimeoutMs int64       `json:"timeout_ms,omitempty"`
	TLS       bool        `json:"tls"`
	StartTLS  bool        `json:"starttls,omitempty"`
	Context   wireContext `json:"context"`
}

func probed(ctx context.Context, host string, port int, tls, startTLS bool, limit time.Duration) probe {
	if own := left(ctx); own != 0 && (limit <= 0 || own < limit) {
		limit = own
	}
	wire := wired(ctx, limit)
	return probe{host, strconv.Itoa(port), wire.TimeoutMs, tls, startTLS, wire}
}

// Connect tries a connection.
func (TCPAdapter) Connect(ctx context.Context, req ports.TCPRequest) (*ports.TCPResult, error) {
	asked := probed(ctx, req.Host, req.Port, req.TLS, false, req.Timeout)
	answer, why, err := ask[ports.TCPResult](tcpConnect, asked)
	if err != nil || why != nil {
		return nil, netFailed("tcp_connect", req.Host+":"+asked.Port, why, err)
	}
	return &answer, nil
}

// Connect greets a mail server.
func (SMTPAdapter) Connect(ctx context.Context, req ports.SMTPRequest) (*ports.SMTPResult, error) {
	asked := probed(ctx, req.Host, req.Port, req.TLS, req.StartTLS, req.Timeout)
	answer, why, err := ask[ports.SMTPResult](smtpConnect, asked)
	if err != nil || why != nil {
		return nil, netFailed("smtp_connect", req.Host+":"+asked.Port, why, err)
	}
	return &answer, nil
}

var slogNames = [...]string{"DEBUG", "DEBUG", "INFO", "WARN", "ERROR"}

// Write writes a line into the host's log.
func (LogAdapter) Write(record ports.LogRecord) {
	bytes, err := json.Marshal(struct {
		Timestamp time.Time       `json:"timestamp"`
		Level     string          `json:"level"`
		Message   string          `json:"message"`
		Attrs     []ports.LogAttr `json:"attrs"`
		Context   wireContext     `json:"context"`
	}{record.Time, slogNames[record.Level], record.Message, record.Attrs, wireContext{RequestID: record.RequestID}})
	if err != nil {
		return
	}
	logMessage(memory.Pack(bytes))
	runtime.KeepAlive(bytes)
}

// Files are those that WASI opens.

// Read gives all of a file.
func (FSAdapter) Read(path string) ([]byte, error) { return os.ReadFile(path) }

// Write makes a file, or replaces what is in one.
func (FSAdapter) Write(path string, content []byte) error { return os.WriteFile(path, content, 0o644) }

// Entries lists a directory.
func (FSAdapter) Entries(path string) ([]ports.FileEntry, error) {
	found, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	entries := make([]ports.FileEntry, 0, len(found))
	for _, entry := range found {
		entries = append(entries, ports.FileEntry{Name: entry.Name(), Kind: kindOf(entry.Type())})
	}
	return entries, nil
}

// Stat looks at a name, and not through a link.
func (FSAdapter) Stat(path string) (ports.FileInfo, error) {
	found, err := os.Lstat(path)
	if err != nil {
		return ports.FileInfo{}, err
	}
	return ports.FileInfo{Kind: kindOf(found.Mode()), Size: found.Size(), Modified: found.ModTime()}, nil
}

func kindOf(mode os.FileMode) ports.FileKind {
	switch {
	case mode.IsRegular():
		return ports.File
	case mode.IsDir():
		return ports.Directory
	case mode&os.ModeSymlink != 0:
		return ports.Link
	}
	return ports.Other
}

// MakeDirectory makes one directory.
func (FSAdapter) MakeDirectory(path string) error { return os.Mkdir(path, 0o755) }

// Remove removes a file, a link or an empty directory.
func (FSAdapter) Remove(path string) error { return os.Remove(path) }

// Rename gives a name to what has another.
func (FSAdapter) Rename(from, to string) error { return os.Rename(from, to) }

// Get reads a variable that WASI passed on.
func (EnvAdapter) Get(name string) (string, bool, error) {
	value, ok := os.LookupEnv(name)
	return value, ok, nil
}

// Get is for hosts with `portcullis:core/v1`.
func (KVAdapter) Get(string) ([]byte, bool, error) { return nil, false, notHere("kv") }

// Set is for hosts with `portcullis:core/v1`.
func (KVAdapter) Set(string, []byte) error { return notHere("kv") }

// Delete is for hosts with `portcullis:core/v1`.
func (KVAdapter) Delete(string) (bool, error) { return false, notHere("kv") }

// List is for hosts with `portcullis:core/v1`.
func (KVAdapter) List(string, string, int) (ports.KeyPage, error) {
	return ports.KeyPage{}, notHere("kv")
}

// Swap is for hosts with `portcullis:core/v1`.
func (KVAdapter) Swap(string, []byte, []byte) (bool, error) { return false, notHere("kv") }

// Text is for hosts with `portcullis:core/v1`.
func (PromptAdapter) Text(string, string, *string) (string, error) { return "", notHere("prompt") }

// Confirm is for hosts with `portcullis:core/v1`.
func (PromptAdapter) Confirm(string, string, bool) (bool, error) { return false, notHere("prompt") }

// Choose is for hosts with `portcullis:core/v1`.
func (PromptAdapter) Choose(string, string, []string, int) (int, error) {
	return 0, notHere("prompt")
}

// ChooseSome is for hosts with `portcullis:core/v1`.
func (PromptAdapter) ChooseSome(string, string, []string, []int) ([]int, error) {
	return nil, notHere("prompt")
}
