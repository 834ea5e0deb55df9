// Package net reaches hosts that the plugin was granted: as an http.RoundTripper, and by probes of names, connections and mail servers.
package net

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/infrastructure/wasm"
)

// ErrTooLarge ends the body of a response that was cut: there was more than the plugin may be given.
var ErrTooLarge = errors.New("response body too large")

// Transport sends requests by the host.
//
// A body is read before it is sent, and a response is there as a whole when it is. The deadline of the request's context reaches the
// host. A transport follows no redirects: an http.Client does, and the host decides on each. Some headers are the host's own; a request
// that sets one is refused.
type Transport struct {
	// Client sends instead of the host, where it is set.
	Client ports.HTTPClient
}

// NewClient gives a client that sends by the host.
func NewClient() *http.Client {
	return &http.Client{Transport: &Transport{}}
}

// RoundTrip sends a request and gives what came back.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	client := t.Client
	if client == nil {
		client = wasm.NewHTTPAdapter()
	}
	asked := ports.HTTPRequest{Method: req.Method, URL: req.URL.String()}
	if asked.Method == "" {
		asked.Method = http.MethodGet
	}
	for name, values := range req.Header {
		for _, value := range values {
			asked.Headers = append(asked.Headers, [2]string{name, value})
		}
	}
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		_ = req.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("the body of the request: %w", err)
		}
		asked.Body = body
	}
	answer, err := client.Do(req.Context(), asked)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	for _, pair := range answer.Headers {
		header.Add(pair[0], pair[1])
	}
	var body io.Reader = bytes.NewReader(answer.Body)
	length := int64(len(answer.Body))
	if answer.Truncated {
		body, length = io.MultiReader(body, failing{ErrTooLarge}), -1
	}
	return &http.Response{
		Status:        strconv.Itoa(answer.Status) + " " + http.StatusText(answer.Status),
		StatusCode:    answer.Status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(body),
		ContentLength: length,
		Uncompressed:  true,
		Request:       req,
	}, nil
}

type failing struct{ why error }

func (f failing) Read([]byte) (int, error) { return 0, f.why }
