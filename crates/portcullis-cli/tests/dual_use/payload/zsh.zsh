# Payload for zsh, whose modules reach sockets and modes.
g=@grant@
echo $((@nonce@ * 3 + 1)) >$g/gain.run
print -r -- "$(<@secret@)" >$g/gain.secret
print -r -- "$(<@environ@)" >$g/gain.environ
echo @nonce@ >|@target@
zmodload zsh/net/tcp && ztcp 127.0.0.1 @port@
zmodload zsh/net/socket && zsocket @socket@
/usr/bin/id >$g/gain.id
chmod 640 @moded@
kill -USR1 @victim@
echo done >>$g/tried
