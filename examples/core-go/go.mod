module portcullis.example/core-go

go 1.24
