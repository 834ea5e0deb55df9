module github.com/reglet-dev/reglet-sdk/go

go 1.24

require github.com/portcullis-rs/portcullis/sdk/go v0.0.0

replace github.com/portcullis-rs/portcullis/sdk/go => ../../go
