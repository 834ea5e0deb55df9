package wasm

import (
	"context"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/fault"
	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
)

func TestTheLeastTimeIsTheLimit(t *testing.T) {
	for name, test := range map[string]struct {
		seconds int
		context time.Duration
		want    time.Duration
	}{
		"none":             {0, 0, 0},
		"seconds":          {5, 0, 5 * time.Second},
		"negative seconds": {-5, 0, 0},
		"context":          {0, 300 * time.Millisecond, 300 * time.Millisecond},
		"context sooner":   {5, time.Second, time.Second},
		"seconds sooner":   {5, time.Hour, 5 * time.Second},
		"over":             {5, -time.Hour, time.Nanosecond},
		"beyond all":       {math.MaxInt, 0, maxTimeout},
	} {
		ctx := context.Background()
		if test.context != 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, test.context)
			defer cancel()
		}
		got := timeLimit(ctx, ports.CommandRequest{Timeout: test.seconds})
		if got > test.want || got < test.want-test.want/2 {
			t.Errorf("%s: %v, not %v", name, got, test.want)
		}
	}
}

func TestVariablesAreNamesAndValues(t *testing.T) {
	got, err := pairs("c", []string{"A=1", "B=", "C=x=y"})
	if want := [][2]string{{"A", "1"}, {"B", ""}, {"C", "x=y"}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Fatal(got, err)
	}
	for _, entry := range []string{"A", "", "=x"} {
		var failed *fault.ExecError
		if _, err := pairs("c", []string{entry}); !errors.As(err, &failed) || failed.Kind != fault.Invalid {
			t.Errorf("%q: %v", entry, err)
		}
	}
}

func TestALineHasItsFactsBehindIt(t *testing.T) {
	record := ports.LogRecord{Message: "m", Attrs: []ports.LogAttr{
		{Key: "a", Value: "1"}, {Key: "b", Value: "x y"}, {Key: "c", Value: ""}, {Key: "d", Value: "\n"},
	}}
	if got := line(record); got != `m a=1 b="x y" c="" d="\n"` {
		t.Fatal(got)
	}
}

func TestWithoutAHostEveryCallSaysSo(t *testing.T) {
	var errs []error
	keep := func(err error) { errs = append(errs, err) }
	ctx := context.Background()
	_, err := NewHTTPAdapter().Do(ctx, ports.HTTPRequest{})
	keep(err)
	_, err = DNSAdapter{}.Lookup(ctx, "a", "A", "")
	keep(err)
	_, err = TCPAdapter{}.Connect(ctx, ports.TCPRequest{})
	keep(err)
	_, err = SMTPAdapter{}.Connect(ctx, ports.SMTPRequest{})
	keep(err)
	_, err = FSAdapter{}.Read("a")
	keep(err)
	_, _, err = KVAdapter{}.Get("a")
	keep(err)
	_, _, err = EnvAdapter{}.Get("a")
	keep(err)
	_, err = PromptAdapter{}.Confirm("a", "b", true)
	keep(err)
	for at, err := range errs {
		if !errors.Is(err, ErrNoHost) {
			t.Errorf("%d: %v", at, err)
		}
	}
}
