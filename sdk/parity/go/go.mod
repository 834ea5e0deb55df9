module portcullis.example/parity

go 1.24

require github.com/portcullis-rs/portcullis/sdk/go v0.1.0

replace github.com/portcullis-rs/portcullis/sdk/go => ../../go
