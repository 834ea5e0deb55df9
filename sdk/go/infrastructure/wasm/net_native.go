//go:build !wasip1

package wasm

import (
	"context"
	"fmt"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
)

func noHost(what string) error { return fmt.Errorf("%s: %w", what, ErrNoHost) }

// Do sends nothing.
func (a *HTTPAdapter) Do(context.Context, ports.HTTPRequest) (*ports.HTTPResponse, error) {
	return nil, noHost("http")
}

// Lookup looks nothing up.
func (DNSAdapter) Lookup(context.Context, string, ports.DNSRecordType, string) (*ports.DNSRecords, error) {
	return nil, noHost("dns")
}

// Connect connects to nothing.
func (TCPAdapter) Connect(context.Context, ports.TCPRequest) (*ports.TCPResult, error) {
	return nil, noHost("tcp")
}

// Connect connects to nothing.
func (SMTPAdapter) Connect(context.Context, ports.SMTPRequest) (*ports.SMTPResult, error) {
	return nil, noHost("smtp")
}
