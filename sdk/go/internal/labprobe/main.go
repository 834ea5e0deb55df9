// What of the SDK looks names up, tries connections and greets mail servers, for tests on hosts of Reglet: a check with one act a line.
package main

import (
	"context"
	"encoding/json"
	"errors"
	iofs "io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go"
	"github.com/portcullis-rs/portcullis/sdk/go/domain/fault"
	"github.com/portcullis-rs/portcullis/sdk/go/net"
)

func main() {}

func init() { sdk.Register(lab{}) }

type lab struct{}

func (lab) Check(ctx context.Context, config sdk.Config) (sdk.Evidence, error) {
	acts, _ := config["acts"].(string)
	var said []string
	for _, act := range strings.Split(acts, "\n") {
		said = append(said, probe(ctx, strings.Fields(act)))
	}
	return sdk.Success(map[string]any{"said": said}), nil
}

// probe is what was found, as JSON, or how it failed.
func probe(ctx context.Context, words []string) string {
	found, err := looked(ctx, words[0], words[1], append(words[2:], "", ""))
	var why *fault.CallError
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return "unsupported"
	case errors.Is(err, iofs.ErrPermission):
		return "permission"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline"
	case errors.As(err, &why):
		return why.Kind
	case err != nil:
		return err.Error()
	}
	bytes, _ := json.Marshal(found)
	return string(bytes)
}

// looked does what the first word says, `dns NAME TYPE [SERVER]`, `tcp HOST PORT [tls]` or `smtp HOST PORT [tls|starttls|TIME]`.
func looked(ctx context.Context, act, host string, words []string) (any, error) {
	how := words[1]
	port, _ := strconv.Atoi(words[0])
	switch act {
	case "dns":
		return net.Prober{}.Lookup(ctx, host, net.DNSRecordType(words[0]), how)
	case "tcp":
		return net.Prober{}.Connect(ctx, net.TCPRequest{Host: host, Port: port, TLS: how == "tls"})
	}
	limit, _ := time.ParseDuration(how)
	return net.Prober{}.Greet(ctx, net.SMTPRequest{
		Host: host, Port: port, TLS: how == "tls", StartTLS: how == "starttls", Timeout: limit,
	})
}
