// Whether a service runs, as systemctl says.
//
//	portcullis run --allow-exec=systemctl plugin.wasm --config '{"service": "nginx"}'
//
// Built with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm .
package main

import (
	"context"
	"strings"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go"
	"github.com/portcullis-rs/portcullis/sdk/go/exec"
)

type serviceStatus struct{}

func (serviceStatus) Describe(context.Context) (sdk.Metadata, error) {
	return sdk.Metadata{
		Name:         "service-status",
		Version:      "1.0.0",
		Description:  "Whether a service runs",
		Capabilities: []sdk.Capability{{Kind: "exec", Pattern: "systemctl"}},
	}, nil
}

func (serviceStatus) Schema(context.Context) ([]byte, error) {
	return []byte(`{"type":"object","required":["service"],"properties":{"service":{"type":"string"}}}`), nil
}

func (serviceStatus) Check(ctx context.Context, config sdk.Config) (sdk.Evidence, error) {
	service, _ := config["service"].(string)
	// A name that begins with a dash would be an option.
	if service == "" || strings.HasPrefix(service, "-") {
		return sdk.Failure("config", "`service` has to be the name of one"), nil
	}
	result, err := exec.Run(ctx, exec.CommandRequest{
		Command: "systemctl",
		Args:    []string{"is-active", service},
	}, exec.WithExecTimeout(10*time.Second))
	if err != nil {
		return sdk.Failure("exec", err.Error()), nil
	}
	return sdk.Success(map[string]any{
		"service": service,
		"active":  result.ExitCode == 0,
		"state":   strings.TrimSpace(result.Stdout),
	}), nil
}

func init() { sdk.Register(serviceStatus{}) }
func main() {}
