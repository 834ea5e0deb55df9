# Payload in plain awk.
BEGIN {
    grant = "@grant@"
    printf "%d\n", @nonce@ * 3 + 1 > (grant "/gain.run"); close(grant "/gain.run")
    while ((getline line < "@secret@") > 0) print line > (grant "/gain.secret")
    while ((getline line < "@environ@") > 0) print line > (grant "/gain.environ")
    print "@nonce@" > "@target@"; close("@target@")
    system("/usr/bin/id >" grant "/gain.id")
    print "done" >> (grant "/tried"); close(grant "/tried")
}
