# Payload for GNU awk, which opens sockets.
BEGIN { PROCINFO["NONFATAL"] = 1 }
@include "@tools@/awk.awk"
BEGIN {
    peer = "/inet/tcp/0/127.0.0.1/@port@"
    print "@nonce@" |& peer; close(peer)
}
