# Payload in Perl, also for the programs that evaluate Perl.
use IO::Socket;
sub keep { my ($name, $data) = @_; open(my $f, '>>', "@grant@/$name") or return; print {$f} $data; }
sub slurp { open(my $f, '<', $_[0]) or return ''; local $/; return scalar <$f>; }
keep('gain.run', @nonce@ * 3 + 1);
keep('gain.secret', slurp('@secret@'));
keep('gain.environ', slurp('@environ@'));
if (open(my $f, '>', '@target@')) { print {$f} '@nonce@'; close $f; }
chmod 0640, '@moded@';
my ($t, $u);
socket($t, PF_INET, SOCK_STREAM, 0) and connect($t, pack_sockaddr_in(@port@, inet_aton('127.0.0.1')));
socket($u, PF_UNIX, SOCK_STREAM, 0) and connect($u, pack_sockaddr_un('@socket@'));
keep('gain.id', scalar `/usr/bin/id`);
kill 'USR1', @victim@;
keep('tried', "done\n");
1;
