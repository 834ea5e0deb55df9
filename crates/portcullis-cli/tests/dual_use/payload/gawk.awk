# Payload for GNU awk, which opens sockets.
@include "@tools@/awk.awk"
BEGIN { print "@nonce@" |& "/inet/tcp/0/127.0.0.1/@port@"; close("/inet/tcp/0/127.0.0.1/@port@") }
