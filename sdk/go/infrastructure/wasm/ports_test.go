package wasm_test

import (
	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/infrastructure/wasm"
)

var (
	_ ports.CommandRunner  = (*wasm.ExecAdapter)(nil)
	_ ports.CommandStarter = (*wasm.ExecAdapter)(nil)
	_ ports.HTTPClient     = (*wasm.HTTPAdapter)(nil)
	_ ports.DNSResolver    = wasm.DNSAdapter{}
	_ ports.TCPDialer      = wasm.TCPAdapter{}
	_ ports.SMTPClient     = wasm.SMTPAdapter{}
	_ ports.FileSystem     = wasm.FSAdapter{}
	_ ports.KeyValueStore  = wasm.KVAdapter{}
	_ ports.Environment    = wasm.EnvAdapter{}
	_ ports.Prompter       = wasm.PromptAdapter{}
	_ ports.Logger         = wasm.LogAdapter{}
)
