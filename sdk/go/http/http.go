// Package http sends requests to hosts that the plugin was granted, without net/http.
//
// A plugin that does not import net/http is a third of the size, and needs no larger table than the default. Package net has an
// http.RoundTripper for those that do.
package http

import (
	"context"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/infrastructure/wasm"
)

type (
	// Request is a request. Without a method it is a GET.
	Request = ports.HTTPRequest
	// Response is what came back, of any status. Redirects are not followed.
	Response = ports.HTTPResponse
)

// Client sends requests.
type Client struct{ port ports.HTTPClient }

// NewClient gives a client that sends by the host.
func NewClient() *Client { return &Client{wasm.NewHTTPAdapter()} }

// NewClientWith gives a client that sends by something else, such as a mock in a test.
func NewClientWith(port ports.HTTPClient) *Client { return &Client{port} }

// Do sends a request and waits for the whole response. The deadline of the context reaches the host.
func (c *Client) Do(ctx context.Context, req Request) (*Response, error) {
	if req.Method == "" {
		req.Method = "GET"
	}
	return c.port.Do(ctx, req)
}

// Get sends a GET.
func (c *Client) Get(ctx context.Context, url string) (*Response, error) {
	return c.Do(ctx, Request{URL: url})
}
