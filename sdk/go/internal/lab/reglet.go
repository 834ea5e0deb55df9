//go:build reglet

package main

import (
	"context"
	"strings"

	"github.com/portcullis-rs/portcullis/sdk/go"
)

// lab is the same as a check, since hosts of Reglet call nothing else.
type lab struct{}

func (lab) Describe(context.Context) (sdk.Metadata, error) {
	return sdk.Metadata{Name: "lab", Version: "1.0.0", Capabilities: []sdk.Capability{{Kind: "exec", Pattern: "echo"}}}, nil
}

func (lab) Check(ctx context.Context, config sdk.Config) (sdk.Evidence, error) {
	text, _ := config["acts"].(string)
	said, err := run(ctx, strings.Split(text, "\n"))
	if err != nil {
		return sdk.Evidence{}, err
	}
	lines := map[string]any{}
	for at, line := range strings.Split(said, "\n") {
		lines[strings.Split(text, "\n")[at]] = line
	}
	return sdk.Success(lines), nil
}

func init() { sdk.Register(lab{}) }
