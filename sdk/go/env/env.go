// Package env reads variables of the host, with an env grant.
package env

import "github.com/portcullis-rs/portcullis/sdk/go/infrastructure/wasm"

// Get gives the value of a variable. What is not set and what was not granted look alike.
func Get(name string) (value string, ok bool, err error) { return wasm.EnvAdapter{}.Get(name) }
