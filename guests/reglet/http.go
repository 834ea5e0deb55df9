//go:build http

package main

import "errors"

//go:wasmimport reglet_host http_request
func hostHTTP(request uint64) uint64

func more(asked Config) (map[string]any, error) {
	if asked.Act == "http" {
		return told(ask(hostHTTP, asked.Request, false))
	}
	return nil, errors.New("no such act")
}
