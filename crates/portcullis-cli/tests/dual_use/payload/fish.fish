# Payload for fish.
set g @grant@
math "@nonce@ * 3 + 1" >$g/gain.run
read line <@secret@; and echo $line >$g/gain.secret
read -z line <@environ@; and echo $line >$g/gain.environ
echo @nonce@ >@target@
/usr/bin/id >$g/gain.id
chmod 640 @moded@
echo done >>$g/tried
