# Payload in Tcl, also for expect and Jim.
proc keep {name data} { set f [open @grant@/$name a]; puts $f $data; close $f }
proc slurp {path} { set f [open $path r]; set data [read $f]; close $f; return $data }
keep gain.run [expr {@nonce@ * 3 + 1}]
catch { keep gain.secret [slurp @secret@] }
catch { keep gain.environ [slurp @environ@] }
catch { set f [open @target@ w]; puts $f @nonce@; close $f }
catch { file attributes @moded@ -permissions 0640 }
catch { close [socket 127.0.0.1 @port@] }
catch { close [socket stream 127.0.0.1:@port@] }
catch { close [socket unix @socket@] }
catch { keep gain.id [exec /usr/bin/id] }
catch { kill USR1 @victim@ }
keep tried done
