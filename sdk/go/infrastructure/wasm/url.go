//go:build wasip1

package wasm

import "net/url"

// shownURL is a URL for an error's text: without its query and password.
func shownURL(text string) string {
	parsed, err := url.Parse(text)
	if err != nil {
		return "(malformed URL)"
	}
	parsed.RawQuery, parsed.Fragment = "", ""
	return parsed.Redacted()
}
