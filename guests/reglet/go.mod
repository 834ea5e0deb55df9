module reglet-guest

go 1.24
