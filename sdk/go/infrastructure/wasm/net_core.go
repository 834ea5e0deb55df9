//go:build wasip1 && !reglet

package wasm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/internal/core"
)

//go:wasmimport portcullis:core/v1 http_send
func httpSend(request uint64) uint64

// Do sends a request. While it is under way nothing else of the plugin runs, and cancelling the context has no effect; its deadline
// reaches the host.
func (a *HTTPAdapter) Do(ctx context.Context, req ports.HTTPRequest) (*ports.HTTPResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	asked := struct {
		Method  string      `json:"method"`
		URL     string      `json:"url"`
		Headers [][2]string `json:"headers"`
		Body    []byte      `json:"body"`
		Timeout *int64      `json:"timeout"`
	}{Method: req.Method, URL: req.URL, Headers: req.Headers, Body: req.Body}
	if end, ok := ctx.Deadline(); ok {
		left := int64(max(time.Until(end), time.Nanosecond))
		asked.Timeout = &left
	}
	answer, err := core.Ask[ports.HTTPResponse](httpSend, asked)
	var why *core.Refused
	if errors.As(err, &why) && why.Kind == "timed-out" {
		return nil, fmt.Errorf("http %s %s: %w", req.Method, shownURL(req.URL), context.DeadlineExceeded)
	}
	if err != nil {
		return nil, failed("http", "http_send", req.Method+" "+shownURL(req.URL), err)
	}
	return &answer, nil
}

func notHere(what string) error {
	return fmt.Errorf("%s: a host with `portcullis:core/v1` has no such function: %w", what, errors.ErrUnsupported)
}

// Lookup is for hosts of Reglet.
func (DNSAdapter) Lookup(context.Context, string, ports.DNSRecordType, string) (*ports.DNSRecords, error) {
	return nil, notHere("dns")
}

// Connect is for hosts of Reglet.
func (TCPAdapter) Connect(context.Context, ports.TCPRequest) (*ports.TCPResult, error) {
	return nil, notHere("tcp")
}

// Connect is for hosts of Reglet.
func (SMTPAdapter) Connect(context.Context, ports.SMTPRequest) (*ports.SMTPResult, error) {
	return nil, notHere("smtp")
}
