// Package prompt asks whoever runs the plugin. It takes no grant, since an answer is text and grants nothing. An id is what an answer
// can be given for beforehand: `portcullis run --answer ID=VALUE`.
//
// Where nobody can be asked, the default is the answer; without one the call fails.
package prompt

import "github.com/portcullis-rs/portcullis/sdk/go/infrastructure/wasm"

// Text asks for a line.
func Text(id, message string) (string, error) {
	return wasm.PromptAdapter{}.Text(id, message, nil)
}

// TextOr asks for a line that is def where none is typed.
func TextOr(id, message, def string) (string, error) {
	return wasm.PromptAdapter{}.Text(id, message, &def)
}

// Confirm asks for yes or no.
func Confirm(id, message string, def bool) (bool, error) {
	return wasm.PromptAdapter{}.Confirm(id, message, def)
}

// Choose asks for one option and gives its place. def is a place too; negative: there is no default.
func Choose(id, message string, options []string, def int) (int, error) {
	return wasm.PromptAdapter{}.Choose(id, message, options, def)
}

// ChooseSome asks for some options and gives their places.
func ChooseSome(id, message string, options []string, defs ...int) ([]int, error) {
	return wasm.PromptAdapter{}.ChooseSome(id, message, options, defs)
}
