package net

import (
	"context"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/infrastructure/wasm"
)

type (
	// DNSRecordType is what of a name is looked up.
	DNSRecordType = ports.DNSRecordType
	// DNSRecords are what a name has.
	DNSRecords = ports.DNSRecords
	// TCPRequest is a connection to try.
	TCPRequest = ports.TCPRequest
	// TCPResult is how it went.
	TCPResult = ports.TCPResult
	// SMTPRequest is a mail server to greet.
	SMTPRequest = ports.SMTPRequest
	// SMTPResult is how it went.
	SMTPResult = ports.SMTPResult
)

// Prober looks names up and tries connections. What is not set is the host's; only hosts of Reglet have these functions, and with others
// errors.Is(err, errors.ErrUnsupported) holds.
type Prober struct {
	DNS  ports.DNSResolver
	TCP  ports.TCPDialer
	SMTP ports.SMTPClient
}

// Lookup looks up what a name has of a type: A, AAAA, CNAME, MX, TXT or NS. An empty name server is the host's.
func (p Prober) Lookup(ctx context.Context, name string, kind ports.DNSRecordType, nameserver string) (*DNSRecords, error) {
	if p.DNS == nil {
		p.DNS = wasm.DNSAdapter{}
	}
	return p.DNS.Lookup(ctx, name, kind, nameserver)
}

// Connect tries a connection, and TLS on it, and closes it.
func (p Prober) Connect(ctx context.Context, req TCPRequest) (*TCPResult, error) {
	if p.TCP == nil {
		p.TCP = wasm.TCPAdapter{}
	}
	return p.TCP.Connect(ctx, req)
}

// Greet connects to a mail server and reads its banner.
func (p Prober) Greet(ctx context.Context, req SMTPRequest) (*SMTPResult, error) {
	if p.SMTP == nil {
		p.SMTP = wasm.SMTPAdapter{}
	}
	return p.SMTP.Connect(ctx, req)
}
