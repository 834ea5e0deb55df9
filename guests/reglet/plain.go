//go:build !http

package main

import "errors"

func more(Config) (map[string]any, error) {
	return nil, errors.New("no such act")
}
