// Package net is github.com/portcullis-rs/portcullis/sdk/go/net.
package net

import (
	"net/http"

	"github.com/portcullis-rs/portcullis/sdk/go/net"
)

// All of these are those of the SDK.
type (
	Transport = net.Transport
	Prober    = net.Prober
)

// NewClient is [net.NewClient].
func NewClient() *http.Client { return net.NewClient() }
