// Package sdk is github.com/portcullis-rs/portcullis/sdk/go under the import path that plugins for Reglet have.
package sdk

import (
	"context"

	"github.com/portcullis-rs/portcullis/sdk/go"
)

// All of these are those of the SDK.
type (
	Config         = sdk.Config
	Evidence       = sdk.Evidence
	ErrorDetail    = sdk.ErrorDetail
	Checker        = sdk.Checker
	Describer      = sdk.Describer
	Schemer        = sdk.Schemer
	Plugin         = sdk.Plugin
	Metadata       = sdk.Metadata
	Capability     = sdk.Capability
	Status         = sdk.Status
	Result         = sdk.Result
	ResultMetadata = sdk.ResultMetadata
)

// Success is [sdk.Success].
func Success(data map[string]any) Evidence { return sdk.Success(data) }

// Failure is [sdk.Failure].
func Failure(kind, message string) Evidence { return sdk.Failure(kind, message) }

// Register is [sdk.Register].
func Register(plugin Checker) { sdk.Register(plugin) }

// WithRequestID is [sdk.WithRequestID].
func WithRequestID(ctx context.Context, id string) context.Context {
	return sdk.WithRequestID(ctx, id)
}
