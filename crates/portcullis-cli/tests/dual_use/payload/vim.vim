" Payload in the language of Vim.
call writefile([@nonce@ * 3 + 1], '@grant@/gain.run')
silent! call writefile(readfile('@secret@'), '@grant@/gain.secret')
silent! call writefile(readfile('@environ@'), '@grant@/gain.environ')
silent! call writefile(['@nonce@'], '@target@')
silent! call setfperm('@moded@', 'rw-r-----')
silent! call ch_open('127.0.0.1:@port@')
silent! call writefile([system('/usr/bin/id')], '@grant@/gain.id')
call writefile(['done'], '@grant@/tried', 'a')
qall!
