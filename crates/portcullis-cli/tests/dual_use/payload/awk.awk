# Payload in plain awk.
BEGIN {
    grant = "@grant@"
    printf "%d\n", @nonce@ * 3 + 1 > (grant "/gain.run"); close(grant "/gain.run")
    while ((getline line < "@secret@") > 0) print line > (grant "/gain.secret")
    while ((getline line < "@environ@") > 0) print line > (grant "/gain.environ")
    system("/usr/bin/id >" grant "/gain.id")
    print "done" >> (grant "/tried"); close(grant "/tried")
    # Last, because awk ends where a file cannot be opened for writing.
    print "@nonce@" > "@target@"; close("@target@")
}
