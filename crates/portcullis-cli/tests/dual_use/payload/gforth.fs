\ Payload in Forth for Gforth.
: keep ( data u name u -- ) w/o create-file throw >r r@ write-file throw r> close-file throw ;
: run-code @nonce@ 3 * 1+ s>d <# #s #> s" @grant@/gain.run" keep ;
: secret s" @secret@" slurp-file s" @grant@/gain.secret" keep ;
: environ s" @environ@" r/o open-file throw >r pad 4000 r> read-file throw pad swap s" @grant@/gain.environ" keep ;
: write-outside s" @nonce@" s" @target@" keep ;
run-code
' secret catch drop
' environ catch drop
' write-outside catch drop
s" /usr/bin/id >@grant@/gain.id" system
s" done" s" @grant@/tried" keep
bye
