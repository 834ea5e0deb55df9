package exec_test

import (
	"context"
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/fault"
	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/exec"
)

// mock keeps what it was asked, and how much time there was.
type mock struct {
	asked  ports.CommandRequest
	left   time.Duration
	limits bool
	result *ports.CommandResult
	err    error
}

func (m *mock) Run(ctx context.Context, req ports.CommandRequest) (*ports.CommandResult, error) {
	m.asked = req
	end, ok := ctx.Deadline()
	m.left, m.limits = time.Until(end), ok
	return m.result, m.err
}

func TestARunnerIsAskedExactlyWhatWasAsked(t *testing.T) {
	req := exec.CommandRequest{Command: "ls", Args: []string{"-l"}, Dir: "/a", Env: []string{"A=b"}, Timeout: 7}
	want := &exec.CommandResponse{Stdout: "x", ExitCode: 3}
	m := &mock{result: want}
	got, err := exec.Run(context.Background(), req, exec.WithRunner(m))
	if err != nil || got != want {
		t.Fatal(got, err)
	}
	if !reflect.DeepEqual(m.asked, req) || m.limits {
		t.Fatalf("%+v %v", m.asked, m.limits)
	}
}

func TestOptionsFillInWhatARequestLeavesOut(t *testing.T) {
	opts := []exec.RunOption{exec.WithWorkdir("/w"), exec.WithEnv([]string{"A=1"})}
	for name, test := range map[string]struct{ req, want exec.CommandRequest }{
		"left out": {exec.CommandRequest{}, exec.CommandRequest{Dir: "/w", Env: []string{"A=1"}}},
		"there":    {exec.CommandRequest{Dir: "/r", Env: []string{}}, exec.CommandRequest{Dir: "/r", Env: []string{}}},
	} {
		m := &mock{}
		_, _ = exec.Run(context.Background(), test.req, append(opts, exec.WithRunner(m))...)
		if !reflect.DeepEqual(m.asked, test.want) {
			t.Errorf("%s: %+v", name, m.asked)
		}
	}
}

func TestTheLastOptionCounts(t *testing.T) {
	m := &mock{}
	_, _ = exec.Run(context.Background(), exec.CommandRequest{}, exec.WithRunner(&mock{}), exec.WithRunner(m),
		exec.WithWorkdir("/a"), exec.WithWorkdir("/b"), exec.WithExecTimeout(time.Hour), exec.WithExecTimeout(time.Minute))
	if m.asked.Dir != "/b" || m.asked.Timeout != 60 {
		t.Fatalf("%+v", m.asked)
	}
}

func TestTheLeastTimeReachesTheRunnerAndNoPartOfASecondIsLost(t *testing.T) {
	for name, test := range map[string]struct {
		request int
		option  time.Duration
		seconds int
		left    time.Duration
	}{
		"half a second":         {0, 500 * time.Millisecond, 1, 500 * time.Millisecond},
		"a second and a half":   {0, 1500 * time.Millisecond, 2, 1500 * time.Millisecond},
		"the option is shorter": {60, 2 * time.Second, 2, 2 * time.Second},
		"the option is longer":  {5, time.Minute, 5, time.Minute},
		"no option":             {5, 0, 5, 0},
		"a negative option":     {5, -time.Second, 5, 0},
		"nothing":               {0, 0, 0, 0},
	} {
		m := &mock{}
		req := exec.CommandRequest{Timeout: test.request}
		_, _ = exec.Run(context.Background(), req, exec.WithRunner(m), exec.WithExecTimeout(test.option))
		if m.asked.Timeout != test.seconds {
			t.Errorf("%s: %d s", name, m.asked.Timeout)
		}
		if m.limits != (test.left > 0) || m.limits && (m.left > test.left || m.left < test.left-5*time.Second) {
			t.Errorf("%s: %v left", name, m.left)
		}
	}
}

func TestAContextsOwnDeadlineStaysWhereItIsSooner(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	m := &mock{}
	_, _ = exec.Run(ctx, exec.CommandRequest{}, exec.WithRunner(m), exec.WithExecTimeout(time.Hour))
	if m.left > time.Second {
		t.Fatal(m.left)
	}
}

func TestWithoutAHostItIsSaidWhatToDo(t *testing.T) {
	for _, opts := range [][]exec.RunOption{nil, {exec.WithRunner(nil)}} {
		_, err := exec.Run(context.Background(), exec.CommandRequest{Command: "ls"}, opts...)
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "WithRunner") {
			t.Fatal(err)
		}
		_, err = exec.Start(context.Background(), exec.CommandRequest{Command: "ls"}, opts...)
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		}
	}
}

func TestARunnerThatCannotStartIsAnError(t *testing.T) {
	_, err := exec.Start(context.Background(), exec.CommandRequest{Command: "ls"}, exec.WithRunner(&mock{}))
	var failed *exec.ExecError
	if !errors.As(err, &failed) || failed.Kind != fault.Invalid {
		t.Fatal(err)
	}
}

func TestErrorsTellTheStandardLibraryWhatTheyAre(t *testing.T) {
	denied := error(&exec.CapabilityError{Capability: "exec", Object: "ls"})
	missing := error(&exec.ExecError{Command: "ls", Kind: fault.NotFound})
	full := error(&exec.ExecError{Command: "ls", Kind: fault.Limit, Reason: "children"})
	if !errors.Is(denied, fs.ErrPermission) || errors.Is(denied, fs.ErrNotExist) {
		t.Error(denied)
	}
	if !errors.Is(missing, fs.ErrNotExist) || errors.Is(missing, fs.ErrPermission) || errors.Is(full, fs.ErrNotExist) {
		t.Error(missing)
	}
	for err, text := range map[error]string{
		denied:  "permission denied: capability denied: exec:ls",
		missing: `exec "ls": not-found`,
		full:    `exec "ls": limit: children`,
	} {
		if err.Error() != text {
			t.Error(err)
		}
	}
}

func TestOutputIsOfACommandThatSucceeds(t *testing.T) {
	req := exec.CommandRequest{Command: "cat", Stdin: []byte("x")}
	m := &mock{result: &ports.CommandResult{Stdout: "x"}}
	if out, err := exec.Output(context.Background(), req, exec.WithRunner(m)); err != nil || out != "x" {
		t.Error(out, err)
	}
	if string(m.asked.Stdin) != "x" {
		t.Errorf("%+v", m.asked)
	}
	for want, result := range map[string]ports.CommandResult{
		`exec "cat": exit status 1: no file`: {Stdout: "part", Stderr: "no file\n", ExitCode: 1},
		`exec "cat": signal 9`:               {ExitCode: -1, Signal: 9},
	} {
		out, err := exec.Output(context.Background(), req, exec.WithRunner(&mock{result: &result}))
		var exit *exec.ExitError
		if out != "" || !errors.As(err, &exit) || exit.Response != &result || err.Error() != want {
			t.Error(out, err)
		}
	}
	denied := &exec.CapabilityError{Capability: "exec", Object: "cat"}
	if _, err := exec.Output(context.Background(), req, exec.WithRunner(&mock{err: denied})); !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}

func TestACommandThatIsStartedHasNoStdin(t *testing.T) {
	req := exec.CommandRequest{Command: "cat", Stdin: []byte("x")}
	var why *exec.ExecError
	if _, err := exec.Start(context.Background(), req); !errors.As(err, &why) || why.Kind != fault.Invalid {
		t.Error(err)
	}
}
