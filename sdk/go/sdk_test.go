package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/portcullis-rs/portcullis/sdk/go/internal/requestid"
)

// checkFunc is the least of a plugin.
type checkFunc func(Config) (Evidence, error)

func (f checkFunc) Check(_ context.Context, config Config) (Evidence, error) { return f(config) }

// whole has all that a plugin can have.
type whole struct{ checkFunc }

func (whole) Describe(context.Context) (Metadata, error) {
	return Metadata{Name: "n", Version: "1.2.3", Capabilities: []Capability{{"exec", "ls"}}}, nil
}
func (whole) Schema(context.Context) ([]byte, error) {
	return []byte(`{"type":"object","title":"t"}`), nil
}

var _ Plugin = whole{}

// with has this plugin registered, and no other.
func with(t *testing.T, plugin Checker, f Func) {
	registered, work = plugin, f
	t.Cleanup(func() { registered, work = nil, nil })
}

func TestTheFirstPluginCounts(t *testing.T) {
	with(t, nil, nil)
	first := whole{}
	Register(first)
	Register(checkFunc(nil))
	if _, ok := registered.(whole); !ok {
		t.Fatal(registered)
	}
}

func TestEvidenceHasTheKeysThatTheFirstHostsRead(t *testing.T) {
	for want, evidence := range map[string]Evidence{
		`"Status":true,"Error":null`:                                     Success(map[string]any{"a": 1}),
		`"Status":false,"Error":{"message":"m","type":"exec","code":""}`: Failure("exec", "m"),
	} {
		text, err := json.Marshal(evidence)
		if err != nil || !strings.Contains(string(text), want) || evidence.Timestamp.IsZero() {
			t.Errorf("%s %v", text, err)
		}
		for _, key := range []string{"Timestamp", "Data", "Raw"} {
			if !strings.Contains(string(text), `"`+key+`":`) {
				t.Errorf("%s has no %s", text, key)
			}
		}
	}
}

func TestACheckAnswersItsArguments(t *testing.T) {
	echo := checkFunc(func(config Config) (Evidence, error) {
		switch config["do"] {
		case "fail":
			return Failure("exec", "no"), nil
		case "err":
			return Evidence{}, errors.New("broken")
		case "empty":
			return Evidence{}, nil
		case "panic":
			panic("on purpose")
		}
		return Success(map[string]any{"got": config}), nil
	})
	with(t, whole{echo}, nil)
	for _, test := range []struct{ args, text, failed string }{
		{`--config {"a":1}`, `"status":"success"`, ""},
		{``, `"got":{}`, ""},
		{`--config null`, `"got":{}`, ""},
		{`--config {"do":"fail"}`, "", "exec: no"},
		{`--config {"do":"err"}`, "", "plugin_error: broken"},
		{`--config {"do":"empty"}`, "", "could not be made"},
		{`--config {"do":"panic"}`, "", "plugin panic: on purpose"},
		{`--json --config {"do":"fail"}`, "", `"status":"failure","message":"exec: no","error":{`},
		{`--json --config {"do":"panic"}`, "", `"status":"error"`},
		{`--config`, "", usage},
		{`--config [1]`, "", "config: "},
		{`--config {`, "", "config: "},
		{`--other`, "", usage},
		{`--describe`, `"name":"n","version":"1.2.3"`, ""},
		{`--schema`, `"title":"t"`, ""},
	} {
		text, err := answered(strings.Fields(test.args))
		if test.failed == "" {
			if err != nil || !strings.Contains(text, test.text) {
				t.Errorf("%s: %q %v", test.args, text, err)
			}
		} else if err == nil || text != "" || !strings.Contains(err.Error(), test.failed) {
			t.Errorf("%s: %q %v", test.args, text, err)
		}
	}
}

func TestAPluginThatSaysNothingOfItselfIsDescribed(t *testing.T) {
	with(t, checkFunc(nil), nil)
	if text, err := answered([]string{"--describe"}); err != nil || !strings.Contains(text, `"capabilities":[]`) {
		t.Error(text, err)
	}
	if text, err := answered([]string{"--schema"}); err != nil || text != `{"type":"object"}` {
		t.Error(text, err)
	}
}

func TestAFunctionIsGivenItsArgumentsAndItsPanicIsACrash(t *testing.T) {
	with(t, nil, func(_ context.Context, args []string) (string, error) {
		if len(args) == 0 {
			panic("none")
		}
		return strings.Join(args, "+"), nil
	})
	if text, err := answered([]string{"a", "--config"}); err != nil || text != "a+--config" {
		t.Error(text, err)
	}
	defer func() {
		if what := recover(); what != "none" {
			t.Errorf("recovered %v", what)
		}
	}()
	text, err := answered(nil)
	t.Error(text, err)
}

func TestNothingRegisteredIsSaid(t *testing.T) {
	with(t, nil, nil)
	if _, err := answered(nil); err == nil || !strings.Contains(err.Error(), "plugin not registered") {
		t.Error(err)
	}
}

func TestCapabilitiesAreGrantsForLaterHosts(t *testing.T) {
	got := grants([]Capability{
		{"exec", "/usr/bin/df"}, {"exec", "ls"}, {"env", "A*"}, {"fs", "read:/etc/**"}, {"network", "outbound:80,443"}, {"other", "x"},
	})
	want := map[string]any{
		"exec":    map[string]any{"commands": []string{"/usr/bin/df", "ls"}},
		"env":     map[string]any{"vars": []string{"A*"}},
		"fs":      map[string]any{"rules": []map[string][]string{{"read": {"/etc/**"}}}},
		"network": map[string]any{"rules": []map[string][]string{{"hosts": {"*"}, "ports": {"80", "443"}}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

func TestAContextHasANameThatIsCut(t *testing.T) {
	ctx := context.Background()
	plain := context.WithValue(ctx, "request_id", "plain") //nolint:staticcheck // plugins for Reglet have it there
	for _, test := range []struct {
		ctx  context.Context
		want string
	}{
		{ctx, ""},
		{plain, "plain"},
		{WithRequestID(plain, "own"), "own"},
		{context.WithValue(ctx, "request_id", 7), ""}, //nolint:staticcheck // as above
		{WithRequestID(ctx, strings.Repeat("x", 200)), strings.Repeat("x", 128)},
		{WithRequestID(ctx, strings.Repeat("é", 100)), strings.Repeat("é", 64)},
		{WithRequestID(ctx, "x"+strings.Repeat("é", 100)), "x" + strings.Repeat("é", 63)},
		{WithRequestID(ctx, "a\xff"), "a\uFFFD"},
	} {
		if got := requestid.From(test.ctx); got != test.want {
			t.Errorf("%q, not %q", got, test.want)
		}
	}
}
