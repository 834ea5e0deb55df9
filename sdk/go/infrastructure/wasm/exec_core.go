//go:build wasip1 && !reglet

package wasm

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/fault"
	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/internal/core"
	"github.com/portcullis-rs/portcullis/sdk/go/internal/memory"
	"github.com/portcullis-rs/portcullis/sdk/go/internal/requestid"
)

//go:wasmimport portcullis:core/v1 exec_start
func execStart(request uint64) uint64

//go:wasmimport portcullis:core/v1 exec_write
func execWrite(child int32, bytes uint64) int64

//go:wasmimport portcullis:core/v1 exec_poll
func execPoll(child int32, timeoutMs int64) uint64

//go:wasmimport portcullis:core/v1 exec_cancel
func execCancel(child int32) int64

// pollMs is how long one look at a command waits for it to do something. There is one thread: no other goroutine runs meanwhile, so
// all that wait share it.
const pollMs = 5

// sigkill is what a command is cancelled by.
const sigkill = 9

// waiting counts who looks at commands now.
var waiting int64

type execRequest struct {
	Program   string      `json:"program"`
	Args      []string    `json:"args"`
	Cwd       *string     `json:"cwd"`
	Env       [][2]string `json:"env"`
	Timeout   *int64      `json:"timeout"`
	RequestID *string     `json:"request-id"`
	Stdio     execStdio   `json:"stdio"`
}

type execStdio struct {
	Stdin  string `json:"stdin"`
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
}

type execPolled struct {
	Stdout   []byte       `json:"stdout"`
	Stderr   []byte       `json:"stderr"`
	Writable int          `json:"writable"`
	Outcome  *execOutcome `json:"outcome"`
}

type execOutcome struct {
	Exit struct {
		Kind   string `json:"kind"`
		Code   int    `json:"code"`
		Signal int    `json:"signal"`
		Reason string `json:"reason"`
	} `json:"exit"`
	Duration int64         `json:"duration"`
	Error    *core.Refused `json:"error"`
}

// process is a command that runs beside the plugin. Whoever reads, writes or waits looks at it, and keeps what it said for the others.
type process struct {
	command string
	child   int32
	// most is how much of each stream is held for a reader. What comes after that is lost.
	most int
	// discard says that what is lost is no error.
	discard bool

	// mu is held while the host is asked, so that what it says is taken in order.
	mu             sync.Mutex
	stdout, stderr output
	result         *ports.CommandResult
	err            error
	unwatch        func() bool
}

// output is what came of a stream and was not read yet.
type output struct {
	bytes []byte
	lost  bool
}

// Run runs a command and waits for it.
func (a *ExecAdapter) Run(ctx context.Context, req ports.CommandRequest) (*ports.CommandResult, error) {
	stdin := "null"
	if req.Stdin != nil {
		stdin = "pipe"
	}
	p, err := start(ctx, req, stdin)
	if err != nil {
		return nil, err
	}
	p.most, p.discard = maxOutput, true
	if req.Stdin != nil {
		// Whoever does not read all of it, as head does, may succeed all the same.
		_, _ = p.Stdin().Write(req.Stdin)
		_ = p.Stdin().Close()
	}
	for p.look() {
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.result != nil {
		p.result.Stdout, p.result.Stderr = string(p.stdout.bytes), string(p.stderr.bytes)
	}
	return p.result, p.err
}

// Start starts a command and does not wait for it.
func (a *ExecAdapter) Start(ctx context.Context, req ports.CommandRequest) (ports.Process, error) {
	p, err := start(ctx, req, "pipe")
	if err != nil {
		// Not p: an interface that holds a nil pointer is not nil.
		return nil, err
	}
	return p, nil
}

func start(ctx context.Context, req ports.CommandRequest, stdin string) (*process, error) {
	if err := ctx.Err(); err != nil {
		return nil, ended(req.Command, err)
	}
	env, err := pairs(req.Command, req.Env)
	if err != nil {
		return nil, err
	}
	asked := execRequest{
		Program: req.Command,
		Args:    req.Args,
		Env:     env,
		Stdio:   execStdio{Stdin: stdin, Stdout: "pipe", Stderr: "pipe"},
	}
	if req.Dir != "" {
		asked.Cwd = &req.Dir
	}
	if limit := int64(timeLimit(ctx, req)); limit != 0 {
		asked.Timeout = &limit
	}
	if id := requestid.From(ctx); id != "" {
		asked.RequestID = &id
	}
	started, err := core.Ask[struct{ Child int32 }](execStart, asked)
	if err != nil {
		_, err = refused(req.Command, err)
		return nil, err
	}
	p := &process{command: req.Command, child: started.Child, most: maxOutput}
	p.unwatch = context.AfterFunc(ctx, func() { p.stop(ctx.Err()) })
	return p, nil
}

// refused is what a command without an end is to the plugin.
func refused(command string, err error) (*ports.CommandResult, error) {
	var why *core.Refused
	if !errors.As(err, &why) {
		return nil, &fault.ExecError{Command: command, Kind: fault.IO, Reason: err.Error()}
	}
	switch why.Kind {
	case "denied":
		return nil, &fault.CapabilityError{Capability: "exec", Object: command}
	case "timed-out":
		return &ports.CommandResult{ExitCode: -1, IsTimeout: true}, ended(command, context.DeadlineExceeded)
	}
	return nil, &fault.ExecError{Command: command, Kind: fault.Kind(why.Kind), Reason: why.Limit}
}

// look asks once what became of the command, and lets other goroutines run. False: it is over.
func (p *process) look() bool {
	waiting++
	p.mu.Lock()
	over := p.result != nil || p.err != nil
	if !over {
		p.ask(max(1, pollMs/waiting))
		over = p.result != nil || p.err != nil
	}
	p.mu.Unlock()
	waiting--
	// There is one thread: whoever cancels runs now.
	runtime.Gosched()
	return !over
}

// ask takes in what there is. The caller holds the lock.
func (p *process) ask(timeoutMs int64) {
	polled, err := core.Answer[execPolled](func() uint64 { return execPoll(p.child, timeoutMs) })
	if err != nil {
		p.over(refused(p.command, err))
		return
	}
	p.stdout.add(polled.Stdout, p.most)
	p.stderr.add(polled.Stderr, p.most)
	if polled.Outcome != nil {
		p.over(polled.Outcome.result(p.command))
	}
}

func (p *process) over(result *ports.CommandResult, err error) {
	p.result, p.err = result, err
	p.unwatch()
}

// stop ends the command, for this reason, unless it is over.
func (p *process) stop(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.result != nil || p.err != nil {
		return
	}
	// What it wrote until now, and perhaps its end.
	p.ask(0)
	if p.result != nil || p.err != nil {
		return
	}
	execCancel(p.child)
	late := errors.Is(why, context.DeadlineExceeded)
	result := &ports.CommandResult{ExitCode: -1, IsTimeout: late}
	if !late {
		result.Signal = sigkill
	}
	p.over(result, ended(p.command, why))
}

func (o *output) add(bytes []byte, most int) {
	kept := min(len(bytes), most-len(o.bytes))
	o.bytes = append(o.bytes, bytes[:kept]...)
	o.lost = o.lost || kept < len(bytes)
}

func (o *execOutcome) result(command string) (*ports.CommandResult, error) {
	if o.Error != nil {
		return refused(command, o.Error)
	}
	result := &ports.CommandResult{ExitCode: -1, DurationMs: o.Duration / int64(time.Millisecond)}
	switch o.Exit.Kind {
	case "exited":
		result.ExitCode = o.Exit.Code
	case "signalled":
		result.Signal = o.Exit.Signal
	case "timed-out":
		result.IsTimeout = true
		return result, ended(command, context.DeadlineExceeded)
	case "killed":
		return result, &fault.ExecError{Command: command, Kind: fault.Killed, Reason: o.Exit.Reason}
	}
	return result, nil
}

func (p *process) Wait() (*ports.CommandResult, error) {
	_ = p.Stdin().Close()
	for p.look() {
	}
	return p.result, p.err
}

func (p *process) Kill() { p.stop(context.Canceled) }

func (p *process) Stdin() io.WriteCloser { return (*stdin)(p) }
func (p *process) Stdout() io.Reader     { return reader{p, &p.stdout} }
func (p *process) Stderr() io.Reader     { return reader{p, &p.stderr} }

// reader reads a stream of a command.
type reader struct {
	p  *process
	of *output
}

func (r reader) Read(into []byte) (int, error) {
	if len(into) == 0 {
		return 0, nil
	}
	for {
		if len(r.of.bytes) > 0 {
			n := copy(into, r.of.bytes)
			r.of.bytes = r.of.bytes[n:]
			return n, nil
		}
		if r.of.lost && !r.p.discard {
			return 0, &fault.ExecError{Command: r.p.command, Kind: fault.Limit, Reason: "more was written than is held for who does not read"}
		}
		if !r.p.look() && len(r.of.bytes) == 0 {
			return 0, io.EOF
		}
	}
}

// stdin writes what a command reads.
type stdin process

func (s *stdin) Write(bytes []byte) (int, error) {
	written := 0
	for written < len(bytes) {
		rest := bytes[written:]
		taken := execWrite(s.child, memory.Pack(rest))
		runtime.KeepAlive(rest)
		if taken < 0 {
			return written, io.ErrClosedPipe
		}
		written += int(taken)
		if taken == 0 {
			(*process)(s).look()
		}
	}
	return written, nil
}

func (s *stdin) Close() error {
	execWrite(s.child, 0)
	return nil
}
