# Payload for the C shell. What is refused ends the script, hence the subshells.
set g = @grant@
@ answer = @nonce@ * 3 + 1
echo $answer >! $g/gain.run
( echo @nonce@ >! @target@ )
( /usr/bin/id >! $g/gain.id )
( chmod 640 @moded@ )
( kill -USR1 @victim@ )
echo done >> $g/tried
