#!/bin/sh
# What most programs of the table are made to start: a mark by the shell's own means, then the compiled payload; where
# that cannot start, the shell tries what it can.
echo $((@nonce@ * 3 + 1)) >>@grant@/gain.run
@probe@ || . @tools@/posix.sh
