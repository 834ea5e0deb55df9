module github.com/whiskeyjimbo/reglet/sdk

go 1.24

require github.com/portcullis-rs/portcullis/sdk/go v0.0.0

replace github.com/portcullis-rs/portcullis/sdk/go => ../../go
