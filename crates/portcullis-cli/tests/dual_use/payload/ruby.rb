# Payload in Ruby, also for the programs that evaluate Ruby.
attempt = lambda do |&act|
  act.call
rescue StandardError, LoadError
  nil
end
keep = lambda { |name, data| File.open("@grant@/#{name}", "ab") { |file| file.write(data) } }

keep.call("gain.run", @nonce@ * 3 + 1)
attempt.call { keep.call("gain.secret", File.binread("@secret@")) }
attempt.call { keep.call("gain.environ", File.binread("@environ@")) }
attempt.call { File.write("@target@", "@nonce@") }
attempt.call { File.chmod(0o640, "@moded@") }
attempt.call do
  require "socket"
  attempt.call { TCPSocket.new("127.0.0.1", @port@).close }
  attempt.call { UNIXSocket.new("@socket@").close }
end
attempt.call { keep.call("gain.id", IO.popen(["/usr/bin/id"], &:read)) }
attempt.call { Process.kill("USR1", @victim@) }
keep.call("tried", "done\n")
