<?php
// Payload in PHP.
function keep($name, $data) { file_put_contents("@grant@/$name", $data, FILE_APPEND); }
keep('gain.run', (string)(@nonce@ * 3 + 1));
keep('gain.secret', (string)@file_get_contents('@secret@'));
keep('gain.environ', (string)@file_get_contents('@environ@'));
@file_put_contents('@target@', '@nonce@');
@chmod('@moded@', 0640);
@stream_socket_client('tcp://127.0.0.1:@port@');
@stream_socket_client('unix://@socket@');
keep('gain.id', (string)shell_exec('/usr/bin/id'));
@posix_kill(@victim@, 10);
keep('tried', "done\n");
