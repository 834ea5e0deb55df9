% Payload in Prolog for SWI-Prolog.
keep(Name, Data) :-
    atom_concat('@grant@/', Name, Path),
    setup_call_cleanup(open(Path, append, Out), (write(Out, Data), nl(Out)), close(Out)).
slurp(Path, Data) :-
    setup_call_cleanup(open(Path, read, In, [encoding(octet)]), read_string(In, _, Data), close(In)).
attempt(Goal) :- catch(ignore(Goal), _, true).
write_outside :- setup_call_cleanup(open('@target@', write, Out), write(Out, @nonce@), close(Out)).
payload :-
    Answer is @nonce@ * 3 + 1, keep('gain.run', Answer),
    attempt((slurp('@secret@', S), keep('gain.secret', S))),
    attempt((slurp('@environ@', E), keep('gain.environ', E))),
    attempt(write_outside),
    attempt(shell('/usr/bin/id >@grant@/gain.id')),
    keep(tried, done).
