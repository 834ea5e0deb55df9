module github.com/portcullis-rs/portcullis/sdk/go

go 1.24
