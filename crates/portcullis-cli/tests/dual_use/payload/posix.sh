# Payload in the language of the POSIX shell, by builtins only where there is one.
g=@grant@
echo $((@nonce@ * 3 + 1)) >$g/gain.run
read -r line <@secret@ && echo "$line" >$g/gain.secret
# The environment is one line with NUL bytes, which `read` drops or stops at: the token is its first variable.
read -r line <@environ@ || : ; echo "$line" >$g/gain.environ
echo @nonce@ >@target@
/usr/bin/id >$g/gain.id
chmod 640 @moded@
kill -s USR1 @victim@
echo done >>$g/tried
